-- Which generators meet in the win-lose pairs of this set?
-- grain: dimension, split, generator of the winner and of the other
-- share: of the win-lose pairs of the dimension and split
SELECT
  dimension,
  split,
  winner_generator,
  other_generator,
  sum(pairs)::BIGINT AS pairs,
  sum(pairs) / sum(sum(pairs)) OVER (PARTITION BY dimension, split) AS share
FROM pair_generators
WHERE pair_set_id = $set AND kind = 'win_lose'
GROUP BY dimension, split, winner_generator, other_generator
ORDER BY dimension, split, pairs DESC, winner_generator, other_generator
