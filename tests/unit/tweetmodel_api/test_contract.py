"""The contract: identities, reports, manifests and the CRD."""

import json
from pathlib import Path
from posixpath import normpath

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from makers import DIGEST, dataset, failure, model, spec, success
from tweetmodel_api.crd import crds
from tweetmodel_api.defaults import DefaultsSpec
from tweetmodel_api.fields import Model
from tweetmodel_api.identities import (
    base_model_hash,
    collection_id,
    generation_hash,
    pod_template_hash,
    publish_hash,
    run_id,
)
from tweetmodel_api.layout import FileEntry, Layout, Manifest, checkpoint_step
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.report import MAX_REPORT_BYTES, decode, encode
from tweetmodel_api.spec import TweetModelSpec

ROOT = Path(__file__).parents[3]


def test_what_does_not_change_the_result_does_not_change_the_run() -> None:
    base = spec()
    same = spec(
        gpus=0, podTemplate={"nodeSelector": {"a": "b"}}, suspend=True, training={"checkpointIntervalSeconds": 30}
    )
    assert run_id(base, DIGEST) == run_id(same, DIGEST)
    assert collection_id(base) == collection_id(same)


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"epochs": 5}},
        {"baseModel": {"scratch": {"preset": "Small"}}},
    ],
)
def test_what_changes_the_result_makes_another_run(change: dict[str, object]) -> None:
    assert run_id(spec(**change), DIGEST) != run_id(spec(), DIGEST)


def test_another_generation_samples_the_same_run() -> None:
    other = spec(generation={"samplesPerPrompt": 3})
    assert run_id(other, DIGEST) == run_id(spec(), DIGEST)
    assert generation_hash(other) != generation_hash(spec())


def test_another_data_set_makes_another_run() -> None:
    assert run_id(spec(), "e" * 64) != run_id(spec(), DIGEST)


def test_a_default_that_is_written_out_is_the_same_as_one_left_out() -> None:
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
"""Every decimal of a spec, with ways to write the same value."""


