"""Specs that are wrong, or strange, at one place each: every node of the CRD's schema, with every value that may hurt.

A pure function of the schema: a field that is added later is mutated too.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
Path = tuple[str | int, ...]

REMOVED = object()
LONG = "x" * 65_536
KEY = "cpu"
"""Of maps: resources know it, and everything else takes it."""
STRANGE = "\u202eé😀 \u0000'\"{{"
CANDIDATES = (
    *(
        "ada",
        "s3://bucket/key",
        "https://example.com/posts",
        "0.5",
        "1",
        "en",
        "0 * * * *",
        "UTC",
        "somebody/something",
    ),
    *("abcdef0123456789", "@somebody", "http://mlflow:5000", "main", "example.com/key"),
)
"""Of which one fits each pattern."""


ALWAYS: dict[str | None, Schema] = {
    "boolean": {"true": True, "false": False},
    None: {"nothing": 0, "less": -1, "huge": 2**62, "unit": "1Gi", "strange": STRANGE, "64 KB": LONG},
}
"""Values for a type whatever its bounds; a quantity, which is a number or text, has none."""


@dataclass(frozen=True)
class Mutation:
    """A spec and what is strange about it."""

    path: Path
    what: str
    spec: Schema

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.what}"


def mutations(schema: Schema, base: Schema) -> Iterator[Mutation]:
    """All of them.

    Args:
        schema: of the spec.
        base: a spec that is accepted.
    """
    for path, node in nodes(schema):
        for what, value in values(node):
            yield Mutation(path, what, put(base, schema, path, value))


def nodes(schema: Schema, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """Every place below the root, of a list its first item, of a map one key."""
    if isinstance(schema.get("additionalProperties"), dict):
        yield (*path, KEY), schema["additionalProperties"]
    for name, node in schema.get("properties", {}).items():
        yield (*path, name), node
        yield from nodes(node, (*path, name))
    if "items" in schema:
        yield (*path, 0), schema["items"]
        yield from nodes(schema["items"], (*path, 0))


def values(node: Schema) -> Iterator[tuple[str, Any]]:
    """What to put in a place of this schema, by name."""
    yield "removed", REMOVED
    yield "null", None
    yield "another type", [] if node.get("type") in ("object", "string") else {"a": "b"}
    yield from ALWAYS.get(node.get("type"), {}).items()
    match node.get("type"):
        case "string":
            yield from {"empty": "", "strange": STRANGE, "64 KB": LONG}.items()
            if longest := node.get("maxLength"):
                yield "as long as may be", _stretched(node, longest)
                yield "one too long", _stretched(node, longest + 1)
            yield from (((f"enum {value}", value)) for value in node.get("enum", ()))
        case "integer":
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in node:
                    yield bound, node[bound]
                    yield f"beyond {bound}", node[bound] + step
            yield "huge", 2**62
        case "array":
            yield "empty", []
            yield "one too many", _items(node["items"], node.get("maxItems", 100) + 1)
            if most := node.get("maxItems"):
                yield "as many as may be", _items(node["items"], most)
        case "object":
            yield "empty", {}
            yield "unknown field", {"nobodyKnows": 1}
            yield from _of_a_map(node)


def _of_a_map(node: Schema) -> Iterator[tuple[str, Any]]:
    if not isinstance(node.get("additionalProperties"), dict):
        return
    yield from {"strange key": {STRANGE: "1"}, "strange value": {"key": STRANGE}, "64 KB value": {"key": LONG}}.items()
    if most := node.get("maxProperties"):
        every = {f"key-{number}": example(node["additionalProperties"]) for number in range(most + 1)}
        yield "one too many", every
        yield "as many as may be", dict(list(every.items())[:most])


def _stretched(node: Schema, length: int) -> str:
    """A text of this length that fits the pattern, if one that is easily made does."""
    text = example(node)
    longer = (text[:-1] + letter * (length - len(text)) + text[-1:] for letter in "x0a")
    return next((made for made in longer if re.search(node.get("pattern", ""), made)), "x" * length)


def _items(node: Schema, number: int) -> list[Any]:
    """Items of which no two are the same, where they are text that is easily made so."""
    one = example(node)
    others = [f"{one}{n}" for n in range(number)] if isinstance(one, str) and "enum" not in node else []
    return others if others and all(re.search(node.get("pattern", ""), other) for other in others) else [one] * number


def put(base: Schema, schema: Schema, path: Path, value: Any) -> Schema:
    """The base with a value at a place; what must stand around it is made up, what excludes it goes."""
    spec = copy.deepcopy(base)
    here: Any = spec
    for index, step in enumerate(path):
        _choose(here, schema, step)
        schema = _below(schema, step)
        if index == len(path) - 1:
            break
        if isinstance(step, int):
            if not here:
                here.append(example(schema))
        elif not here.get(step):
            here[step] = example(schema)
        here = here[step]
    last = path[-1]
    if isinstance(last, int):
        here[:1] = [] if value is REMOVED else [value]
    elif value is REMOVED:
        here.pop(last, None)
    else:
        here[last] = value
    return spec


def _below(schema: Schema, step: str | int) -> Schema:
    if isinstance(step, int):
        return schema["items"]
    return schema["properties"][step] if "properties" in schema else schema["additionalProperties"]


def _choose(here: Any, schema: Schema, step: str | int) -> None:
    """Where one of several fields may be given, takes the others away."""
    for members in _unions(schema, "exists_one", " != has(self."):
        for other in members if step in members else ():
            if other != step:
                here.pop(other, None)


def _unions(schema: Schema, *marks: str) -> Iterator[list[str]]:
    """The fields that a CEL rule with one of these marks names together."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if any(mark in rule["rule"] for mark in marks):
            yield re.findall(r"has\(self\.(\w+)\)", rule["rule"])


def example(node: Schema) -> Any:
    """A value that this schema takes, as small as may be."""
    match node.get("type"):
        case "object":
            made = {name: example(node["properties"][name]) for name in node.get("required", ())}
            for first, *others in _unions(node, "exists_one", " != has(self.", " || has(self."):
                if not made.keys() & {first, *others}:
                    made[first] = example(node["properties"][first])
            return made
        case "array":
            return [example(node["items"])]
        case "integer":
            return node.get("default", max(1, node.get("minimum", 1)))
        case "boolean":
            return True
    if "enum" in node:
        return node["enum"][0]
    fitting = (text for text in CANDIDATES if re.search(node.get("pattern", ""), text))
    return node.get("default") or next(fitting)
