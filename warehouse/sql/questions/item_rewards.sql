-- Which reward does each model give this item, and how many items get less?
-- grain: model and dimension
-- percentile: share of the model's other items with a lower reward
-- split: where the item stood in the model's pair set
WITH mine AS (
  SELECT model_id, dimension, reward FROM scores WHERE item_id = $item
)
SELECT
  m.model_id,
  m.dimension,
  m.reward,
  count(*) FILTER (s.reward < m.reward) / nullif(count(*) - 1, 0) AS percentile,
  any_value(p.split) AS split
FROM mine AS m
JOIN scores AS s USING (model_id, dimension)
JOIN runs AS r USING (model_id)
LEFT JOIN pair_set_items AS p
  ON p.pair_set_id = r.pair_set_id AND p.dimension = m.dimension AND p.item_id = $item
GROUP BY m.model_id, m.dimension, m.reward
ORDER BY m.dimension, m.model_id
