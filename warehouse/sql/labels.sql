-- Which label does each annotator give an item now, and does it count as a design label?
-- grain: item, annotator and dimension
-- role: design (counts for agreement), gold, review, escalation or repeat
-- changed: whether the value was corrected at least once
-- created_at: when the annotator first answered, as the server claims
WITH current_answers AS (
  SELECT * FROM answers_as_of(moment) WHERE state IN ('active', 'withdrawn')
),
reviewers AS (
  SELECT DISTINCT unnest(from_json(reviewers, '["VARCHAR"]')) AS annotator_id
  FROM projects_as_of(moment)
),
described AS (
  SELECT
    a.*,
    i.prompt_id,
    i.generator,
    i.design_k,
    a.annotator_id IN (SELECT annotator_id FROM reviewers) AS reviewer
  FROM current_answers AS a
  JOIN items_as_of(moment) AS i USING (item_id)
),
-- A withdrawn label keeps its slot: it frees none for a later answer.
ordered AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY item_id, dimension, annotator_id, gold ORDER BY created_at, annotation_id, source
    ) AS answer_number
  FROM described
),
slotted AS (
  SELECT
    *,
    count(*) FILTER (answer_number = 1 AND NOT gold AND NOT reviewer) OVER (
      PARTITION BY item_id, dimension ORDER BY created_at, annotation_id, source
    ) AS slot
  FROM ordered
),
roles AS (
  SELECT
    *,
    CASE
      WHEN gold THEN 'gold'
      WHEN reviewer THEN 'review'
      WHEN answer_number > 1 THEN 'repeat'
      WHEN slot <= design_k THEN 'design'
      ELSE 'escalation'
    END AS role
  FROM slotted
)
SELECT
  item_id,
  prompt_id,
  generator,
  dimension,
  annotator_id,
  value,
  role,
  seconds,
  created_at,
  source,
  annotation_id,
  annotation_created_at,
  revision,
  design_k,
  changed
FROM roles
WHERE state = 'active'
QUALIFY row_number() OVER (
  PARTITION BY item_id, annotator_id, dimension
  ORDER BY role = 'design' DESC, created_at, annotation_id, source
) = 1
