-- What did this annotator say last, and what was decided?
-- grain: annotation and dimension, newest first
-- decided: the consensus of Dawid-Skene
SELECT a.created_at, a.item_id, a.dimension, a.value, a.state, a.changed, a.seconds,
  c.label AS decided, c.p_pass, c.n_pass, c.n_fail
FROM answers AS a
LEFT JOIN latest_consensus AS c
  ON c.method = 'dawid_skene' AND c.item_id = a.item_id AND c.dimension = a.dimension
WHERE a.annotator_id = $annotator
ORDER BY a.created_at DESC, a.annotation_id DESC, a.dimension
LIMIT 60
