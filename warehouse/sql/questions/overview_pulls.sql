-- What came in last?
-- grain: pull
SELECT observed_at, origin, tasks, annotations, events, quarantined, seconds, pull_id
FROM pulls
ORDER BY observed_at DESC, pull_id
LIMIT 5
