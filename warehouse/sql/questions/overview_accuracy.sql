-- How well does the newest model order pass above fail, on prompts that training never saw?
-- grain: dimension and pair set
WITH newest AS (
  SELECT arg_max(model_id, observed_at) AS model_id
  FROM evaluations
  WHERE metric = 'acc' AND split = 'test'
)
SELECT dimension, model_id, pair_set_id, acc AS value, low, high, pairs, items
FROM model_accuracy
SEMI JOIN newest USING (model_id)
WHERE split = 'test'
ORDER BY dimension, pair_set_id
