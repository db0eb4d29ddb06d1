-- Which labels differ between what was known at $since and what was known at $until?
-- grain: item, annotator and dimension; a moved label stands once, with its new item
-- change: appeared, vanished, flipped, moved (its annotation is about another item now) or role
WITH earlier AS (
  FROM labels_as_of($since)
),
later AS (
  FROM labels_as_of($until)
),
vanished AS (
  FROM earlier ANTI JOIN later USING (item_id, annotator_id, dimension)
),
appeared AS (
  FROM later ANTI JOIN earlier USING (item_id, annotator_id, dimension)
),
come_or_gone AS (
  SELECT
    CASE
      WHEN v.item_id IS NULL THEN 'appeared'
      WHEN a.item_id IS NULL THEN 'vanished'
      ELSE 'moved'
    END AS change,
    coalesce(a.item_id, v.item_id) AS item_id,
    dimension,
    annotator_id,
    v.item_id AS item_was,
    v.value AS value_was,
    a.value AS value,
    v.role AS role_was,
    a.role AS role
  FROM vanished AS v
  FULL JOIN appeared AS a
    USING (source, annotation_id, annotation_created_at, dimension, annotator_id)
),
stayed AS (
  SELECT
    CASE WHEN e.value <> l.value THEN 'flipped' ELSE 'role' END AS change,
    item_id,
    dimension,
    annotator_id,
    item_id AS item_was,
    e.value AS value_was,
    l.value AS value,
    e.role AS role_was,
    l.role AS role
  FROM earlier AS e
  JOIN later AS l USING (item_id, annotator_id, dimension)
  WHERE e.value <> l.value OR e.role <> l.role
)
FROM come_or_gone
UNION ALL
FROM stayed
ORDER BY change, dimension, item_id, annotator_id, item_was
