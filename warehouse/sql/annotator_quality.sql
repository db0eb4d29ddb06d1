-- How good is each annotator, as of the last measurement?
-- grain: annotator and dimension
-- labels: design labels given
WITH newest AS (
  SELECT arg_max(measurement_id, observed_at) AS measurement_id FROM annotators_as_of(moment)
)
SELECT annotator_id, dimension, labels, pass_rate, sensitivity, specificity, leave_one_out, seconds,
  measurement_id
FROM annotators_as_of(moment)
SEMI JOIN newest USING (measurement_id)
