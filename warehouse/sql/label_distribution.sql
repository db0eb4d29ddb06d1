-- How are pass and fail distributed over generators and over what the prompts ask for?
-- grain: dimension, generator, prompt attribute and its value
-- attribute: name of a prompt attribute (subject, motion, style, camera, ...), or all
-- setting: the attribute's value; all where the attribute is all
-- items: items with a design label
-- labels: design labels
-- pass_rate: share of pass among the design labels
WITH by_prompt AS (
  SELECT
    dimension,
    generator,
    prompt_id,
    count(DISTINCT item_id) AS items,
    count(*) AS labels,
    count(*) FILTER (value = 'pass') AS n_pass
  FROM labels_as_of(moment)
  WHERE role = 'design'
  GROUP BY dimension, generator, prompt_id
),
asked AS (
  SELECT prompt_id, unnest(map_entries(attributes::JSON::MAP(VARCHAR, VARCHAR))) AS entry
  FROM prompts_as_of(moment)
),
settings AS (
  SELECT prompt_id, entry.key AS attribute, entry.value AS setting
  FROM asked
  WHERE entry.value IS NOT NULL
  UNION ALL
  SELECT DISTINCT prompt_id, 'all', 'all'
  FROM by_prompt
)
SELECT
  dimension,
  generator,
  attribute,
  setting,
  sum(items)::BIGINT AS items,
  sum(labels)::BIGINT AS labels,
  sum(n_pass) / sum(labels) AS pass_rate
FROM by_prompt
JOIN settings USING (prompt_id)
GROUP BY dimension, generator, attribute, setting
