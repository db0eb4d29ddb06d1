-- Which generators meet in the pairs of each set?
-- grain: pair set, dimension, split, kind, generator of the winner and of the other
-- winner_generator: in a tie, which has no winner, the first of the two in the alphabet
-- other_generator: in a tie the second of the two
-- pairs: number of pairs
WITH members AS (
  SELECT m.pair_set_id, m.dimension, m.ordinal, c.generator
  FROM pair_set_items_as_of(moment) AS m
  LEFT JOIN clips_as_of(moment) AS c USING (item_id)
),
met AS (
  SELECT
    p.pair_set_id,
    p.dimension,
    p.split,
    p.kind,
    w.generator AS winner,
    o.generator AS other,
    count(*) AS pairs
  FROM pairs_as_of(moment) AS p
  -- Left joins keep their order: see pair_stats.
  LEFT JOIN members AS w
    ON w.pair_set_id = p.pair_set_id AND w.dimension = p.dimension AND w.ordinal = p.winner
  LEFT JOIN members AS o
    ON o.pair_set_id = p.pair_set_id AND o.dimension = p.dimension AND o.ordinal = p.other
  GROUP BY ALL
)
SELECT
  pair_set_id,
  dimension,
  split,
  kind,
  CASE WHEN kind = 'win_lose' OR winner <= other THEN winner ELSE other END AS winner_generator,
  CASE WHEN kind = 'win_lose' OR winner <= other THEN other ELSE winner END AS other_generator,
  sum(pairs)::BIGINT AS pairs
FROM met
GROUP BY ALL
