"""Identities of collections, runs and pod templates: the fields that change them, and those that do not."""

from typing import Any

import pytest

from makers import DIGEST, model, spec
from tweetmodel_api.crd import crds
from tweetmodel_api.identities import (
    base_model_hash,
    collection_id,
    generation_hash,
    pod_template_hash,
    publish_hash,
    run_id,
    short_hash,
)
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import ModelReference

HUB = {"huggingFace": {"secretRef": {"name": "hub"}}}


def test_identities_are_those_of_earlier_versions() -> None:
    """A change of these values would collect all data and train all models again."""
    assert collection_id(spec()) == "c923339f65591032"
    assert run_id(spec(), DIGEST) == "0162b3e3e53a9c70"
    assert run_id(spec(training={"learningRate": "3e-3"}), DIGEST) == "320c541f52f63c1c"
    assert publish_hash(spec(publish=HUB | {"criteria": {"maxPerplexity": "40"}})) == "692b1fe7209c511a"


# Runs


def test_fields_without_effect_on_the_result_do_not_change_the_run() -> None:
    same = spec(
        gpus=0, podTemplate={"nodeSelector": {"a": "b"}}, suspend=True, training={"checkpointIntervalSeconds": 30}
    )
    assert run_id(spec(), DIGEST) == run_id(same, DIGEST)
    assert collection_id(spec()) == collection_id(same)


@pytest.mark.parametrize(
    "change",
    [{"training": {"epochs": 5}}, {"baseModel": {"scratch": {"preset": "Small"}}}],
    ids=["training", "base-model"],
)
def test_fields_with_effect_on_the_result_change_the_run(change: dict[str, object]) -> None:
    assert run_id(spec(**change), DIGEST) != run_id(spec(), DIGEST)


def test_another_data_set_is_another_run() -> None:
    assert run_id(spec(), "e" * 64) != run_id(spec(), DIGEST)


def test_a_warm_start_is_another_run() -> None:
    initial = ModelReference(uri=model("a" * 16).uri, digest="e" * 64)
    moved = ModelReference(uri=model("b" * 16).uri, digest="e" * 64)
    assert run_id(spec(), DIGEST, initial) != run_id(spec(), DIGEST)
    assert run_id(spec(), DIGEST, initial) == run_id(spec(), DIGEST, moved), "only the content counts"


def test_another_generation_is_the_same_run_with_other_samples() -> None:
    other = spec(generation={"samplesPerPrompt": 3})
    assert run_id(other, DIGEST) == run_id(spec(), DIGEST)
    assert generation_hash(other) != generation_hash(spec())


def test_other_weights_are_another_run_of_the_same_data_set() -> None:
    def weighted(weight: int) -> TweetModelSpec:
        sources = [{"handle": name, "s3": {"uri": f"s3://bucket/{name}"}} for name in ("ada", "bob")]
        return spec(sources=[sources[0], sources[1] | {"weight": weight}])

    assert collection_id(weighted(3)) == collection_id(weighted(1))
    assert len({run_id(weighted(weight), DIGEST) for weight in (1, 2, 3)}) == 3
    assert run_id(weighted(1), DIGEST) == run_id(spec(), DIGEST)


# Collections


def test_other_sources_are_another_collection() -> None:
    other = spec(sources=[{"handle": "bob", "s3": {"uri": "s3://bucket/bob.jsonl"}}])
    assert collection_id(other) != collection_id(spec())


def test_the_order_of_sources_does_not_change_identities() -> None:
    ada, bob = ({"handle": name, "s3": {"uri": f"s3://bucket/{name}"}} for name in ("ada", "bob"))
    one, other = (spec(sources=sources) for sources in ([ada, bob], [bob, ada]))
    assert collection_id(one) == collection_id(other)
    assert run_id(one, DIGEST) == run_id(other, DIGEST)


def test_other_rows_of_a_source_are_another_collection_in_any_order_of_fields() -> None:
    def selecting(**rows: object) -> TweetModelSpec:
        return spec(sources=[{"handle": "ada", "s3": {"uri": "s3://bucket/all.csv", **rows}}])

    orders = ([("by", "ada"), ("lang", "en")], [("lang", "en"), ("by", "ada")])
    one, other = (selecting(where=dict(pairs)) for pairs in orders)
    assert collection_id(one) == collection_id(other) != collection_id(selecting())


