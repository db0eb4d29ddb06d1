-- Which pairs are in this set?
-- grain: pair, 6 a page
-- found: pairs of that dimension, split and kind
WITH page AS (
  SELECT pair_set_id, dimension, split, kind, winner, other, mu, weight, count(*) OVER () AS found
  FROM pairs
  WHERE pair_set_id = $set AND dimension = $dimension AND split = $split AND kind = $kind
  ORDER BY winner, other
  LIMIT 6 OFFSET 6 * ($page::BIGINT - 1)
)
SELECT
  p.kind, p.mu, p.weight, p.found,
  w.item_id AS winner, w.p_pass AS winner_p_pass, a.text AS winner_text,
  o.item_id AS other, o.p_pass AS other_p_pass, b.text AS other_text
FROM page AS p
LEFT JOIN pair_set_items AS w
  ON w.pair_set_id = p.pair_set_id AND w.dimension = p.dimension AND w.ordinal = p.winner
LEFT JOIN pair_set_items AS o
  ON o.pair_set_id = p.pair_set_id AND o.dimension = p.dimension AND o.ordinal = p.other
LEFT JOIN prompts AS a ON a.prompt_id = w.prompt_id
LEFT JOIN prompts AS b ON b.prompt_id = o.prompt_id
ORDER BY p.winner, p.other
