"""Tests of the loss chart."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.presentation.loss_chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    gridlines,
    render_loss_chart,
)

positive = st.floats(0, 1e6, allow_nan=False)


steps = st.integers(1, 500)


def dots(svg: str) -> list[tuple[float, float]]:
    return [(float(dot.get("cx")), float(dot.get("cy"))) for dot in ElementTree.fromstring(svg).iter("circle")]


@given(st.lists(positive, max_size=60), positive, st.tuples(steps, positive), st.lists(st.tuples(steps, positive)))
def test_all_points_are_inside_the_chart(
    losses: list[float], before: float, after: tuple[int, float], between: list[tuple[int, float]]
) -> None:
    svg = render_loss_chart([(10 * n + 1, loss) for n, loss in enumerate(losses)], before, after, between)
    points = dots(svg)
    assert len(points) == 2 + len(between)
    for line in ElementTree.fromstring(svg).iter("polyline"):
        points += [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP - 1 <= y <= HEIGHT - BOTTOM for x, y in points)


def test_the_final_loss_is_at_the_step_of_the_kept_weights() -> None:
    losses = [(n, 4 - n / 100) for n in range(0, 401, 8)]
    drawn = render_loss_chart(losses, 5.0, (200, 3.0), [(100, 3.5), (200, 3.0), (300, 3.2), (400, 3.4)])
    *measured, before, after = dots(drawn)
    assert after == measured[1]
    assert before[0] == LEFT
    assert [x for x, _ in measured] == sorted(x for x, _ in measured)
    assert measured[3][0] == WIDTH - RIGHT


@pytest.mark.parametrize(("top", "expected"), [(7.1, [0, 2, 4, 6]), (0.9, [0, 0.2, 0.4, 0.6, 0.8]), (3, [0, 1, 2, 3])])
def test_gridlines_are_round(top: float, expected: list[float]) -> None:
    assert gridlines(top) == expected


@given(st.floats(1e-3, 1e30))
def test_gridlines_are_few_and_below_the_top(top: float) -> None:
    found = gridlines(top)
    assert 1 <= len(found) <= 7
    assert found[-1] <= top * (1 + 1e-9) or math.isclose(found[-1], top)
