-- Where do annotators agree least?
-- grain: dimension and slice, weeks left out
SELECT dimension, slice, value, low, high, word, reason, items, labels, annotators
FROM latest_agreement
WHERE statistic = $statistic AND slice <> 'all' AND slice NOT LIKE 'week=%'
ORDER BY value NULLS LAST, dimension, slice
LIMIT 100
