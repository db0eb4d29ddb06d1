-- How well does each model order pass above fail?
-- grain: model, pair set, dimension and split
-- acc: share of win-lose pairs with the winner's reward above the other's
-- pairs: win-lose pairs behind it
SELECT
  model_id,
  pair_set_id,
  dimension,
  split,
  value AS acc,
  low,
  high,
  pairs,
  items
FROM evaluations_as_of(moment)
WHERE metric = 'acc'
QUALIFY row_number() OVER (
  PARTITION BY model_id, pair_set_id, dimension, split ORDER BY observed_at DESC
) = 1