def test_other_cleaning_is_another_collection_in_any_order() -> None:
    one, other = (spec(cleaning={"drop": drop}) for drop in (["Short", "Replies"], ["Replies", "Short"]))
    assert collection_id(one) == collection_id(other) != collection_id(spec())
    assert collection_id(spec(cleaning={"drop": ["Short", "Retweets"]})) == collection_id(spec())


def test_a_retry_or_a_due_time_is_another_collection() -> None:
    identities = {
        collection_id(spec()),
        collection_id(spec(), "now"),
        collection_id(spec(), due="2026-11-23T06:00:00Z"),
        collection_id(spec(), "now", "2026-11-23T06:00:00Z"),
    }
    assert len(identities) == 4


# Pod templates


def test_another_secret_or_a_retry_is_another_pod_template() -> None:
    other = spec(storage={"uri": "s3://bucket/models", "secretRef": {"name": "new"}})
    assert pod_template_hash("train", other, "") != pod_template_hash("train", spec(), "")
    assert pod_template_hash("train", spec(), "now") != pod_template_hash("train", spec(), "")


def test_fields_of_the_train_pod_do_not_change_the_collect_pod() -> None:
    other = spec(gpus=0, podTemplate={"nodeSelector": {"a": "b"}}, training={"checkpointIntervalSeconds": 30})
    assert pod_template_hash("collect", other, "") == pod_template_hash("collect", spec(), "")
    assert pod_template_hash("train", other, "") != pod_template_hash("train", spec(), "")


@pytest.mark.parametrize(
    ("step", "is_changed"),
    [("collect", False), ("train", True), ("sample", True), ("publish", False), ("purge", False)],
)
def test_another_generation_is_another_pod_template_of_pods_that_sample(step: Any, is_changed: bool) -> None:
    other = spec(generation={"temperature": "0.5"})
    assert (pod_template_hash(step, other, "") != pod_template_hash(step, spec(), "")) is is_changed


@pytest.mark.parametrize("step", ["collect", "train", "sample", "publish", "purge"])
def test_another_image_is_another_pod_template_of_all_pods(step: Any) -> None:
    other = spec(podTemplate={"image": "own"})
    assert pod_template_hash(step, other, "") != pod_template_hash(step, spec(), "")


def test_a_publication_is_the_same_run_with_another_pod_template() -> None:
    public, private = (
        spec(publish={"huggingFace": {"private": private, "secretRef": {"name": "hub"}}}) for private in (False, True)
    )
    assert run_id(public, DIGEST) == run_id(private, DIGEST) == run_id(spec(), DIGEST)
    hashes = {pod_template_hash("train", of, "", publish=of.publish is not None) for of in (spec(), public, private)}
    assert len(hashes) == 3
    assert publish_hash(spec()) is None
    assert publish_hash(public) != publish_hash(private)


def test_samples_of_another_generation_are_published_again() -> None:
    one, other = spec(publish=HUB), spec(publish=HUB, generation={"samplesPerPrompt": 3})
    assert publish_hash(one) != publish_hash(other) == publish_hash(one, generation_hash(other))


def test_the_token_of_a_base_model_is_the_same_run_with_another_pod_template() -> None:
    hub = {"name": "ada/gulls"}
    open_, gated = (spec(baseModel={"hub": hub | secret}) for secret in ({}, {"secretRef": {"name": "them"}}))
    assert (run_id(open_, DIGEST), base_model_hash(open_)) == (run_id(gated, DIGEST), base_model_hash(gated))
    assert pod_template_hash("train", open_, "") != pod_template_hash("train", gated, "")
    assert pod_template_hash("collect", open_, "") == pod_template_hash("collect", gated, "")


def test_trackers_are_the_same_run_with_another_pod_template() -> None:
    wandb = {"wandb": {"secretRef": {"name": "wandb"}}}
    one, other = (spec(reportTo=trackers) for trackers in (wandb, wandb | {"tensorBoard": {}}))
    assert run_id(one, DIGEST) == run_id(other, DIGEST) == run_id(spec(), DIGEST)
    assert collection_id(one) == collection_id(spec())
    assert len({pod_template_hash("train", of, "") for of in (spec(), one, other)}) == 3
    assert pod_template_hash("collect", one, "") == pod_template_hash("collect", spec(), "")


