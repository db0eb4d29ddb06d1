-- Who said what about this item, and which labels count?
-- grain: annotator and dimension
-- role: design (counts for agreement), gold, review, escalation or repeat
WITH label_events AS (
  FROM main.label_events WHERE item_id = $item
),
clips AS (
  FROM main.clips WHERE item_id = $item
),
{answers},
{labels}
SELECT dimension, annotator_id, value, role, changed, seconds, created_at
FROM labels
ORDER BY dimension, created_at, annotator_id
