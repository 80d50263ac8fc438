"""Mutations of a valid spec, each at one node of the CRD's schema, with values at and beyond its bounds.

The mutations are a pure function of the schema, so that they include fields that are added later.
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
"""Key for maps: a known resource, and valid in other maps."""
UNUSUAL = "\u202eé😀 \u0000'\"{{"
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
"""Texts of which one matches each pattern of the schema."""


ALWAYS: dict[str | None, Schema] = {
    "boolean": {"true": True, "false": False},
    None: {"nothing": 0, "less": -1, "huge": 2**62, "unit": "1Gi", "unusual": UNUSUAL, "64 KB": LONG},
}
"""Values by type, regardless of bounds; None is the type of quantities, which are numbers or texts."""


@dataclass(frozen=True)
class Mutation:
    """A mutated spec."""

    path: Path
    """Path of the mutated node."""
    name: str
    """Name of the value."""
    spec: Schema

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.name}"


def mutations(schema: Schema, base: Schema) -> Iterator[Mutation]:
    """Yield all mutations.

    Args:
        schema: schema of the spec.
        base: valid spec.
    """
    for path, node in nodes(schema):
        for name, value in values(node):
            yield Mutation(path, name, with_value(base, schema, path, value))


def nodes(schema: Schema, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """Yield path and schema of all nodes below the root, with one item of each list and one key of each map."""
    if isinstance(schema.get("additionalProperties"), dict):
        yield (*path, KEY), schema["additionalProperties"]
    for name, node in schema.get("properties", {}).items():
        yield (*path, name), node
        yield from nodes(node, (*path, name))
    if "items" in schema:
        yield (*path, 0), schema["items"]
        yield from nodes(schema["items"], (*path, 0))


def values(node: Schema) -> Iterator[tuple[str, Any]]:
    """Yield values for a node, with their names."""
    yield "removed", REMOVED
    yield "null", None
    yield "another type", [] if node.get("type") in ("object", "string") else {"a": "b"}
    yield from ALWAYS.get(node.get("type"), {}).items()
    match node.get("type"):
        case "string":
            yield from {"empty": "", "unusual": UNUSUAL, "64 KB": LONG}.items()
            if max_length := node.get("maxLength"):
                yield "maximum length", _text(node, max_length)
                yield "above maximum length", _text(node, max_length + 1)
            yield from (((f"enum {value}", value)) for value in node.get("enum", ()))
        case "integer":
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in node:
                    yield bound, node[bound]
                    yield f"beyond {bound}", node[bound] + step
            yield "huge", 2**62
        case "array":
            yield "empty", []
            yield "above maximum number", _items(node["items"], node.get("maxItems", 100) + 1)
            if max_items := node.get("maxItems"):
                yield "maximum number", _items(node["items"], max_items)
        case "object":
            yield "empty", {}
            yield "unknown field", {"unknownField": 1}
            yield from _map_values(node)


def _map_values(node: Schema) -> Iterator[tuple[str, Any]]:
    if not isinstance(node.get("additionalProperties"), dict):
        return
    yield from {"unusual key": {UNUSUAL: "1"}, "unusual value": {"key": UNUSUAL}, "64 KB value": {"key": LONG}}.items()
    if max_properties := node.get("maxProperties"):
        values = {f"key-{number}": example(node["additionalProperties"]) for number in range(max_properties + 1)}
        yield "above maximum number", values
        yield "maximum number", dict(list(values.items())[:max_properties])


def _text(node: Schema, length: int) -> str:
    """Return a text of a length that matches the pattern, if a simple one does."""
    text = example(node)
    candidates = (text[:-1] + letter * (length - len(text)) + text[-1:] for letter in "x0a")
    return next((candidate for candidate in candidates if _matches(node, candidate)), "x" * length)


def _items(node: Schema, number: int) -> list[Any]:
    """Return different items if they are texts without an enum, else equal items."""
    item = example(node)
    if isinstance(item, str) and "enum" not in node:
        different = [f"{item}{n}" for n in range(number)]
        if all(_matches(node, text) for text in different):
            return different
    return [item] * number


def _matches(node: Schema, text: str) -> bool:
    return bool(re.search(node.get("pattern", ""), text))


def with_value(base: Schema, schema: Schema, path: Path, value: Any) -> Schema:
    """Return the base with a value at a node, with required fields around it and without fields that exclude it."""
    spec = copy.deepcopy(base)
    here: Any = spec
    for index, step in enumerate(path):
        _remove_alternatives(here, schema, step)
        schema = _child(schema, step)
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


def _child(schema: Schema, step: str | int) -> Schema:
    if isinstance(step, int):
        return schema["items"]
    return schema["properties"][step] if "properties" in schema else schema["additionalProperties"]


def _remove_alternatives(here: Any, schema: Schema, step: str | int) -> None:
    """Remove the other members of each union that the field belongs to."""
    for members in _unions(schema, "exists_one", " != has(self."):
        for other in members if step in members else ():
            if other != step:
                here.pop(other, None)


def _unions(schema: Schema, *marks: str) -> Iterator[list[str]]:
    """Yield the fields of each CEL rule that contains one of the marks."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if any(mark in rule["rule"] for mark in marks):
            yield re.findall(r"has\(self\.(\w+)\)", rule["rule"])


def example(node: Schema) -> Any:
    """Return a minimal valid value."""
    match node.get("type"):
        case "object":
            value = {name: example(node["properties"][name]) for name in node.get("required", ())}
            for first, *others in _unions(node, "exists_one", " != has(self.", " || has(self."):
                if not value.keys() & {first, *others}:
                    value[first] = example(node["properties"][first])
            return value
        case "array":
            return [example(node["items"])]
        case "integer":
            return node.get("default", max(1, node.get("minimum", 1)))
        case "boolean":
            return True
    if "enum" in node:
        return node["enum"][0]
    matching = (text for text in CANDIDATES if _matches(node, text))
    return node.get("default") or next(matching)
