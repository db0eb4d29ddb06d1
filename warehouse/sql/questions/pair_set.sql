-- What is this pair set?
-- grain: pair set
SELECT pair_set_id, digest, recipe, seed, consensus_id, as_of, observed_at, code_version
FROM pair_sets
WHERE pair_set_id = $set
