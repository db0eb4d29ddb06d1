-- How well does each model order pass above fail?
-- grain: model, dimension, split and pair set
SELECT dimension, split, a.model_id, a.pair_set_id, a.acc AS value, a.low, a.high, a.pairs, a.items
FROM model_accuracy AS a
LEFT JOIN runs AS r USING (model_id)
ORDER BY dimension, split, r.observed_at, a.model_id, a.pair_set_id
