-- Who gave design labels, and on which kinds of items?
-- grain: dimension, annotator and combination of facts
-- Filled in by warehouse/tallies.py: design, a relation of design labels; facts, columns of it.
CREATE OR REPLACE TEMP TABLE tally_people AS
SELECT dimension, annotator_id {facts}
FROM {design}
GROUP BY ALL
