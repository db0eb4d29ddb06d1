-- Do the splits of this pair set share prompts or videos?
-- grain: prompt or video, and two splits
SELECT what, split, other_split, shared
FROM pair_leakage
WHERE pair_set_id = $set
ORDER BY what, split, other_split
