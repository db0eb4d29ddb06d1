-- Which models were trained?
-- grain: model, newest first
-- head, loss: of the training config
-- rewards: rewards that the model gave
WITH given AS (
  SELECT model_id, count(*) AS rewards FROM scores GROUP BY model_id
)
SELECT
  r.model_id,
  r.observed_at,
  r.pair_set_id,
  json_extract_string(r.config, '$.head.kind') AS head,
  json_extract_string(r.config, '$.loss.kind') AS loss,
  r.seconds,
  coalesce(g.rewards, 0) AS rewards
FROM runs AS r
LEFT JOIN given AS g USING (model_id)
ORDER BY r.observed_at DESC, r.model_id
