-- What do two annotators say about the items that both of them labelled?
-- grain: dimension, prompt where one is asked for, and pair of annotators, first < second
-- both_pass: items that both call pass
-- first_pass: items that only the first calls pass
-- second_pass: items that only the second calls pass
-- both_fail: items that both call fail
CREATE OR REPLACE TEMP TABLE tally_pairs AS
WITH one_vote AS (
  SELECT dimension, prompt_id, unnest(votes) AS one, votes, items
  FROM tally_votes
),
two_votes AS (
  SELECT dimension, prompt_id, one, unnest(votes) AS other, items
  FROM one_vote
)
SELECT
  dimension,
  prompt_id,
  f.annotator_id AS first,
  s.annotator_id AS second,
  coalesce(sum(items) FILTER (one % 2 = 1 AND other % 2 = 1), 0) AS both_pass,
  coalesce(sum(items) FILTER (one % 2 = 1 AND other % 2 = 0), 0) AS first_pass,
  coalesce(sum(items) FILTER (one % 2 = 0 AND other % 2 = 1), 0) AS second_pass,
  coalesce(sum(items) FILTER (one % 2 = 0 AND other % 2 = 0), 0) AS both_fail
FROM two_votes
JOIN tally_numbers AS f ON f.number = one // 2
JOIN tally_numbers AS s ON s.number = other // 2
WHERE one // 2 < other // 2
GROUP BY ALL
