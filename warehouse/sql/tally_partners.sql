-- How many annotators labelled items together with an annotator, who counts, too?
-- grain: dimension and annotator (value)
WITH partners AS (
  SELECT dimension, first AS value, second AS partner FROM tally_pairs
  UNION
  SELECT dimension, second, first FROM tally_pairs
  UNION
  SELECT dimension, annotator_id, annotator_id FROM tally_people
)
SELECT dimension, value, count(*) AS annotators
FROM partners
GROUP BY dimension, value
