-- Which pair sets are there?
-- grain: pair set, newest first
SELECT
  s.pair_set_id,
  s.observed_at,
  s.as_of,
  s.seed,
  s.consensus_id,
  s.code_version,
  count(DISTINCT r.model_id) AS models,
  (SELECT count(*) FROM pairs AS p WHERE p.pair_set_id = s.pair_set_id) AS pairs
FROM pair_sets AS s
LEFT JOIN runs AS r USING (pair_set_id)
GROUP BY ALL
ORDER BY s.observed_at DESC, s.pair_set_id
