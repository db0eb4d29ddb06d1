-- Which category does each annotator choose for two items now?
-- grain: pair of items, annotator and dimension
-- prompt_id: prompt of item_a; NULL: the item is not known here
-- other_prompt_id: prompt of item_b; NULL: the item is not known here
SELECT
  c.item_a,
  c.item_b,
  c.dimension,
  c.annotator_id,
  c.category,
  c.swapped,
  c.judged_at,
  c.source,
  c.revision,
  a.prompt_id,
  b.prompt_id AS other_prompt_id
FROM comparisons_as_of(moment) AS c
LEFT JOIN items_as_of(moment) AS a ON a.item_id = c.item_a
LEFT JOIN items_as_of(moment) AS b ON b.item_id = c.item_b
-- Two sources may hold one annotator's judgement of one pair: the one that came last counts.
QUALIFY row_number() OVER (
  PARTITION BY c.item_a, c.item_b, c.dimension, c.annotator_id
  ORDER BY c.observed_at DESC, c.revision DESC, c.source
) = 1
