-- Which generators meet in the win-lose pairs of this set?
-- grain: dimension, generator of the winner and of the other
-- share: of the dimension's win-lose pairs
SELECT
  dimension,
  winner_generator,
  other_generator,
  sum(pairs)::BIGINT AS pairs,
  sum(pairs) / sum(sum(pairs)) OVER (PARTITION BY dimension) AS share
FROM pair_generators
WHERE pair_set_id = $set AND kind = 'win_lose'
GROUP BY dimension, winner_generator, other_generator
ORDER BY dimension, pairs DESC, winner_generator, other_generator
