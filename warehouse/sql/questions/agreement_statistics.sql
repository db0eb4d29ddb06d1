-- How far did annotators agree at the last measurement, by every statistic?
-- grain: dimension and statistic
SELECT dimension, statistic, value, low, high, word, reason, items, labels, annotators
FROM latest_agreement
WHERE slice = 'all'
ORDER BY dimension, statistic
