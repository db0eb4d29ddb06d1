-- Which items do annotators disagree about, most undecided first?
-- grain: item and dimension with votes on both sides, 12 a page
-- doubt: 0 decided, 1 as undecided as can be: 1 - |2 P(pass) - 1|
WITH most AS (
  SELECT item_id, dimension, label, p_pass, n_pass, n_fail, 1 - abs(2 * p_pass - 1) AS doubt
  FROM latest_consensus
  WHERE method = 'dawid_skene'
    AND n_pass > 0
    AND n_fail > 0
    AND ($dimension = '' OR dimension = $dimension)
  ORDER BY doubt DESC, item_id, dimension
  LIMIT 12 OFFSET 12 * ($page::BIGINT - 1)
)
SELECT d.item_id, d.dimension, d.label, d.p_pass, d.n_pass, d.n_fail, d.doubt, t.text, c.generator
FROM most AS d
JOIN clips AS c USING (item_id)
JOIN prompts AS t USING (prompt_id)
ORDER BY d.doubt DESC, d.item_id, d.dimension
