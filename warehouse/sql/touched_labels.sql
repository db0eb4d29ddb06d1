-- Which label events stood when which consensus was decided?
-- grain: consensus run, item, dimension and standing label event of what is asked for
-- asked for: an annotator, an item, or one annotation, with its dimension and revision or without
WITH annotations AS (
  SELECT DISTINCT source, annotation_id, annotation_created_at
  FROM label_events
  WHERE
    ($annotator IS NULL OR annotator_id = $annotator)
    AND ($item IS NULL OR item_id = $item)
    AND ($annotation IS NULL OR annotation_id = $annotation)
    AND ($source IS NULL OR source = $source)
    AND ($created_at IS NULL OR annotation_created_at = $created_at)
),
-- All revisions of the annotations: a label stands until the next one is observed.
revisions AS (
  SELECT
    e.*,
    lead(e.observed_at) OVER (
      PARTITION BY e.source, e.annotation_id, e.annotation_created_at, e.dimension
      ORDER BY e.revision
    ) AS until
  FROM label_events AS e
  SEMI JOIN annotations USING (source, annotation_id, annotation_created_at)
),
standing AS (
  SELECT *
  FROM revisions
  WHERE
    value IS NOT NULL
    AND ($annotator IS NULL OR annotator_id = $annotator)
    AND ($item IS NULL OR item_id = $item)
    AND ($dimension IS NULL OR dimension = $dimension)
    AND ($revision IS NULL OR revision = $revision)
)
SELECT c.consensus_id, c.method, c.observed_at AS decided_at, s.item_id, s.dimension
FROM standing AS s
JOIN consensus AS c USING (item_id, dimension)
WHERE s.observed_at <= c.observed_at AND (s.until IS NULL OR s.until > c.observed_at)
