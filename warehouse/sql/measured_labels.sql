-- Which labels is agreement measured on, and which slices do they belong to?
-- grain: item, annotator and dimension, design labels only
-- attributes: what the item's prompt asks for (subject, motion, style, camera, ...)
-- project: source of the item's first design label in the dimension; later ones do not move it
-- week: ISO week of that label, UTC, e.g. 2026-W47
-- batch: the item's attribute `batch`; without one, the minute it was imported in, UTC
WITH first_labels AS (
  SELECT
    item_id,
    prompt_id,
    generator,
    dimension,
    annotator_id,
    value,
    first_value(source) OVER earliest AS project,
    first_value(created_at) OVER earliest AS started_at
  FROM labels_as_of(moment)
  WHERE role = 'design'
  WINDOW earliest AS (
    PARTITION BY item_id, dimension ORDER BY created_at, annotation_id, source
  )
),
batches AS (
  SELECT
    c.item_id,
    coalesce(
      json_extract_string(c.attributes, '$.batch'),
      strftime(make_timestamp(epoch_us(i.observed_at)), '%Y-%m-%dT%H:%MZ')
    ) AS batch
  FROM clips_as_of(moment) AS c
  JOIN items_as_of(moment) AS i USING (item_id)
)
SELECT
  l.item_id,
  l.prompt_id,
  l.generator,
  l.dimension,
  l.annotator_id,
  l.value,
  l.project,
  b.batch,
  -- Without a time zone, so that a reader's own does not matter.
  strftime(make_timestamp(epoch_us(l.started_at)), '%G-W%V') AS week,
  p.attributes
FROM first_labels AS l
JOIN batches AS b USING (item_id)
LEFT JOIN prompts_as_of(moment) AS p USING (prompt_id)
