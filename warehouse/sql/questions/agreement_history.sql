-- How has agreement changed from measurement to measurement?
-- grain: dimension and measurement
-- measured_at: when the measurement was committed
SELECT dimension, observed_at AS measured_at, value, low, high, items, labels, measurement_id
FROM agreement
WHERE statistic = $statistic AND slice = 'all'
ORDER BY dimension, measured_at, measurement_id
