-- How good is this annotator, as of the last measurement?
-- grain: dimension
SELECT dimension, labels, pass_rate, pass_bias, sensitivity, specificity,
  leave_one_out, low, high, gold_labels, gold_accuracy, seconds, fast_share, flags
FROM annotator_quality
WHERE annotator_id = $annotator
ORDER BY dimension
