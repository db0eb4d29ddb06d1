-- How good is each annotator, as of the last measurement?
-- grain: annotator and dimension
-- labels: design labels given
WITH newest AS (
  SELECT arg_max(measurement_id, observed_at) AS measurement_id FROM annotators_as_of(moment)
)
SELECT
  annotator_id,
  dimension,
  labels,
  pass_rate,
  pass_bias,
  sensitivity,
  specificity,
  leave_one_out,
  compared,
  low,
  high,
  gold_labels,
  gold_accuracy,
  gold_low,
  gold_high,
  seconds,
  fast_share,
  flags,
  measurement_id
FROM annotators_as_of(moment)
SEMI JOIN newest USING (measurement_id)
