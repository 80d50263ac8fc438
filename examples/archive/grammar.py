"""Text drawn by chance whose exact probability is known.

The quickstart's demo has to say how good a trained model is, and real posts have no true likelihood to
compare it with. Posts drawn from a weighted, non-recursive grammar do: since no text can be written in two
ways (a test proves it), a text's entropy is the sum of its choices' entropies, and no model's expected
negative log likelihood per unseen post, its end included, can be below it.
"""

import math
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from rules import RULES


class Choice(NamedTuple):
    """One way to write a symbol: literal text at the even places, symbols' names at the odd ones."""

    probability: float
    parts: tuple[str, ...]


@cache
def choices(symbol: str) -> tuple[Choice, ...]:
    """The ways to write `symbol`, with probabilities that sum to one."""
    weights = RULES[symbol]
    total = sum(weights.values())
    return tuple(Choice(weight / total, tuple(re.split(r"\{(\w+)\}", text))) for text, weight in weights.items())


def sample(rng: random.Random, symbol: str = "post") -> str:
    """Draw one text of `symbol`."""
    ways = choices(symbol)
    [way] = rng.choices(ways, [each.probability for each in ways])
    return "".join(sample(rng, part) if place % 2 else part for place, part in enumerate(way.parts))


def log_probability(text: str, symbol: str = "post") -> float:
    """The exact natural logarithm of the chance to draw `text`; minus infinity for a text never drawn."""
    total = sum(chance for end, chance in _readings(symbol, text, 0) if end == len(text))
    return math.log(total) if total else -math.inf


def entropy_per_post() -> float:
    """The mean of minus `log_probability` over posts, in nats: the floor of any model's loss."""
    return _mean("post", of_choice=lambda probability: -math.log(probability), of_text=lambda _: 0.0)


def mean_characters() -> float:
    """The mean length of a post."""
    return _mean("post", of_choice=lambda _: 0.0, of_text=len)


def _mean(symbol: str, of_choice: Callable[[float], float], of_text: Callable[[str], float]) -> float:
    """The expected sum of what each choice made and each literal written is worth."""
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
    """Every way `symbol` can be read in `text` from `start`: where it ends and its probability."""
    for way in choices(symbol):
        for end, chance in _read_parts(way.parts, text, start):
            yield end, way.probability * chance


def _read_parts(parts: tuple[str, ...], text: str, start: int) -> Iterator[tuple[int, float]]:
    """Every way a literal, a symbol, a literal ... can be read one after the other."""
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
