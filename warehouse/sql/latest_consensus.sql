-- What was decided last about each item, by each method?
-- grain: method, item and dimension
WITH newest AS (
  SELECT method, arg_max(consensus_id, observed_at) AS consensus_id
  FROM consensus_as_of(moment)
  GROUP BY method
)
SELECT item_id, dimension, label, p_pass, n_pass, n_fail, method, consensus_id
FROM consensus_as_of(moment)
JOIN newest USING (method, consensus_id)
