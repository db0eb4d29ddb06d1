-- How many items of each slice have so many pass and so many fail labels?
-- grain: dimension, value, prompt where one is asked for, n_pass and n_fail
-- Filled in by warehouse/tallies.py: value and prompt, expressions over the facts of tally_items.
WITH sliced AS (
  SELECT dimension, {value} AS value, {prompt} AS prompt_id, n_pass, n_fail, items
  FROM tally_items
)
SELECT dimension, value, prompt_id, NULL AS own, n_pass, n_fail, sum(items) AS items
FROM sliced
WHERE value IS NOT NULL
GROUP BY ALL
