-- Which items do two models place most differently?
-- grain: item and dimension, 12 in all
-- first_percentile, second_percentile: share of the other items with a lower reward
WITH both_ AS (
  SELECT
    item_id,
    dimension,
    a.reward AS first_reward,
    b.reward AS second_reward,
    percent_rank() OVER (PARTITION BY dimension ORDER BY a.reward) AS first_percentile,
    percent_rank() OVER (PARTITION BY dimension ORDER BY b.reward) AS second_percentile
  FROM scores AS a
  JOIN scores AS b USING (item_id, dimension)
  WHERE a.model_id = $first AND b.model_id = $second
)
SELECT x.*, c.label, c.p_pass
FROM both_ AS x
LEFT JOIN latest_consensus AS c
  ON c.method = 'dawid_skene' AND c.item_id = x.item_id AND c.dimension = x.dimension
ORDER BY abs(first_percentile - second_percentile) DESC, x.item_id, x.dimension
LIMIT 12
