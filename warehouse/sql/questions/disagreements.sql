-- Where do people and the model disagree most?
-- grain: item and dimension, 12 a page
-- percentile: share of the model's other items with a lower reward in the dimension
-- gap: distance of the percentile from P(pass)
-- split: where the item stood in the model's pair set; of train the model was told
WITH ranked AS (
  SELECT
    item_id,
    dimension,
    reward,
    percent_rank() OVER (PARTITION BY dimension ORDER BY reward) AS percentile
  FROM scores
  WHERE model_id = $model AND ($dimension = '' OR dimension = $dimension)
),
apart AS (
  SELECT r.*, c.label, c.p_pass, c.n_pass, c.n_fail, abs(r.percentile - c.p_pass) AS gap
  FROM ranked AS r
  JOIN latest_consensus AS c USING (item_id, dimension)
  WHERE c.method = 'dawid_skene'
    AND c.label = $label
  ORDER BY gap DESC, item_id, dimension
  LIMIT 12 OFFSET 12 * ($page::BIGINT - 1)
)
SELECT a.item_id, a.dimension, a.label, a.p_pass, a.n_pass, a.n_fail, a.reward, a.percentile,
  a.gap, m.split, i.generator, t.text
FROM apart AS a
JOIN clips AS i USING (item_id)
JOIN prompts AS t USING (prompt_id)
JOIN runs AS r ON r.model_id = $model
LEFT JOIN pair_set_items AS m
  ON m.pair_set_id = r.pair_set_id AND m.item_id = a.item_id AND m.dimension = a.dimension
ORDER BY a.gap DESC, a.item_id, a.dimension
