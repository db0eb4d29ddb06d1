-- Which reward does each model give an item, beside what people decided?
-- grain: model, item and dimension
-- split: where the item stood in the model's pair set; NULL: not in it
-- label: the consensus that the pair set used; NULL: undecided or unlabelled
SELECT
  s.model_id,
  s.item_id,
  s.dimension,
  s.reward,
  p.split,
  p.label,
  p.p_pass,
  i.generator,
  i.prompt_id,
  t.text,
  i.uri
FROM scores_as_of(moment) AS s
JOIN runs_as_of(moment) AS r USING (model_id)
JOIN clips_as_of(moment) AS i USING (item_id)
JOIN prompts_as_of(moment) AS t USING (prompt_id)
LEFT JOIN pair_set_items_as_of(moment) AS p
  ON p.pair_set_id = r.pair_set_id AND p.item_id = s.item_id AND p.dimension = s.dimension
