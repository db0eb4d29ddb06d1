-- What is known of this item?
-- grain: item
SELECT item_id, prompt_id, text, uri, generator, c.attributes, p.attributes AS asked, design_k,
  codec, width, height, fps, frames, duration, media_sha256
FROM clips AS c
LEFT JOIN prompts AS p USING (prompt_id)
WHERE item_id = $item
