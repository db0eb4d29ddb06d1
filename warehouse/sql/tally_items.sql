-- How many items have so many pass and so many fail labels?
-- grain: dimension, combination of facts, n_pass and n_fail
-- Measured: to group by item alone, with a counter for each kind of label (2 x the dimension's place
-- from 0 on, + 1 for fail), takes two thirds of the time of a GROUP BY item and dimension. An item
-- whose facts differ between dimensions (week) makes a group for each, with zeros elsewhere.
-- Filled in by warehouse/tallies.py: design, a relation of design labels; facts, columns of it;
-- counters, one for each kind; passes and fails, lists of the counters in the dimensions' order.
CREATE OR REPLACE TEMP TABLE tally_items AS
WITH coded AS (
  SELECT
    item_id,
    (2 * list_position($dimensions, dimension) - 2 + (value = 'fail')::INTEGER)::USMALLINT AS kind
    {facts}
  FROM {design}
),
counted AS (
  SELECT * EXCLUDE (kind) {counters}
  FROM coded
  GROUP BY ALL
),
alike AS (
  SELECT * EXCLUDE (item_id), count(*) AS items
  FROM counted
  GROUP BY ALL
),
apart AS (
  SELECT
    unnest($dimensions) AS dimension,
    unnest({passes}) AS n_pass,
    unnest({fails}) AS n_fail,
    items
    {names}
  FROM alike
)
SELECT * EXCLUDE (items), sum(items) AS items
FROM apart
WHERE n_pass + n_fail > 0
GROUP BY ALL
