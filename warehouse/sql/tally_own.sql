-- How did the others label the items that an annotator labelled?
-- grain: dimension, annotator (value), prompt where one is asked for, own, n_pass and n_fail
-- own: whether the annotator said pass
-- n_pass: labels of the others that say pass
-- n_fail: labels of the others that say fail
WITH voted AS (
  SELECT
    dimension,
    prompt_id,
    unnest(votes) AS vote,
    list_sum(list_transform(votes, lambda v: v % 2)) AS n_pass,
    len(votes) AS n_labels,
    items
  FROM tally_votes
)
SELECT
  dimension,
  annotator_id AS value,
  prompt_id,
  vote % 2 = 1 AS own,
  n_pass - vote % 2 AS n_pass,
  n_labels - n_pass - (1 - vote % 2) AS n_fail,
  sum(items) AS items
FROM voted
JOIN tally_numbers ON number = vote // 2
GROUP BY ALL
