-- How many labels are there in each role, and how many of them were corrected?
-- grain: dimension and role
-- Filled in by warehouse/tallies.py: labels, a relation of labels of every role.
SELECT dimension, role, count(*) AS labels, count(*) FILTER (changed) AS corrected
FROM {labels}
GROUP BY dimension, role
