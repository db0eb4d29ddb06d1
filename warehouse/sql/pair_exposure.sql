-- How evenly does each pair set use its items?
-- grain: pair set, dimension, split, kind, side and number of pairs
-- side: winner or other; either in a tie, whose two items are on one side
-- pairs: number of pairs that an item stands in; 0: it stands in none
-- items: items of which that is so
SELECT pair_set_id, dimension, split, kind, side, pairs, count(*) AS items
FROM pair_uses_as_of(moment)
GROUP BY ALL
