"""Random walks: the operator keeps its invariants in any order of actions of users, nodes, clocks and crashes.

Most walks are drawn at random. Hypothesis draws some more, which is slower, but finds the shortest failing walk.
`WALKS=10 pytest …` multiplies the number of walks.
"""

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulation import ACTIONS, Action, Simulation

FACTOR = int(os.environ.get("WALKS", "1"))
WALKS_PER_PART = 600 * FACTOR
STEPS = 40
IDLE_CHECK_STEPS = 8
"""Actions between two checks that the operator becomes idle; a check takes as long as four actions."""


@pytest.mark.parametrize("part", range(4))
def test_random_walks_keep_all_invariants(part: int) -> None:
    for number in range(WALKS_PER_PART):
        seed = f"{part}-{number}"
        try:
            walk(Random(seed))
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise


def walk(random: Random) -> None:
    """Walk with a random subset of the actions; half of the walks begin with a finished model."""
    simulation = Simulation(random.choice)
    if random.choice((False, True)):
        simulation.finish_everything()
    actions = random.sample(ACTIONS, random.randint(3, len(ACTIONS)))
    for step in range(STEPS):
        possible = [action for action in actions if action.is_possible(simulation)]
        if possible:
            simulation.take(random.choice(possible))
        if step % IDLE_CHECK_STEPS == 0:
            simulation.check_idle()
    simulation.check_good_end()


class Walk(RuleBasedStateMachine):
    """A state machine whose rules are the actions."""

    simulation: Simulation

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.simulation = Simulation(chooser(data))

    @invariant()
    def becomes_idle(self) -> None:
        self.simulation.check_idle()

    def teardown(self) -> None:
        self.simulation.check_good_end()


def chooser(data: st.DataObject) -> Callable[..., Any]:
    return lambda options: data.draw(st.sampled_from(options))


def as_rule(action: Action) -> Any:
    def take(self: Walk, data: st.DataObject) -> None:
        self.simulation.choose = chooser(data)
        self.simulation.take(action)

    take.__name__ = action.run.__name__
    return precondition(lambda self: action.is_possible(self.simulation))(rule(data=st.data())(take))


for _action in ACTIONS:
    setattr(Walk, _action.run.__name__, as_rule(_action))

TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60 * FACTOR, stateful_step_count=STEPS)
