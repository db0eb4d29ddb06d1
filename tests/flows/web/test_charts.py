"""Where the points of a chart lie."""

from flows.web.charts import HEIGHT, LEFT, RIGHT, TOP, WIDTH, charts


def row(value, low=None, high=None, at="2026-W01", dimension="shape"):
    return {"dimension": dimension, "value": value, "low": low, "high": high, "week": at}


def test_a_higher_number_lies_higher_and_a_later_one_further_right():
    (chart,) = charts([row(0.2, 0.1, 0.3), row(0.8, 0.7, 0.9, "2026-W02")], "week")
    first, second = chart.points
    assert first.y > second.y
    assert LEFT < first.x < second.x < WIDTH - RIGHT
    assert first.low > first.y > first.high
    assert (chart.first, chart.last) == ("2026-W01", "2026-W02")


def test_one_is_the_top_and_what_lies_below_zero_is_still_inside():
    (chart,) = charts([row(1.0), row(-0.5, -0.7, 0.0)], "week")
    assert chart.points[0].y == TOP
    assert max(chart.points[1].low, chart.scale[0][0]) < HEIGHT
    assert chart.scale[0][1] == "-0.70"


def test_numbers_that_are_missing_are_left_out():
    assert charts([row(None)], "week") == []
    assert [chart.title for chart in charts([row(0.1), row(0.1, dimension="motion")], "week")] == [
        "shape", "motion",
    ]  # fmt: skip
