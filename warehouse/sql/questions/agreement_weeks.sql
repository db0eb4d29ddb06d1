-- How has agreement developed, week by week?
-- grain: dimension and week, as of the last measurement
-- week: ISO week, UTC, of the item's first design label
SELECT dimension, replace(slice, 'week=', '') AS week, value, low, high, items, labels
FROM latest_agreement
WHERE statistic = $statistic AND slice LIKE 'week=%'
ORDER BY dimension, week
