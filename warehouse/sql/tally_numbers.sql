-- Which number stands for each annotator?
-- grain: annotator
CREATE OR REPLACE TEMP TABLE tally_numbers AS
SELECT annotator_id, row_number() OVER (ORDER BY annotator_id) AS number
FROM (SELECT DISTINCT annotator_id FROM tally_people)
