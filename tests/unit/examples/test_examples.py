"""TweetModels in examples and documents are valid; tests/cluster applies the examples to a real API server."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tweetmodel_api.defaults import DefaultsSpec
from tweetmodel_api.plan import Plan
from tweetmodel_api.spec import TweetModelSpec

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
STORAGE = {"uri": "s3://my-bucket/tweetmodels"}


def read(document: dict[str, Any]) -> object:
    """Return the parsed spec of a document."""
    assert document["apiVersion"] == "tweetmodel.dev/v1alpha1"
    if document["kind"] == "TweetModelDefaults":
        return DefaultsSpec.model_validate(document["spec"])
    return TweetModelSpec.model_validate({"storage": STORAGE} | document["spec"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_named_after_its_file(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    read(document)
    assert document["metadata"]["name"] == ("default" if path.stem == "defaults" else path.stem)


@pytest.mark.parametrize("step", ["collect", "train", "sample", "publish"])
def test_local_plan_is_valid(step: str) -> None:
    plan = Plan.model_validate_json((ROOT / "examples" / "local" / f"{step}.json").read_text())
    assert plan.step == step
    assert plan.dataset is None or plan.dataset.uri == plan.layout.dataset(plan.dataset.digest)


@pytest.mark.parametrize("name", ["README.md", "docs/administration.md"])
def test_a_tweetmodel_in_a_document_is_valid(name: str) -> None:
    documents = re.findall(r"^apiVersion: tweetmodel\.dev.*?(?=^(?:YAML|```)$)", (ROOT / name).read_text(), re.M | re.S)
    assert documents
    for document in map(yaml.safe_load, documents):
        read(document)


ROWS = re.findall(r"^\| (?!--)(.*?) \| (.*) \|$", (ROOT / "docs" / "usage.md").read_text(), re.M)


@pytest.mark.parametrize("snippet", [s for _, cell in ROWS for s in re.findall(r"`([a-zA-Z]+: [{\[].*?)`", cell)])
def test_a_field_in_the_user_guide_is_a_field_of_the_spec(snippet: str) -> None:
    field = yaml.safe_load(snippet.replace(", …", "").replace("…", "bucket").replace("me/trackio", "me/t"))
    source = field.keys() <= {"archive", "s3", "https", "huggingFace", "tweetModel", "xAPI"}
    ada = {"handle": "ada", "archive": {"uri": "s3://my-bucket/ada.zip"}}
    hub = {"huggingFace": {"secretRef": {"name": "hub"}}}
    if "publish" in field:
        field["publish"] = hub | field["publish"]
    if "storage" in field:
        field["storage"] = STORAGE | {"endpoint": "https://bucket"}
    if field.get("podTemplate", {}).get("nodeSelector"):
        field["podTemplate"] = {"nodeSelector": {}, "tolerations": [], "priorityClassName": "low"}
    whole = {"sources": [{"handle": "ada"} | field] if source else [ada]} | ({} if source else field)
    TweetModelSpec.model_validate({"storage": STORAGE} | whole)
