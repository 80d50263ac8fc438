"""Draws random texts with a known probability.

Real posts have no true likelihood to compare a model with. Posts from a weighted, non-recursive grammar have one: no
text can be derived in two ways (a test proves this), so the entropy of a text is the sum of the entropies of its
choices. No model can have a lower expected loss per unseen post, including its end.
"""

import math
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from rules import RULES


class Choice(NamedTuple):
    """A production of a symbol: literal texts at even indices, names of symbols at odd indices."""

    probability: float
    parts: tuple[str, ...]


@cache
def choices(symbol: str) -> tuple[Choice, ...]:
    """Return the productions of a symbol, whose probabilities sum to one."""
    weights = RULES[symbol]
    total = sum(weights.values())
    return tuple(Choice(weight / total, tuple(re.split(r"\{(\w+)\}", text))) for text, weight in weights.items())


def sample(rng: random.Random, symbol: str = "post") -> str:
    """Draw a text of a symbol."""
    ways = choices(symbol)
    [way] = rng.choices(ways, [each.probability for each in ways])
    return "".join(sample(rng, part) if place % 2 else part for place, part in enumerate(way.parts))


def log_probability(text: str, symbol: str = "post") -> float:
    """Return the natural logarithm of the probability of a text; minus infinity for an impossible text."""
    total = sum(chance for end, chance in _readings(symbol, text, 0) if end == len(text))
    return math.log(total) if total else -math.inf


def entropy_per_post() -> float:
    """Return the entropy of a post in nats, the lower bound of the loss of any model."""
    return _mean("post", of_choice=lambda probability: -math.log(probability), of_text=lambda _: 0.0)


def mean_characters() -> float:
    """Return the expected length of a post in characters."""
    return _mean("post", of_choice=lambda _: 0.0, of_text=len)


def _mean(symbol: str, of_choice: Callable[[float], float], of_text: Callable[[str], float]) -> float:
    """Return the expected sum of the values of all choices and literal texts."""
    return sum(
        way.probability
        * (
            of_choice(way.probability)
            + sum(map(of_text, way.parts[::2]))
            + sum(_mean(part, of_choice, of_text) for part in way.parts[1::2])
        )
        for way in choices(symbol)
    )


def _readings(symbol: str, text: str, start: int) -> Iterator[tuple[int, float]]:
    """Yield the end and the probability of each derivation of a symbol in a text from `start`."""
    for way in choices(symbol):
        for end, chance in _read_parts(way.parts, text, start):
            yield end, way.probability * chance


def _read_parts(parts: tuple[str, ...], text: str, start: int) -> Iterator[tuple[int, float]]:
    """Yield the end and the probability of each derivation of a sequence of literals and symbols."""
    literal, *rest = parts
    if not text.startswith(literal, start):
        return
    start += len(literal)
    if not rest:
        yield start, 1.0
        return
    for middle, chance in _readings(rest[0], text, start):
        for end, chance_of_rest in _read_parts(tuple(rest[1:]), text, middle):
            yield end, chance * chance_of_rest
