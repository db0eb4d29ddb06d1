-- How alike do two models order the items?
-- grain: dimension
-- rank_correlation: Spearman's, over the items that both gave a reward
WITH both_ AS (
  SELECT
    dimension,
    item_id,
    rank() OVER (PARTITION BY dimension ORDER BY a.reward) AS first,
    rank() OVER (PARTITION BY dimension ORDER BY b.reward) AS second
  FROM scores AS a
  JOIN scores AS b USING (item_id, dimension)
  WHERE a.model_id = $first AND b.model_id = $second
)
SELECT dimension, count(*) AS items, corr(first, second) AS rank_correlation
FROM both_
GROUP BY dimension
ORDER BY dimension
