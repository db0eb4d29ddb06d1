-- How many items did each generator make?
-- grain: generator
SELECT generator, count(*) AS items
FROM clips
GROUP BY generator
ORDER BY generator
