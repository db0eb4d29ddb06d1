-- What is in each pair set?
-- grain: pair set, dimension, split and kind
-- pairs: number of pairs
-- winners: distinct items on the winning side
-- others: distinct items on the other side
-- same_prompt: pairs whose two items share a prompt
SELECT
  p.pair_set_id,
  p.dimension,
  p.split,
  p.kind,
  count(*) AS pairs,
  count(DISTINCT p.winner) AS winners,
  count(DISTINCT p.other) AS others,
  count(*) FILTER (w.prompt_id = o.prompt_id) AS same_prompt
FROM pairs_as_of(moment) AS p
-- Left joins keep their order: inner ones were seen to join all winners with all others first.
LEFT JOIN pair_set_items_as_of(moment) AS w
  ON w.pair_set_id = p.pair_set_id AND w.dimension = p.dimension AND w.ordinal = p.winner
LEFT JOIN pair_set_items_as_of(moment) AS o
  ON o.pair_set_id = p.pair_set_id AND o.dimension = p.dimension AND o.ordinal = p.other
GROUP BY p.pair_set_id, p.dimension, p.split, p.kind
