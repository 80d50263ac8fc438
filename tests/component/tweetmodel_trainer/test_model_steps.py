"""Tests of the train step and the sample step as pods run them, against S3."""

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import pipeline

import hostile
from makers import zipped
from plans import ARCHIVE, PUBLISH, SHORT, train_plan, tweets
from tweetmodel_api.identities import generation_hash, publish_hash, run_id
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import ExitCode, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.spec import Training
from tweetmodel_api.status import ModelReference
from tweetmodel_trainer.evaluation.sample import printable
from tweetmodel_trainer.storage import Storage

MakePlan = Callable[..., Plan]
Run = Callable[[Plan], tuple[int, Report]]
BRIEF = {"samplesPerPrompt": 1, "maxNewTokens": 8}
STEPS = SHORT | {"globalBatchSize": 8}


@pytest.fixture
def planned(make_plan: MakePlan, run: Run, put: Any) -> Callable[..., Plan]:
    """Collects the posts of an archive, and returns the plan of the train step that follows."""
    put("archive.zip", ARCHIVE)

    def plan(**changes: Any) -> Plan:
        collect = make_plan(**({"training": SHORT, "generation": BRIEF} | changes))
        return train_plan(collect, run(collect)[1])

    return plan


@pytest.fixture
def outputs(storage: Storage, tmp_path: Path) -> Callable[[Plan], dict[str, bytes]]:
    """Downloads page and results of a run, by path."""

    def download(plan: Plan) -> dict[str, bytes]:
        folder = tmp_path / f"outputs-{len(list(tmp_path.iterdir()))}"
        storage.download_folder(plan.layout.page(plan.run), folder / "page")
        storage.download_folder(plan.layout.results(plan.run), folder / "results")
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}

    return download


def with_generation(plan: Plan, **changes: Any) -> Plan:
    """Return the plan of a sample step with other generation settings."""
    generation = plan.spec.generation.model_copy(update=changes)
    return plan.model_copy(update={"step": "sample", "spec": plan.spec.model_copy(update={"generation": generation})})


