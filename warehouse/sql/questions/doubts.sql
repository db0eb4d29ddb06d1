-- Which items do annotators disagree about, most undecided first?
-- grain: item and dimension, 12 a page
-- doubt: 0 decided, 1 as undecided as can be
SELECT d.item_id, d.dimension, d.label, d.p_pass, d.n_pass, d.n_fail, d.doubt, d.text, c.generator
FROM disagreement_queue AS d
JOIN clips AS c USING (item_id)
WHERE $dimension = '' OR d.dimension = $dimension
ORDER BY d.doubt DESC, d.item_id, d.dimension
LIMIT 12 OFFSET 12 * ($page::BIGINT - 1)
