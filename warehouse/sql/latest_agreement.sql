-- How far did annotators agree at the last measurement?
-- grain: dimension, slice and statistic
WITH newest AS (
  SELECT arg_max(measurement_id, observed_at) AS measurement_id FROM agreement_as_of(moment)
)
SELECT dimension, slice, statistic, value, low, high, word, reason, items, labels, annotators,
  measurement_id
FROM agreement_as_of(moment)
SEMI JOIN newest USING (measurement_id)
