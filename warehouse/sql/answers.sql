-- What does each annotation say now, in each dimension?
-- grain: annotation and dimension
-- state: active, skipped or withdrawn
-- changed: whether the value was corrected at least once
-- created_at: when the annotator first answered, as the server claims
WITH events AS (
  SELECT * FROM label_events_as_of(moment)
),
newest AS (
  SELECT
    *,
    count(*) FILTER (event = 'changed') OVER same > 0 AS changed
  FROM events
  WINDOW same AS (PARTITION BY source, annotation_id, annotation_created_at, dimension)
  QUALIFY row_number() OVER (same ORDER BY revision DESC) = 1
)
SELECT
  item_id,
  annotator_id,
  dimension,
  value,
  CASE
    WHEN event = 'withdrawn' THEN 'withdrawn'
    WHEN value IS NULL THEN 'skipped'
    ELSE 'active'
  END AS state,
  gold,
  changed,
  seconds,
  source,
  annotation_id,
  annotation_created_at,
  annotation_created_at AS created_at,
  revision,
  project_version
FROM newest
