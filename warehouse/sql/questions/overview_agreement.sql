-- How far do annotators agree, and what did the gates say?
-- grain: dimension
-- verdict: stop where any gate of the newest measurement stopped
WITH verdicts AS (
  SELECT measurement_id, dimension, max(verdict) AS verdict -- stop comes after go
  FROM gates
  GROUP BY measurement_id, dimension
)
SELECT dimension, value, low, high, word, reason, items, labels, verdict
FROM latest_agreement
LEFT JOIN verdicts USING (measurement_id, dimension)
WHERE statistic = 'alpha' AND slice = 'all'
ORDER BY dimension
