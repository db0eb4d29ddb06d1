-- How much is there?
-- grain: warehouse
SELECT
  (SELECT count(*) FROM items) AS items,
  (SELECT count(*) FROM prompts) AS prompts,
  (SELECT count(DISTINCT annotator_id) FROM label_events) AS annotators,
  (SELECT count(*) FROM label_events) AS label_events,
  (SELECT count(*) FROM pulls) AS pulls,
  (SELECT count(*) FROM quarantine ANTI JOIN resolutions USING (quarantine_id)) AS quarantined,
  (SELECT count(*) FROM pair_sets) AS pair_sets,
  (SELECT count(*) FROM runs) AS models
