-- Did this annotator get closer to the others, from measurement to measurement?
-- grain: dimension and measurement
-- value: agreement with the majority of the others
SELECT dimension, observed_at AS measured_at, leave_one_out AS value, low, high, labels
FROM annotators
WHERE annotator_id = $annotator
ORDER BY dimension, measured_at, measurement_id
