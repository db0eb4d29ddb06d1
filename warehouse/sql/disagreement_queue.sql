-- Which items do annotators disagree about, most undecided first?
-- grain: item and dimension with votes on both sides
-- doubt: 0 decided, 1 as undecided as can be: 1 - |2 P(pass) - 1|
SELECT
  c.item_id,
  c.dimension,
  c.label,
  c.p_pass,
  c.n_pass,
  c.n_fail,
  1 - abs(2 * c.p_pass - 1) AS doubt,
  p.text,
  i.uri
FROM latest_consensus_as_of(moment) AS c
JOIN clips_as_of(moment) AS i USING (item_id)
JOIN prompts_as_of(moment) AS p USING (prompt_id)
WHERE c.method = 'dawid_skene' AND c.n_pass > 0 AND c.n_fail > 0
ORDER BY doubt DESC, c.item_id, c.dimension
