-- Which attributes do the prompts of the labelled items have?
-- grain: name
-- Filled in by warehouse/tallies.py: attributes, the column of tally_people that holds them as JSON.
SELECT DISTINCT unnest(map_keys({attributes}::JSON::MAP(VARCHAR, VARCHAR))) AS name
FROM tally_people
ORDER BY name
