"""Random lives: whatever users, clusters and clocks do in whatever order, the operator never loses its head.

Many walks are drawn at random, and some by hypothesis, which is slower and makes the shortest one of those that fail.
`WALKS=10 pytest …` walks ten times as far.
"""

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from life import EVENTS, Event, Life

FAR = int(os.environ.get("WALKS", "1"))
STEPS = 40
REST = 8
"""After how many steps a random walk sees whether all comes to rest, which takes as long as four steps."""


@pytest.mark.parametrize("part", range(4))
def test_walks_drawn_at_random(part: int) -> None:
    for number in range(600 * FAR):
        seed = f"{part}-{number}"
        try:
            walk(Random(seed))
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise


def walk(random: Random) -> None:
    """A life in which some kinds of events happen, and others never do; half of them begin with a finished model."""
    life = Life(random.choice)
    if random.choice((False, True)):
        life.all_goes_well()
    kinds = random.sample(EVENTS, random.randint(3, len(EVENTS)))
    for step in range(STEPS):
        possible = [event for event in kinds if event.may_happen(life)]
        if possible:
            life.happen(random.choice(possible))
        if step % REST == 0:
            life.comes_to_rest()
    life.ends_well()


class Walk(RuleBasedStateMachine):
    """Its rules are the events."""

    life: Life

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.life = Life(chosen_by(data))

    @invariant()
    def comes_to_rest(self) -> None:
        self.life.comes_to_rest()

    def teardown(self) -> None:
        self.life.ends_well()


def chosen_by(data: st.DataObject) -> Callable[..., Any]:
    return lambda among: data.draw(st.sampled_from(among))


def a_rule(event: Event) -> Any:
    def happens(self: Walk, data: st.DataObject) -> None:
        self.life.choose = chosen_by(data)
        self.life.happen(event)

    happens.__name__ = event.happens.__name__
    return precondition(lambda self: event.may_happen(self.life))(rule(data=st.data())(happens))


for each in EVENTS:
    setattr(Walk, each.happens.__name__, a_rule(each))

TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60 * FAR, stateful_step_count=STEPS)
