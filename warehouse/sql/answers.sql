-- What does each annotation say now, in each dimension?
-- grain: annotation and dimension
-- state: active, skipped, withdrawn (it was a label) or skip_withdrawn
-- changed: whether the value was corrected at least once
-- created_at: when the annotator first answered, as the server claims
WITH events AS NOT MATERIALIZED (
  FROM label_events_as_of(moment)
),
-- Most annotations are one event, a label: the rest is looked up, so that those stream through.
history AS (
  SELECT
    source,
    annotation_id,
    annotation_created_at,
    dimension,
    max(revision) AS newest,
    bool_or(event = 'changed') AS changed,
    arg_max(value IS NULL, revision) FILTER (event <> 'withdrawn') AS last_skipped
  FROM events
  WHERE revision > 1 OR value IS NULL
  GROUP BY source, annotation_id, annotation_created_at, dimension
  HAVING max(revision) > 1
)
SELECT
  e.item_id,
  e.annotator_id,
  e.dimension,
  e.value,
  CASE
    WHEN e.value IS NOT NULL THEN 'active'
    WHEN e.event <> 'withdrawn' THEN 'skipped'
    WHEN h.last_skipped THEN 'skip_withdrawn'
    ELSE 'withdrawn'
  END AS state,
  e.gold,
  coalesce(h.changed, false) AS changed,
  e.seconds,
  e.source,
  e.annotation_id,
  e.annotation_created_at,
  e.annotation_created_at AS created_at,
  e.revision,
  e.project_version
FROM events AS e
LEFT JOIN history AS h
  ON h.source = e.source
  AND h.annotation_id = e.annotation_id
  AND h.annotation_created_at = e.annotation_created_at
  AND h.dimension = e.dimension
WHERE h.newest IS NULL OR h.newest = e.revision
