-- How often does each generator pass?
-- grain: dimension and generator
-- items: items with a design label
-- labels: design labels
-- pass_rate: share of pass among the design labels
SELECT
  dimension,
  generator,
  count(DISTINCT item_id) AS items,
  count(*) AS labels,
  avg((value = 'pass')::INTEGER) AS pass_rate
FROM labels_as_of(moment)
WHERE role = 'design'
GROUP BY dimension, generator
