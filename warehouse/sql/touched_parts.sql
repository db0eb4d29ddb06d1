-- How much of each pair set do its touched items make up?
-- grain: pair set, dimension and split
-- members: the rows of touched_members.sql
-- pairs: pairs with such an item on either side
WITH paired AS (
  SELECT p.pair_set_id, p.dimension, p.split, count(*) AS pairs
  FROM pairs AS p
  LEFT JOIN members AS w
    ON w.pair_set_id = p.pair_set_id AND w.dimension = p.dimension AND w.ordinal = p.winner
  LEFT JOIN members AS o
    ON o.pair_set_id = p.pair_set_id AND o.dimension = p.dimension AND o.ordinal = p.other
  WHERE w.ordinal IS NOT NULL OR o.ordinal IS NOT NULL
  GROUP BY ALL
)
SELECT
  m.pair_set_id,
  m.dimension,
  m.split,
  sum(m.labels)::BIGINT AS labels,
  count(*) AS items,
  coalesce(any_value(p.pairs), 0) AS pairs
FROM members AS m
LEFT JOIN paired AS p USING (pair_set_id, dimension, split)
GROUP BY ALL
ORDER BY ALL
