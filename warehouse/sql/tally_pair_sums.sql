-- What do two annotators say about the items that both of them labelled, over all prompts?
-- grain: dimension and pair of annotators
SELECT
  dimension,
  first,
  second,
  sum(both_pass) AS both_pass,
  sum(first_pass) AS first_pass,
  sum(second_pass) AS second_pass,
  sum(both_fail) AS both_fail
FROM tally_pairs
GROUP BY dimension, first, second
