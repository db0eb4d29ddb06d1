-- How many design labels repeat an annotator's answer, and where does the first one stand?
-- grain: the first such item and dimension, if there is one
-- repeats: such labels of all items and dimensions
WITH counted AS (
  SELECT item_id, dimension, count(*) - count(DISTINCT annotator_id) AS more
  FROM tally_labels
  GROUP BY item_id, dimension
)
SELECT item_id, dimension, sum(more) OVER () AS repeats
FROM counted
WHERE more > 0
ORDER BY dimension, item_id
LIMIT 1
