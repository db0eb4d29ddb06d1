-- How far is the labelling of each item?
-- grain: item and dimension
-- design_labels: design labels given so far
-- n_pass: design labels saying pass
-- n_fail: design labels saying fail
-- other_labels: gold, review, escalation and repeat labels
-- complete: whether the item has the design labels it is to get
WITH asked AS (
  SELECT DISTINCT dimension FROM label_events_as_of(moment)
)
SELECT
  i.item_id,
  a.dimension,
  i.design_k,
  count(*) FILTER (l.role = 'design') AS design_labels,
  count(*) FILTER (l.role = 'design' AND l.value = 'pass') AS n_pass,
  count(*) FILTER (l.role = 'design' AND l.value = 'fail') AS n_fail,
  count(*) FILTER (l.role <> 'design') AS other_labels,
  count(*) FILTER (l.role = 'design') >= i.design_k AS complete
FROM items_as_of(moment) AS i
CROSS JOIN asked AS a
LEFT JOIN labels_as_of(moment) AS l ON l.item_id = i.item_id AND l.dimension = a.dimension
GROUP BY i.item_id, a.dimension, i.design_k
