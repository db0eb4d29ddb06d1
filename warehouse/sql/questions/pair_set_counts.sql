-- What is in this pair set?
-- grain: dimension, split and kind
SELECT dimension, split, kind, pairs, winners, others, same_prompt
FROM pair_stats
WHERE pair_set_id = $set
ORDER BY dimension, split, kind
