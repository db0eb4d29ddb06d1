-- Which items of pair sets rest on these labels, or are the item asked for?
-- grain: pair set, dimension and item
-- used: the rows of touched_labels.sql; $item: what stands in a set is asked for, labels or not
WITH recipes AS MATERIALIZED (
  SELECT
    pair_set_id,
    consensus_id,
    from_json(recipe, '{"combined": "MAP(VARCHAR, VARCHAR)"}').combined AS combined
  FROM pair_sets
),
-- A combined dimension has no labels of its own: its parts are the names in its expression, but
-- those that are spelled there with a backslash.
sources AS MATERIALIZED (
  SELECT m.pair_set_id, m.dimension, r.consensus_id, u.dimension AS judged
  FROM (SELECT DISTINCT pair_set_id, dimension FROM pair_set_items) AS m
  JOIN recipes AS r USING (pair_set_id)
  JOIN (SELECT DISTINCT consensus_id, dimension FROM used) AS u
    ON u.consensus_id = r.consensus_id AND (
      u.dimension = m.dimension OR regexp_matches(
        r.combined[m.dimension],
        '(^|[^\pL\pN_])' || regexp_escape(u.dimension) || '([^\pL\pN_]|$)'
      )
    )
),
labelled AS MATERIALIZED (
  SELECT s.pair_set_id, s.dimension, u.item_id, count(*) AS labels
  FROM sources AS s
  JOIN used AS u ON u.consensus_id = s.consensus_id AND u.dimension = s.judged
  GROUP BY ALL
)
SELECT m.pair_set_id, m.dimension, m.split, m.ordinal, m.item_id, coalesce(l.labels, 0) AS labels
FROM pair_set_items AS m
LEFT JOIN labelled AS l USING (pair_set_id, dimension, item_id)
WHERE CASE WHEN $item IS NULL THEN l.labels IS NOT NULL ELSE m.item_id = $item END
