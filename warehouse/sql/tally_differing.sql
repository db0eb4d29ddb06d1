-- Which item is the first whose design labels in a dimension differ in a fact?
-- grain: that item, if there is one
-- Filled in by warehouse/tallies.py: fact, a column of tally_labels.
SELECT item_id
FROM tally_labels
GROUP BY item_id, dimension
HAVING count(DISTINCT {fact}) > 1 OR count({fact}) BETWEEN 1 AND count(*) - 1
ORDER BY item_id
LIMIT 1