def deciding(field: str, text: str) -> TweetModelSpec:
    """A spec that says this of a decimal."""
    part, *_, name = field.split(".")
    said = {
        "training": {name: text},
        "generation": {name: text},
        "publish": {"huggingFace": {"secretRef": {"name": "hub"}}, "criteria": {name: text}},
        "sources[]": [{"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, name: text}}],
    }
    return spec(**{part.removesuffix("[]"): said[part]})


def identities(of: TweetModelSpec) -> tuple[str | None, ...]:
    return (
        run_id(of, DIGEST),
        collection_id(of),
        generation_hash(of),
        publish_hash(of),
        pod_template_hash("train", of, ""),
    )


@pytest.mark.parametrize(("field", "ways"), DECIMALS.items())
def test_a_decimal_counts_by_its_value(field: str, ways: list[str]) -> None:
    [same] = {deciding(field, way) for way in ways}
    assert identities(same) != identities(deciding(field, "0.7"))
    assert TweetModelSpec.model_validate(same.to_json_object()) == same


@pytest.mark.parametrize("text", ["1e99", "9999e99", "0", "0e5", "1" * 32, "0." + "3" * 30, "1e-99", "12e-99"])
def test_a_decimal_at_its_bounds_is_read_again_as_it_is_handed_on(text: str) -> None:
    of = deciding("training.learningRate", text)
    assert TweetModelSpec.model_validate(of.to_json_object()) == of


@pytest.mark.parametrize(
    ("field", "text"),
    [("training.learningRate", "0.0001372"), ("generation.temperature", "1"), ("generation.topP", "95e-2")],
)
def test_a_default_that_is_written_otherwise_is_the_same_as_one_left_out(field: str, text: str) -> None:
    assert identities(deciding(field, text)) == identities(spec())


def test_identities_are_those_of_earlier_versions() -> None:
    """Whoever changes these makes every user's data be collected and every model be trained again."""
    assert collection_id(spec()) == "c923339f65591032"
    assert run_id(spec(), DIGEST) == "0162b3e3e53a9c70"
    assert run_id(spec(training={"learningRate": "3e-3"}), DIGEST) == "320c541f52f63c1c"
    assert publish_hash(deciding("publish.criteria.maxPerplexity", "40")) == "68a211d5977870e4"


def test_cleaning_makes_another_collection_and_its_order_does_not() -> None:
    one, other = (spec(cleaning={"drop": drop}) for drop in (["Short", "Replies"], ["Replies", "Short"]))
    assert collection_id(one) == collection_id(other) != collection_id(spec())
    assert collection_id(spec(cleaning={"drop": ["Short", "Retweets"]})) == collection_id(spec())


def test_what_is_forgotten_is_an_id_or_a_handle_with_its_mark() -> None:
    cleaning = spec(cleaning={"erase": ["17", "@Ada", "@ada"]}).cleaning
    assert (cleaning.erased_posts, cleaning.erased_accounts) == ({"17"}, {"ada"})
    for wrong in ("ada", "@", "@a-b", "@sixteen_letters_", "1" * 21):
        with pytest.raises(ValidationError):
            spec(cleaning={"erase": [wrong]})


def test_other_sources_are_another_collection() -> None:
    other = spec(sources=[{"handle": "bob", "s3": {"uri": "s3://bucket/bob.jsonl"}}])
    assert collection_id(other) != collection_id(spec())


def test_the_order_of_sources_makes_no_other_collection() -> None:
    ada, bob = ({"handle": name, "s3": {"uri": f"s3://bucket/{name}"}} for name in ("ada", "bob"))
    one, other = (spec(sources=sources) for sources in ([ada, bob], [bob, ada]))
    assert collection_id(one) == collection_id(other)
    assert run_id(one, DIGEST) == run_id(other, DIGEST)


def test_other_rows_of_a_source_are_another_collection_in_whatever_order_they_are_asked_for() -> None:
    def rows(**more: object) -> TweetModelSpec:
        return spec(sources=[{"handle": "ada", "s3": {"uri": "s3://bucket/all.csv", **more}}])

    one, other = (
        rows(where=dict(pairs)) for pairs in ([("by", "ada"), ("lang", "en")], [("lang", "en"), ("by", "ada")])
    )
    assert collection_id(one) == collection_id(other) != collection_id(rows())
    for wrong in ({}, {"": "ada"}, {str(n): "x" for n in range(9)}, {"by": "x" * 257}):
        with pytest.raises(ValidationError):
            rows(where=wrong)


def test_a_change_of_the_secret_or_a_retry_asks_for_another_pod() -> None:
    other = spec(storage={"uri": "s3://bucket/models", "secretRef": {"name": "new"}})
    assert pod_template_hash("train", other, "") != pod_template_hash("train", spec(), "")
    assert pod_template_hash("train", spec(), "now") != pod_template_hash("train", spec(), "")


def test_another_secret_of_a_source_replaces_the_collect_pod_and_collects_nothing_again() -> None:
    one, other = (
        spec(sources=[{"handle": "ada", "xAPI": {"secretRef": {"name": name}, "budgetUSD": "5"}}])
        for name in ("old-token", "new-token")
    )
    assert collection_id(one) == collection_id(other)
    assert pod_template_hash("collect", one, "") != pod_template_hash("collect", other, "")
    assert pod_template_hash("train", one, "") == pod_template_hash("train", other, "")


def test_what_the_train_pod_needs_does_not_disturb_collecting() -> None:
    other = spec(gpus=0, podTemplate={"nodeSelector": {"a": "b"}}, training={"checkpointIntervalSeconds": 30})
    assert pod_template_hash("collect", other, "") == pod_template_hash("collect", spec(), "")
    assert pod_template_hash("train", other, "") != pod_template_hash("train", spec(), "")


def test_a_retry_looks_at_the_sources_again() -> None:
    assert collection_id(spec(), "now") != collection_id(spec())


def test_a_report_of_a_newer_trainer_is_read() -> None:
    report = success(dataset=dataset())
    assert decode(encode(report).replace('{"outcome"', '{"novelty":1,"outcome"')) == report


def test_other_weights_are_another_run_over_the_same_data_set() -> None:
    def mix(weight: int) -> TweetModelSpec:
        sources = [{"handle": name, "s3": {"uri": f"s3://bucket/{name}"}} for name in ("ada", "bob")]
        return spec(sources=[sources[0], sources[1] | {"weight": weight}])

    assert collection_id(mix(3)) == collection_id(mix(1))
    assert len({run_id(mix(weight), DIGEST) for weight in (1, 2, 3)}) == 3
    assert run_id(mix(1), DIGEST) == run_id(spec(), DIGEST)


def test_publishing_trains_nothing_and_asks_for_another_pod() -> None:
    public, private = (
        spec(publish={"huggingFace": {"private": private, "secretRef": {"name": "hub"}}}) for private in (False, True)
    )
    assert run_id(public, DIGEST) == run_id(private, DIGEST) == run_id(spec(), DIGEST)
    hashes = {pod_template_hash("train", of, "", publish=of.publish is not None) for of in (spec(), public, private)}
    assert len(hashes) == 3
    assert publish_hash(spec()) is None
    assert publish_hash(public) != publish_hash(private)


def test_the_token_of_a_base_model_makes_it_no_other_and_asks_for_another_pod() -> None:
    hub = {"name": "ada/gulls"}
    open_, gated = (spec(baseModel={"hub": hub | secret}) for secret in ({}, {"secretRef": {"name": "them"}}))
    assert (run_id(open_, DIGEST), base_model_hash(open_)) == (run_id(gated, DIGEST), base_model_hash(gated))
    assert pod_template_hash("train", open_, "") != pod_template_hash("train", gated, "")
    assert pod_template_hash("collect", open_, "") == pod_template_hash("collect", gated, "")


def test_trackers_train_nothing_anew_and_ask_for_another_pod() -> None:
    said = {"wandb": {"secretRef": {"name": "wandb"}}}
    one, other = (spec(reportTo=to) for to in (said, said | {"tensorBoard": {}}))
    assert run_id(one, DIGEST) == run_id(other, DIGEST) == run_id(spec(), DIGEST)
    assert collection_id(one) == collection_id(spec())
    assert len({pod_template_hash("train", of, "") for of in (spec(), one, other)}) == 3
    assert pod_template_hash("collect", one, "") == pod_template_hash("collect", spec(), "")


@pytest.mark.parametrize(
    "address",
    ["http://ada:secret@host", "https://host/?write_token=secret", "http://host/#a", "ftp://host", "http://host name"],
)
def test_an_address_of_a_service_holds_no_key(address: str) -> None:
    with pytest.raises(ValidationError, match="trackingURI"):
        spec(reportTo={"mlflow": {"trackingURI": address}})
    with pytest.raises(ValidationError, match="endpoint"):
        spec(storage={"uri": "s3://bucket", "endpoint": address})


def test_a_report_survives_the_termination_message() -> None:
    report = success(dataset=dataset(), model=model("ab" * 8), samples=["one", "two"])
    assert decode(encode(report)) == report


@given(st.lists(st.text(max_size=2000), max_size=10), st.text(max_size=1024))
def test_a_report_always_fits_the_termination_message(samples: list[str], sentence: str) -> None:
    clean = [s.encode("utf-8", "replace").decode() for s in samples]
    report = success(samples=clean, model=model("ab" * 8), message=sentence.encode("utf-8", "replace").decode()[:500])
    text = encode(report)
    assert len(text.encode()) <= MAX_REPORT_BYTES
    assert decode(text) is not None


def test_what_is_no_report_is_none() -> None:
    assert decode("") is None
    assert decode('{"outcome": "Succeeded"}') is None
    assert decode(encode(failure(Reason.ACCESS_DENIED))[:-5]) is None


def test_a_failure_that_does_not_fit_is_told_without_its_model() -> None:
    made = model("ab" * 8).model_copy(update={"uri": "s3://bucket/" + "語" * 500, "page": "s3://bucket/" + "語" * 500})
    told = failure(Reason.HUB_DENIED, "語" * 400).model_copy(update={"model": made})
    assert decode(encode(told)) == told.model_copy(update={"model": None})


def test_a_manifest_names_only_files_below_its_folder() -> None:
    for path in ("../secret", "/etc/passwd", "a/../../b", "", ".", "a/./b", "a//b", "a\0"):
        with pytest.raises(ValidationError):
            FileEntry(path=path, size=1, sha256="0" * 64)


files = st.lists(
    st.builds(
        FileEntry,
        path=st.lists(st.text("ab.é ", min_size=3, max_size=9), min_size=1, max_size=3).map("/".join),
        size=st.integers(0, 2**50),
        sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    max_size=5,
)


@given(files, st.data())
def test_a_manifest_is_read_as_it_was_written_and_damaged_it_names_nothing_outside(
    entries: list[FileEntry], data: st.DataObject
) -> None:
    manifest = Manifest.of(entries)
    body = manifest.model_dump_json(by_alias=True, indent=1).encode()
    assert Manifest.model_validate_json(body) == manifest
    at = data.draw(st.integers(0, len(body) - 1))
    for damaged in (body[:at], body[:at] + data.draw(st.binary(max_size=3)) + body[at + 1 :]):
        try:
            read = Manifest.model_validate_json(damaged)
        except ValidationError:
            continue
        assert all(normpath(f"/x/{file.path}") == f"/x/{file.path}" for file in read.files)


def test_a_manifests_digest_does_not_depend_on_the_order_of_its_files() -> None:
    one, two = (FileEntry(path=p, size=1, sha256=c * 64) for p, c in (("a", "1"), ("b", "2")))
    assert Manifest.of([one, two]).digest == Manifest.of([two, one]).digest


def test_a_checkpoints_step_is_read_from_its_folder() -> None:
    layout = Layout("s3://bucket/models/", "default", "ada")
    folder = layout.checkpoint("ab" * 8, 1200, "1f2e3d4c")
    assert folder == "s3://bucket/models/default/ada/runs/abababababababab/checkpoints/00001200-1f2e3d4c"
    assert checkpoint_step(folder + "/") == 1200
    assert checkpoint_step("s3://bucket/else") is None


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert set(REASONS) == set(Reason)
    assert all(fact.meaning.endswith(".") and fact.advice.endswith(".") for fact in REASONS.values())


def test_the_crd_on_disk_is_the_one_the_models_generate() -> None:
    for definition in crds():
        on_disk = yaml.safe_load((ROOT / "crds" / f"{definition['metadata']['name']}.yaml").read_text())
        assert on_disk == json.loads(json.dumps(definition))


@pytest.mark.parametrize("path", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda path: path.name)
def test_the_crd_on_disk_is_read_from_top_to_bottom(path: Path) -> None:
    assert not [token for token in yaml.scan(path.read_text()) if isinstance(token, yaml.AliasToken)]


def nodes(schema: dict[str, object], path: str = "") -> list[tuple[str, dict[str, object]]]:
    """Every node of a schema with its path."""
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += nodes(child, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            found += nodes(schema[part], f"{path}[]")
    return found


TWEETMODEL = crds()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
ALL = nodes(TWEETMODEL["spec"], "spec")


def test_the_crd_bounds_every_string_and_list_and_describes_every_field() -> None:
    for path, node in ALL:
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path
            assert "x-kubernetes-list-type" in node, path
        if not path.endswith("[]"):
            assert node.get("description"), path


@pytest.mark.parametrize(("number", "model"), [(0, TweetModelSpec), (1, DefaultsSpec)])
def test_explain_shows_what_every_class_of_a_spec_says(number: int, model: type[Model]) -> None:
    schema = crds()[number]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    shown = {node.get("description") for _, node in nodes(schema)}
    written = model.model_json_schema()
    for name, part in {**written["$defs"], model.__name__: written}.items():
        if "properties" in part:
            assert " ".join(part["description"].split()) in shown, name


def test_a_description_is_one_paragraph() -> None:
    assert not [path for path, node in nodes(TWEETMODEL["status"]) + ALL if "\n" in node.get("description", "")]


def test_a_refused_name_is_told_each_letter_it_may_have() -> None:
    [rule, _] = crds()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"]
    assert rule["message"].endswith(
        "use at most 40 letters a-z, digits and dashes, beginning with a letter and not ending with a dash"
    )


def test_every_decimal_is_tried() -> None:
    pattern = TWEETMODEL["spec"]["properties"]["training"]["properties"]["learningRate"]["pattern"]
    assert {path.removeprefix("spec.") for path, node in ALL if node.get("pattern") == pattern} == set(DECIMALS)


def test_the_crd_has_no_float_and_no_reference() -> None:
    assert not [path for path, node in ALL if node.get("type") == "number"]
    assert "$ref" not in json.dumps(crds())


def test_every_time_in_the_status_is_known_to_be_one() -> None:
    times = {path: node.get("format") for path, node in nodes(TWEETMODEL["status"]) if path.endswith("Time")}
    assert len(times) == 6
    assert set(times.values()) == {"date-time"}


def test_runs_are_told_apart_by_their_ids() -> None:
    runs = TWEETMODEL["status"]["properties"]["runs"]
    assert (runs["x-kubernetes-list-type"], runs["x-kubernetes-list-map-keys"]) == ("map", ["id"])


def test_pods_are_spread_in_the_words_of_kubernetes() -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {
            "matchLabels": {"team": "voices"},
            "matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}],
        },
    }
    assert spec(podTemplate={"topologySpreadConstraints": [constraint]}).to_json_object()["podTemplate"] == {
        "topologySpreadConstraints": [constraint]
    }
    schema = TWEETMODEL["spec"]["properties"]["podTemplate"]["properties"]["topologySpreadConstraints"]
    assert schema["x-kubernetes-list-map-keys"] == ["topologyKey", "whenUnsatisfiable"]


def test_the_smallest_tweetmodel_is_six_lines() -> None:
    smallest = {"sources": [{"handle": "ada", "s3": {"uri": "s3://bucket/a.jsonl"}}], "storage": {"uri": "s3://bucket"}}
    made = TweetModelSpec.model_validate(smallest)
    assert made.base_model.hub
    assert made.base_model.hub.name == "openai-community/gpt2"
    assert (made.training.epochs, made.training.learning_rate, made.training.block_size) == (4, "1.372e-4", 1024)
