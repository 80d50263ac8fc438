"""The loss curve."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.curve import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, curve, levels

positive = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(positive, max_size=60), positive, positive)
def test_every_point_lies_within_the_frame(losses: list[float], before: float, after: float) -> None:
    svg = ElementTree.fromstring(curve([(10 * n + 1, loss) for n, loss in enumerate(losses)], before, after))
    points = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in svg.iter("circle")]
    for line in svg.iter("polyline"):
        points += [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP - 1 <= y <= HEIGHT - BOTTOM for x, y in points)


@pytest.mark.parametrize(
    ("highest", "expected"), [(7.1, [0, 2, 4, 6]), (0.9, [0, 0.2, 0.4, 0.6, 0.8]), (3, [0, 1, 2, 3])]
)
def test_levels_are_round(highest: float, expected: list[float]) -> None:
    assert levels(highest) == expected


@given(st.floats(1e-3, 1e30))
def test_levels_are_few_and_never_above_the_highest(highest: float) -> None:
    found = levels(highest)
    assert 1 <= len(found) <= 7
    assert found[-1] <= highest * (1 + 1e-9) or math.isclose(found[-1], highest)
