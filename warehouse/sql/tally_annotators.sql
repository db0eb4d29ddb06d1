-- How many annotators gave design labels in each slice?
-- grain: dimension and value
-- Filled in by warehouse/tallies.py: value, an expression over the facts of tally_people.
WITH sliced AS (
  SELECT dimension, annotator_id, {value} AS value
  FROM tally_people
)
SELECT dimension, value, count(DISTINCT annotator_id) AS annotators
FROM sliced
WHERE value IS NOT NULL
GROUP BY dimension, value
