-- What was decided about this item, by each method?
-- grain: dimension and method
SELECT dimension, method, label, p_pass, n_pass, n_fail
FROM latest_consensus
WHERE item_id = $item
ORDER BY dimension, method
