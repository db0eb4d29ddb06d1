-- How many items were decided, and how?
-- grain: dimension
SELECT
  dimension,
  count(*) FILTER (label = 'pass') AS pass,
  count(*) FILTER (label = 'fail') AS fail,
  count(*) FILTER (label = 'undecided') AS undecided
FROM latest_consensus
WHERE method = 'dawid_skene'
GROUP BY dimension
ORDER BY dimension
