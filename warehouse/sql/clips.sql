-- What is known of each generated video, and where is its file?
-- grain: item
-- revision: of the table media; NULL while the item's first row says everything
WITH newest AS (
  SELECT * FROM media_as_of(moment)
  QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY revision DESC) = 1
)
SELECT
  i.item_id,
  i.prompt_id,
  coalesce(m.uri, i.uri) AS uri,
  coalesce(m.generator, i.generator) AS generator,
  coalesce(m.attributes, i.attributes) AS attributes,
  i.design_k,
  coalesce(m.codec, i.codec) AS codec,
  coalesce(m.width, i.width) AS width,
  coalesce(m.height, i.height) AS height,
  coalesce(m.fps, i.fps) AS fps,
  coalesce(m.frames, i.frames) AS frames,
  coalesce(m.duration, i.duration) AS duration,
  coalesce(m.media_sha256, i.media_sha256) AS media_sha256,
  m.revision
FROM items_as_of(moment) AS i
LEFT JOIN newest AS m USING (item_id)
