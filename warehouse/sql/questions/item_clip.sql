-- Where is the clip of this item?
-- grain: item
SELECT uri
FROM clips
WHERE item_id = $item
