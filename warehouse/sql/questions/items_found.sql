-- Which items have these words in their prompt, in any order, or the whole in their id?
-- grain: item, 50 a page
-- found: items found in all
-- decisions: consensus of each dimension, by Dawid-Skene
WITH read AS ( -- each prompt once, not once for each of its items
  SELECT prompt_id, text,
    list_bool_and([
      contains(lower(text), word) FOR word IN string_split_regex(lower($search), '\s+')
    ]) AS named
  FROM prompts
),
wanted AS (
  SELECT item_id, generator, duration, text
  FROM clips
  JOIN read USING (prompt_id)
  WHERE (named OR contains(lower(item_id), lower($search)))
    AND ($generator = '' OR generator = $generator)
),
page AS (
  SELECT item_id, generator, duration, text, count(*) OVER () AS found
  FROM wanted
  ORDER BY item_id
  LIMIT 50 OFFSET 50 * ($page::BIGINT - 1)
)
SELECT
  p.item_id,
  p.generator,
  p.duration,
  p.text,
  p.found,
  list({dimension: c.dimension, label: c.label, p_pass: c.p_pass} ORDER BY c.dimension)
    FILTER (c.label IS NOT NULL) AS decisions
FROM page AS p
LEFT JOIN latest_consensus AS c ON c.method = 'dawid_skene' AND c.item_id = p.item_id
GROUP BY ALL
ORDER BY p.item_id
