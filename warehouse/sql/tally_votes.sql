-- Which annotators said what about how many items? The agreement between people follows.
-- grain: dimension, prompt where one is asked for, and list of votes
-- votes: of one item, in ascending order: twice the annotator's number, + 1 for pass
-- Filled in by warehouse/tallies.py: design, a relation of design labels; prompt, a column of it.
CREATE OR REPLACE TEMP TABLE tally_votes AS
WITH judged AS (
  SELECT
    dimension,
    item_id,
    {prompt} AS prompt_id,
    list_sort(list(2 * number + (value = 'pass')::INTEGER)) AS votes
  FROM {design}
  JOIN tally_numbers USING (annotator_id)
  GROUP BY ALL
)
SELECT dimension, prompt_id, votes, count(*) AS items
FROM judged
GROUP BY ALL
