-- How many of its prompts does each pair set use?
-- grain: pair set, dimension, split and kind
-- prompts: prompts of the split's items that are decided in the dimension
-- in_pairs: those of which an item stands in a pair of the kind
-- share: in_pairs / prompts
WITH known AS (
  SELECT pair_set_id, dimension, split, count(DISTINCT prompt_id) AS prompts
  FROM pair_set_items_as_of(moment)
  GROUP BY ALL
),
used AS (
  SELECT
    pair_set_id,
    dimension,
    split,
    kind,
    count(DISTINCT prompt_id) FILTER (pairs > 0) AS in_pairs
  FROM pair_uses_as_of(moment)
  GROUP BY ALL
)
SELECT
  pair_set_id,
  dimension,
  split,
  kind,
  prompts,
  in_pairs,
  in_pairs / prompts AS share
FROM used
JOIN known USING (pair_set_id, dimension, split)
