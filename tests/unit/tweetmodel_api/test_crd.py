"""The generated CustomResourceDefinitions."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tweetmodel_api.crd import COLUMNS, crds, structural
from tweetmodel_api.defaults import DEFAULTABLE_FIELDS, DefaultsSpec
from tweetmodel_api.fields import Model
from tweetmodel_api.spec import TweetModelSpec

ROOT = Path(__file__).parents[3]
CRDS = crds()
TWEETMODEL = CRDS[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def nodes(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every node of a schema with its path."""
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += nodes(child, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            found += nodes(schema[part], f"{path}[]")
    return found


SPEC_NODES = nodes(TWEETMODEL["spec"], "spec")
STATUS_NODES = nodes(TWEETMODEL["status"], "status")


def test_the_files_are_those_that_the_models_generate() -> None:
    for definition in CRDS:
        written = yaml.safe_load((ROOT / "crds" / f"{definition['metadata']['name']}.yaml").read_text())
        assert written == json.loads(json.dumps(definition))


@pytest.mark.parametrize("path", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda path: path.name)
def test_the_files_contain_no_yaml_aliases(path: Path) -> None:
    assert not [token for token in yaml.scan(path.read_text()) if isinstance(token, yaml.AliasToken)]


def test_every_string_and_list_of_the_spec_is_bounded() -> None:
    for path, node in SPEC_NODES:
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path
            assert "x-kubernetes-list-type" in node, path


def test_every_field_of_the_spec_is_described() -> None:
    assert not [path for path, node in SPEC_NODES if not path.endswith("[]") and not node.get("description")]


@pytest.mark.parametrize(("number", "model"), [(0, TweetModelSpec), (1, DefaultsSpec)], ids=["spec", "defaults"])
def test_the_docstring_of_every_class_is_a_description(number: int, model: type[Model]) -> None:
    schema = CRDS[number]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    descriptions = {node.get("description") for _, node in nodes(schema)}
    generated = model.model_json_schema()
    for name, part in {**generated["$defs"], model.__name__: generated}.items():
        if "properties" in part:
            assert " ".join(part["description"].split()) in descriptions, name


def test_a_description_is_one_paragraph() -> None:
    assert not [path for path, node in STATUS_NODES + SPEC_NODES if "\n" in node.get("description", "")]


def test_the_rejection_of_a_name_lists_the_allowed_characters() -> None:
    rule, _ = CRDS[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"]
    assert rule["message"].endswith(
        "use at most 40 letters a-z, digits and dashes, beginning with a letter and not ending with a dash"
    )


def test_the_schema_has_no_float_and_no_reference() -> None:
    assert not [path for path, node in SPEC_NODES if node.get("type") == "number"]
    assert "$ref" not in json.dumps(CRDS)


def test_every_time_in_the_status_has_its_format() -> None:
    times = {path: node.get("format") for path, node in STATUS_NODES if path.endswith("Time")}
    assert len(times) == 6
    assert set(times.values()) == {"date-time"}


@pytest.mark.parametrize(("field", "key"), [("runs", "id"), ("steps", "name"), ("conditions", "type")])
def test_lists_of_the_status_are_maps(field: str, key: str) -> None:
    node = TWEETMODEL["status"]["properties"][field]
    assert (node["x-kubernetes-list-type"], node["x-kubernetes-list-map-keys"]) == ("map", [key])


def test_fields_with_defaults_of_the_administrator_are_optional_and_have_no_default() -> None:
    properties = TWEETMODEL["spec"]["properties"]
    assert not [name for name in DEFAULTABLE_FIELDS if "default" in properties[name]]
    assert TWEETMODEL["spec"]["required"] == ["sources"]


def test_columns_show_existing_fields() -> None:
    paths = {path.removeprefix("status") for path, _ in STATUS_NODES}
    for name, _, path, _, _ in COLUMNS:
        if path.startswith(".status.summary") or path in (".status.run", ".status.model.uri"):
            assert path.removeprefix(".status") in paths, name


def test_a_union_without_a_structural_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="no union"):
        structural({"anyOf": [{"type": "boolean"}, {"type": "string"}]}, {})