# Notation


def test_a_written_default_is_the_same_as_an_omitted_one() -> None:
    assert run_id(spec(training={"epochs": 4, "seed": 42}), DIGEST) == run_id(spec(), DIGEST)
    assert collection_id(spec(training={"seed": 42})) == collection_id(spec())


DECIMALS = {
    "training.learningRate": ["3e-3", "0.003", "0.0030", "3.0e-3", "30e-4"],
    "generation.temperature": ["0.8", "0.80", "8e-1"],
    "generation.topP": ["1", "1.0", "1e0", "0.1e1"],
    "publish.criteria.maxPerplexity": ["40", "40.0", "4e1"],
    "publish.criteria.maxLoss": ["3", "3.0", "3e0"],
    "publish.criteria.maxBitsPerByte": ["0.9", "0.90", "9e-1"],
    "publish.criteria.maxMemorizedFraction": ["0.1", "0.10", "1e-1"],
    "sources[].xAPI.budgetUSD": ["5", "5.00", "0.5e1"],
}
"""Every decimal of a spec, with notations of the same value."""


def with_decimal(field: str, text: str) -> TweetModelSpec:
    """Return a spec with a decimal in one of the fields of DECIMALS."""
    part, *_, name = field.split(".")
    parts = {
        "training": {name: text},
        "generation": {name: text},
        "publish": HUB | {"criteria": {name: text}},
        "sources[]": [{"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, name: text}}],
    }
    return spec(**{part.removesuffix("[]"): parts[part]})


def identities(of: TweetModelSpec) -> tuple[str | None, ...]:
    return (
        run_id(of, DIGEST),
        collection_id(of),
        generation_hash(of),
        publish_hash(of),
        pod_template_hash("train", of, ""),
    )


@pytest.mark.parametrize(("field", "notations"), DECIMALS.items(), ids=DECIMALS)
def test_all_notations_of_a_decimal_have_the_same_identity(field: str, notations: list[str]) -> None:
    (same,) = {with_decimal(field, notation) for notation in notations}
    assert identities(same) != identities(with_decimal(field, "0.7"))
    assert TweetModelSpec.model_validate(same.to_json_object()) == same


@pytest.mark.parametrize("text", ["1e99", "9999e99", "0", "0e5", "1" * 32, "0." + "3" * 30, "1e-99", "12e-99"])
def test_an_extreme_decimal_can_be_read_again(text: str) -> None:
    of = with_decimal("training.learningRate", text)
    assert TweetModelSpec.model_validate(of.to_json_object()) == of


@pytest.mark.parametrize(
    ("field", "text"),
    [("training.learningRate", "0.0001372"), ("generation.temperature", "1"), ("generation.topP", "95e-2")],
)
def test_another_notation_of_a_default_is_the_same_as_an_omitted_one(field: str, text: str) -> None:
    assert identities(with_decimal(field, text)) == identities(spec())


def decimals_below(schema: dict[str, Any], pattern: str, path: str = "") -> set[str]:
    """Return the paths of the nodes with a pattern."""
    found = {path.removeprefix(".")} if schema.get("pattern") == pattern else set()
    for name, child in schema.get("properties", {}).items():
        found |= decimals_below(child, pattern, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        found |= decimals_below(schema["items"], pattern, f"{path}[]")
    return found


def test_the_notations_of_every_decimal_are_compared() -> None:
    schema = crds()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    pattern = schema["properties"]["training"]["properties"]["learningRate"]["pattern"]
    assert decimals_below(schema, pattern) == set(DECIMALS)


def test_a_short_hash_depends_on_all_parts() -> None:
    assert short_hash("a", 1) == short_hash("a", 1) != short_hash("a", 2)
    assert len(short_hash("a")) == 10


def test_another_secret_of_a_source_replaces_the_collect_pod_but_collects_nothing_again() -> None:
    one, other = (
        spec(sources=[{"handle": "ada", "xAPI": {"secretRef": {"name": name}, "budgetUSD": "5"}}])
        for name in ("old-token", "new-token")
    )
    assert collection_id(one) == collection_id(other)
    assert pod_template_hash("collect", one, "") != pod_template_hash("collect", other, "")
    assert pod_template_hash("train", one, "") == pod_template_hash("train", other, "")
