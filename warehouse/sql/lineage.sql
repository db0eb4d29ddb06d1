-- Which label events stand behind a reward?
-- grain: model, item, dimension and label event known when the model's pair set was built
-- split: where the item stood in the model's pair set; only train items taught the model
-- label: the consensus that the pair set used; NULL: undecided or unlabelled
SELECT
  s.model_id,
  s.item_id,
  s.dimension,
  s.reward,
  r.run_id,
  r.pair_set_id,
  m.split,
  m.label,
  ps.consensus_id,
  c.method,
  c.p_pass,
  e.source,
  e.annotation_id,
  e.annotation_created_at,
  e.revision,
  e.event,
  e.value,
  e.annotator_id,
  e.project_version,
  e.occurred_at
FROM scores_as_of(moment) AS s
JOIN runs_as_of(moment) AS r USING (model_id)
JOIN pair_sets_as_of(moment) AS ps USING (pair_set_id)
LEFT JOIN pair_set_items_as_of(moment) AS m
  ON m.pair_set_id = r.pair_set_id AND m.item_id = s.item_id AND m.dimension = s.dimension
LEFT JOIN consensus_as_of(moment) AS c
  ON c.consensus_id = ps.consensus_id AND c.item_id = s.item_id AND c.dimension = s.dimension
LEFT JOIN label_events_as_of(moment) AS e
  ON e.item_id = s.item_id AND e.dimension = s.dimension AND e.observed_at <= ps.as_of
  AND ps.consensus_id IS NOT NULL -- labels made no pair of an imported set
