-- How many items got so many pass labels out of the two that a pair of annotators gave?
-- grain: dimension, pair (value), prompt where one is asked for, n_pass and n_fail
WITH paired AS (
  SELECT
    dimension,
    first || '|' || second AS value,
    prompt_id,
    both_pass,
    first_pass + second_pass AS differ,
    both_fail
  FROM tally_pairs
),
cells AS (
  SELECT dimension, value, prompt_id, 2 AS n_pass, both_pass AS items FROM paired
  UNION ALL
  SELECT dimension, value, prompt_id, 1, differ FROM paired
  UNION ALL
  SELECT dimension, value, prompt_id, 0, both_fail FROM paired
)
SELECT dimension, value, prompt_id, NULL AS own, n_pass, 2 - n_pass AS n_fail, items
FROM cells
WHERE items > 0