def test_a_run_ends_with_a_model_samples_and_a_report(
    planned: Any, run: Run, tmp_path: Path, storage: Storage, outputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(
        training=SHORT | {"earlyStopping": {"patience": 1}},
        generation={"samplesPerPrompt": 3, "prompts": ["", "gull"], "maxNewTokens": 20},
    )
    code, report = run(plan)
    assert (code, report.outcome) == (ExitCode.DONE, "Succeeded")
    assert float(report.model.evaluation.loss) < float(report.model.evaluation.loss_before)
    assert report.model.generation_hash == generation_hash(plan.spec)
    assert 1 <= len(report.samples) <= 6
    assert len(set(report.samples)) == len(report.samples)

    storage.download_folder(report.model.uri, tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    write = pipeline("text-generation", model=str(tmp_path / "model"))
    assert write("gull", max_new_tokens=10, do_sample=False)[0]["generated_text"].startswith("gull")
    assert report.model.page == f"{plan.layout.page(plan.run)}/index.html"
    storage.download_folder(plan.layout.page(plan.run), tmp_path / "page")
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == [
        "README.md",
        "generation_config.json",
        "index.html",
        "predictions.png",
    ]
    assert (tmp_path / "page" / "index.html").read_text().count("<circle class=") == 3  # before, after, and the epoch
    monkeypatch.chdir(tmp_path / "page")
    card = (tmp_path / "page" / "README.md").read_text()
    exec(re.search(r"```python\n(.*?)```", card, re.DOTALL)[1], {})  # the example of the card works

    assert run(plan) == (code, report)
    rows = [json.loads(line) for line in outputs(plan)["results/samples.jsonl"].splitlines()]
    assert [row["prompt"] for row in rows] == [""] * 3 + ["gull"] * 3
    assert all(row["text"].startswith("gull") for row in rows[3:])
    assert {"prompt", "text", "memorization", "duplicate"} == set(rows[0])


def test_hostile_posts_are_plain_text_in_card_page_status_and_log(
    make_plan: MakePlan,
    run: Run,
    put: Any,
    storage: Storage,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The samples of the model are replaced by hostile posts, and the prompts are hostile too."""
    posts = tweets(*hostile.POSTS * 4, *(f"gull {n} came by" for n in range(400)))
    put("archive.zip", zipped({"data/tweets.js": posts}))
    monkeypatch.setattr(
        "tweetmodel_trainer.evaluation.sampling._draw_texts", lambda *call: (printable(p) for p in call[-1])
    )
    prompts = [post[:280].replace("\0", "") for post in hostile.POSTS]
    caplog.set_level("INFO")
    for some in (prompts[at : at + 10] for at in range(0, len(prompts), 10)):
        plan = make_plan(training=SHORT, generation={"samplesPerPrompt": 1, "prompts": some})
        code, report = run(train_plan(plan, run(plan)[1]))
        assert code == ExitCode.DONE
        messages = [record.getMessage() for record in caplog.records if record.name.startswith("tweetmodel_trainer")]
        lines = [*report.samples, report.message, *messages]
        assert not [line for line in lines if any(unicodedata.category(c) in ("Cc", "Cs") for c in line)]
        assert not [line for line in lines if re.search("[\u202a-\u202e\u2066-\u2069]", line)]
        folder = tmp_path / f"page-{len(some)}-{some[0][:1].encode().hex()}"
        storage.download_folder(report.model.page.rpartition("/")[0], folder)
        assert ModelCard.load(folder / "README.md").data.library_name == "transformers"
        assert "<script" not in (folder / "index.html").read_text()
        assert "javascript:" not in re.sub(r">[^<]*<", "><", (folder / "index.html").read_text())


def test_a_pod_killed_between_model_and_results_is_repeated(
    planned: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(training=STEPS)
    publish = Storage.upload_folder

    def killed_at_the_results(self: Storage, folder: Path, uri: str, **options: Any) -> Any:
        if uri.endswith("results"):
            raise ConnectionResetError("the node is gone")
        return publish(self, folder, uri, **options)

    with monkeypatch.context() as killing:
        killing.setattr(Storage, "upload_folder", killed_at_the_results)
        assert run(plan)[0] == ExitCode.BUG
    code, report = run(plan)
    assert code == ExitCode.DONE
    assert report.model.resumed_from_step == report.model.optimizer_steps


def test_a_run_whose_model_is_missing_is_trained_again(planned: Any, run: Run, storage: Storage) -> None:
    plan = planned(training=STEPS)
    _, first = run(plan)
    storage.delete(first.model.uri)
    code, second = run(plan)
    assert code == ExitCode.DONE
    assert second.model.digest == first.model.digest
    assert storage.manifest(second.model.uri)


def test_a_warm_start_begins_with_the_initial_model(planned: Any, run: Run) -> None:
    plan = planned()
    _, first = run(plan)
    initial = ModelReference(uri=first.model.uri, digest=first.model.digest)
    warm = plan.model_copy(update={"initial_model": initial, "run": run_id(plan.spec, plan.dataset.digest, initial)})
    code, second = run(warm)
    assert code == ExitCode.DONE
    assert second.model.evaluation.loss_before == first.model.evaluation.loss
    assert float(second.model.evaluation.loss) < float(first.model.evaluation.loss)

    missing = initial.model_copy(update={"digest": "0" * 64})
    code, report = run(warm.model_copy(update={"initial_model": missing, "run": "ab" * 8}))
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.RUN_MISSING)


def test_an_unreachable_tracker_is_reported_and_does_not_stop_the_run(
    planned: Any, run: Run, keys: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    plan = planned(reportTo={"tensorBoard": {}, "mlflow": {"trackingURI": "http://127.0.0.1:9"}})
    code, report = run(plan)
    assert code == ExitCode.DONE
    assert report.message.endswith(" Some metrics were not sent to MLflow (no response): check spec.reportTo.mlflow.")
    names = [key.rsplit("/", 1)[-1].split(".")[0] for key in keys() if f"{plan.run}/tensorboard/" in key]
    assert sorted(names) == ["MANIFEST", "events"]


@pytest.mark.parametrize("available", [False, True], ids=["the driver is too old", "there are fewer GPUs"])
def test_unusable_gpus_fail_a_run_before_the_base_model_is_downloaded(
    planned: Any, run: Run, monkeypatch: pytest.MonkeyPatch, available: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("tweetmodel_trainer.models.base_model.load", lambda *_: pytest.fail("loads the base model"))
    code, report = run(planned(gpus=2))
    assert (code, report.reason) == (ExitCode.CONFIGURATION, Reason.GPU_UNUSABLE)
    assert report.message.startswith(
        f"CUDA can use {int(available)} GPUs (the pod requests 2): check the driver of the node"
    )


def test_too_little_gpu_memory_is_reported_with_advice(planned: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust_memory(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    plan = planned()
    with monkeypatch.context() as training:
        training.setattr("tweetmodel_trainer.training.training_run.fine_tune", exhaust_memory)
        code, report = run(plan)
    assert code != ExitCode.DONE
    assert report.reason is Reason.OUT_OF_MEMORY
    assert "training.globalBatchSize" in report.message
    monkeypatch.setattr("tweetmodel_trainer.model_steps.draw_samples", exhaust_memory)
    code, report = run(plan)
    assert report.reason is Reason.OUT_OF_MEMORY
    assert "generation.maxNewTokens" in report.message


def test_a_diverged_run_leaves_its_losses_and_no_results(
    planned: Any, run: Run, s3: Any, bucket: str, storage: Storage
) -> None:
    plan = planned(training=SHORT | {"learningRate": "1e30", "globalBatchSize": 16})
    _, report = run(plan)
    assert report.reason is Reason.DIVERGED
    assert storage.names(f"{plan.layout.root}/runs/{plan.run}") == ["metrics.jsonl"]
    key = f"models/default/ada/runs/{plan.run}/metrics.jsonl"
    rows = [json.loads(line) for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["loss"] > 0
    assert rows[-1]["loss"] is None


def test_a_changed_data_set_is_not_used(planned: Any, run: Run, put: Any, bucket: str) -> None:
    plan = planned()
    _, trained = run(plan)
    assert trained.outcome == "Succeeded"
    put(plan.dataset.uri.removeprefix(f"s3://{bucket}/") + "/train.jsonl", b"{}")
    for other in (plan.model_copy(update={"run": "ab" * 8}), with_generation(plan, samples_per_prompt=2)):
        code, report = run(other)
        assert (code, report.reason) == (ExitCode.SOURCE, Reason.SOURCE_MISSING)
        assert "the data set is incomplete or corrupt" in report.message


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("absent", {}, Reason.BASE_MODEL_MISSING),
        ("pickle", {"config.json": b"{}", "pytorch_model.bin": b"pickle"}, Reason.BASE_MODEL_INVALID),
        ("broken", {"config.json": b"{}", "model.safetensors": b"no"}, Reason.BASE_MODEL_INVALID),
    ],
)
def test_a_missing_or_unsafe_base_model_fails_with_a_reason(
    planned: Any, run: Run, put: Any, bucket: str, name: str, files: dict[str, bytes], reason: Reason
) -> None:
    for file, content in files.items():
        put(f"{name}/{file}", content)
    code, report = run(planned(baseModel={"s3": {"uri": f"s3://{bucket}/{name}"}}))
    assert report.reason is reason
    assert code in (ExitCode.SOURCE, ExitCode.CONFIGURATION)
    assert f"s3://{bucket}/{name}" in report.message


CHANGED = {"samples_per_prompt": 3, "prompts": ("", "gull"), "temperature": "0.7", "max_new_tokens": 12}


@pytest.mark.parametrize(("precision", "method"), [("Float32", "Full"), ("BFloat16", "LoRA")])
def test_the_sample_step_writes_the_same_outputs_as_the_train_step(
    planned: Any, run: Run, outputs: Any, precision: str, method: str
) -> None:
    """With equal generation settings, all files are byte-identical, except for the name of the TweetModel."""
    first = planned(training=SHORT | {"precision": precision, "method": method})
    _, trained_first = run(first)
    before = outputs(first)
    second = with_generation(first, **CHANGED)
    _, sampled = run(second)
    trained = second.model_copy(update={"step": "train", "name": "eve"})
    _, trained_second = run(trained)

    assert sampled.samples == trained_second.samples != trained_first.samples
    assert sampled.model.digest == trained_second.model.digest == trained_first.model.digest
    assert sampled.model.generation_hash == generation_hash(second.spec) != trained_first.model.generation_hash
    after, expected = outputs(second), outputs(trained)
    report, expected_report = (files.pop("results/report.json").decode() for files in (after, expected))
    assert report == expected_report.replace("/default/eve/", "/default/ada/")
    training, expected_training = (json.loads(files.pop("results/training.json")) for files in (after, expected))
    for rows in (training["log"], expected_training["log"]):
        for row in rows:
            del row["time"]
    assert training == expected_training
    del after["results/metrics.jsonl"], expected["results/metrics.jsonl"]
    assert after == expected

    assert run(first.model_copy(update={"step": "sample"})) == (ExitCode.DONE, trained_first)
    assert outputs(first) == before


def test_the_sample_step_neither_trains_nor_informs_trackers(
    planned: Any, run: Run, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(reportTo={"tensorBoard": {}})
    run(plan)
    root = f"{plan.layout.root}/runs/{plan.run}"
    unchanged = ("model", "checkpoints", "tensorboard")
    before = {folder: storage.etags(f"{root}/{folder}") for folder in unchanged}
    monkeypatch.setattr("tweetmodel_trainer.model_steps.TrainingRun", lambda *_: pytest.fail("trains"))
    monkeypatch.setattr("tweetmodel_trainer.model_steps.Tracking", lambda *_: pytest.fail("informs trackers"))
    code, _ = run(with_generation(plan, samples_per_prompt=2))
    assert code == ExitCode.DONE
    assert {folder: storage.etags(f"{root}/{folder}") for folder in unchanged} == before
    assert not storage.names(plan.layout.update(plan.run))


def test_new_samples_are_described_by_the_recipe_of_the_run(planned: Any, run: Run, outputs: Any) -> None:
    """The spec may have changed since the training, for instance if an earlier run is pinned."""
    plan = planned()
    run(plan)
    sampling = with_generation(plan, samples_per_prompt=2)
    changed = sampling.spec.model_copy(update={"training": Training(epochs=9, seed=7), "gpus": 0})
    _, sampled = run(sampling.model_copy(update={"spec": changed, "dataset": None}))
    files = outputs(plan)
    card = files["page/README.md"].decode()
    assert "| Epochs | 1 |" in card
    assert "| Seed | 42 |" in card
    run(plan.model_copy(update={"step": "sample"}))
    assert run(sampling)[1] == sampled, "samples depend on the seed of the run"


def test_the_train_step_of_a_finished_run_only_draws_new_samples(
    planned: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    _, first = run(plan)
    monkeypatch.setattr("tweetmodel_trainer.model_steps.train_model", lambda *_: pytest.fail("trains"))
    changed = with_generation(plan, samples_per_prompt=2)
    _, second = run(changed.model_copy(update={"step": "train"}))
    assert second.model.generation_hash == generation_hash(changed.spec)
    assert second.model.digest == first.model.digest


def test_new_samples_are_published(planned: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cards: list[str] = []

    def push(folder: Path, *_: Any) -> str:
        cards.append((folder / "README.md").read_text())
        settings = json.loads((folder / "generation_config.json").read_text())
        assert settings["temperature"] == (1.0 if len(cards) == 1 else 0.7)
        return "https://huggingface.co/ada/huggingtweets-ada"

    monkeypatch.setattr("tweetmodel_trainer.publishing.hub_repository.push", push)
    plan = planned(publish=PUBLISH).model_copy(update={"publish": True})
    _, first = run(plan)
    changed = with_generation(plan, temperature="0.7")
    _, second = run(changed)
    assert first.model.publication.spec_hash == publish_hash(plan.spec)
    assert second.model.publication.spec_hash == publish_hash(changed.spec) != publish_hash(plan.spec)
    assert ["temperature=0.7" in card for card in cards] == [False, True]


def test_samples_need_one_of_the_gpus_of_the_training(planned: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned()
    run(plan)
    sampling = with_generation(plan, samples_per_prompt=2)
    with_gpus = sampling.model_copy(update={"spec": sampling.spec.model_copy(update={"gpus": 2})})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, report = run(with_gpus)
    assert (code, report.reason) == (ExitCode.CONFIGURATION, Reason.GPU_UNUSABLE)
    assert "(the pod requests 1)" in report.message
    without = sampling.model_copy(update={"spec": sampling.spec.model_copy(update={"gpus": 0})})
    assert run(without)[0] == ExitCode.DONE
