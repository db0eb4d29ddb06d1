-- Which label does each annotator give an item now, and does it count as a design label?
-- grain: item, annotator and dimension
-- role: design (counts for agreement), gold, review, escalation or repeat
-- answers: labels the annotator gave the item in this dimension, withdrawn ones included
-- chosen: why this one: only, first (of several), next (an earlier one is withdrawn) or gold
-- changed: whether the value was corrected at least once
-- created_at: when the annotator first answered, as the server claims
WITH given AS MATERIALIZED (
  SELECT
    a.*,
    i.prompt_id,
    i.generator,
    i.design_k,
    hash(a.item_id, a.annotator_id) AS code
  FROM answers_as_of(moment) AS a
  JOIN clips_as_of(moment) AS i USING (item_id)
  WHERE a.value IS NOT NULL OR a.state = 'withdrawn'
),
-- Few annotators answer an item twice: theirs alone are sorted. Numbers are grouped faster than
-- names; where two names share a number, rows are sorted for nothing, and that is all.
repeated AS (
  SELECT code
  FROM given
  GROUP BY code
  HAVING min(annotation_id) < max(annotation_id)
    OR min(hash(source, created_at)) < max(hash(source, created_at))
),
-- opening: the annotator's first answer that is no ground truth, withdrawn or not
-- best: the one that counts: the earliest that stands, ground truth last
settled AS (
  SELECT *, 1 AS answers, NOT gold AS opening, value IS NOT NULL AS best
  FROM given
  ANTI JOIN repeated USING (code)
  UNION ALL
  SELECT
    *,
    count(*) OVER mine AS answers,
    NOT gold AND row_number() OVER (mine ORDER BY gold, created_at, annotation_id, source) = 1
      AS opening,
    value IS NOT NULL AND row_number() OVER (
      mine ORDER BY value IS NULL, gold, created_at, annotation_id, source
    ) = 1 AS best
  FROM given
  SEMI JOIN repeated USING (code)
  WINDOW mine AS (PARTITION BY item_id, annotator_id, dimension)
),
reviewers AS (
  SELECT list(DISTINCT annotator_id) AS ids
  FROM (
    SELECT unnest(from_json(reviewers, '["VARCHAR"]')) AS annotator_id
    FROM projects_as_of(moment)
  )
),
described AS (
  SELECT
    *,
    coalesce(list_contains((SELECT ids FROM reviewers), annotator_id), false) AS reviewer
  FROM settled
),
-- A withdrawn label keeps its slot: it frees none for a later answer.
slotted AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY item_id, dimension, opening AND NOT reviewer
      ORDER BY created_at, annotation_id, source
    ) AS slot
  FROM described
)
SELECT
  item_id,
  prompt_id,
  generator,
  dimension,
  annotator_id,
  value,
  CASE
    WHEN gold THEN 'gold'
    WHEN reviewer THEN 'review'
    WHEN NOT opening THEN 'repeat'
    WHEN slot <= design_k THEN 'design'
    ELSE 'escalation'
  END AS role,
  answers,
  CASE
    WHEN answers = 1 THEN 'only'
    WHEN gold THEN 'gold'
    WHEN opening THEN 'first'
    ELSE 'next'
  END AS chosen,
  seconds,
  created_at,
  source,
  annotation_id,
  annotation_created_at,
  revision,
  design_k,
  changed
FROM slotted
WHERE best
