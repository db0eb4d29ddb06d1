-- How good is each annotator, as of the last measurement?
-- grain: annotator and dimension
SELECT annotator_id, dimension, labels, pass_rate, pass_bias, sensitivity, specificity,
  leave_one_out, low, high, gold_labels, gold_accuracy, seconds, fast_share, flags
FROM annotator_quality
ORDER BY annotator_id, dimension
