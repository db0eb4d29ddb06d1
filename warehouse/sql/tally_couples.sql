-- How many annotators is a pair of annotators?
-- grain: dimension and pair (value)
SELECT DISTINCT dimension, first || '|' || second AS value, 2 AS annotators
FROM tally_pairs
