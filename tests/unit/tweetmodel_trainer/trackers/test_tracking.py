"""Trackers, each beside a server that speaks to its own client: what they are told, and what they can't do to a run."""

import json
import os
import random
import shutil
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
from tensorboardX.proto.event_pb2 import Event
from transformers import GPT2Config, GPT2LMHeadModel, TrainerCallback, set_seed
from wandb.errors import CommError

import hostile
import tracker_servers
from tweetmodel_api.credentials import TRACKERS
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import EarlyStopping, Training
from tweetmodel_api.trackers import ReportTo
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.models.tokens import train_tokenizer
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.trackers import errors as trouble
from tweetmodel_trainer.trackers import process
from tweetmodel_trainer.trackers import tracking as tracking_module
from tweetmodel_trainer.trackers import wandb as wandb_module
from tweetmodel_trainer.trackers.events import Began, Results, Row
from tweetmodel_trainer.trackers.lineage import Reference, Run, model_of, run_of
from tweetmodel_trainer.trackers.tracking import Tracking
from tweetmodel_trainer.training.blocks import Blocks
from tweetmodel_trainer.training.finetune import finetune
from wandb_server import Server

RAW = Reference("default-ada-raw-ada", "s3://bucket/archive.zip")
DATASET = Reference("default-ada-dataset", "s3://bucket/datasets/dd", "d" * 64)
MODEL = Reference("default-ada-model", "s3://bucket/runs/ab/model", "e" * 64)
RUN = Run("default-ada-ab", "default-ada-dd", {"spec.training.epochs": 4}, (RAW,), DATASET)
SAMPLES = [{"prompt": "", "text": text, "copy": "none", "duplicate": False} for text in hostile.POSTS]
RESULTS = Results(MODEL, SAMPLES)
FIGURES = {"eval_loss_before": 3.0, "eval_loss": 1.5, "eval_copy_share": 0.1}
BEGAN = Began({"learning_rate": 1e-3, "output_dir": "/work/first"}, {"n_layer": 1}, 1000)

API_KEY = "k" * 40
SECRETS = {
    "WANDB_API_KEY": API_KEY,
    "TRACKIO_TOKEN": tracker_servers.TOKEN + "\n",
    "MLFLOW_TRACKING_USERNAME": "ada",
    "MLFLOW_TRACKING_PASSWORD": "password-of-ada",
    "HF_TOKEN": "hf_token-of-the-hub",
}
NOWHERE = "http://127.0.0.1:9"

TEXTS = [f"gull number {n} has taken sandwich {n * 7 % 40}" for n in range(33)]
TOKENIZER = train_tokenizer(TEXTS, 320)
TWELVE = Blocks([Post("ada", str(n), text) for n, text in enumerate(TEXTS)], TOKENIZER, 3, 64, 1)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def to_wandb(url: str) -> ReportTo:
    return ReportTo.model_validate({"wandb": {"baseURL": url, "secretRef": {"name": "wandb"}}})


def to_mlflow(url: str) -> ReportTo:
    return ReportTo.model_validate({"mlflow": {"trackingURI": url}})


def to_trackio(url: str) -> ReportTo:
    return ReportTo.model_validate({"trackio": {"serverURL": url, "secretRef": {"name": "trackio"}}})


TO_TENSORBOARD = ReportTo.model_validate({"tensorBoard": {}})


def follow(to: ReportTo, folder: Path, began: Began, steps: range, stopped: bool = False) -> str:
    """An attempt that logs a loss at these steps, and the remark it ends with."""
    with Tracking(to, RUN, folder, lambda _: None) as tracking, suppress(Interrupted if stopped else ()):
        tracking.tell(began)
        for step in steps:
            tracking.tell(Row(step, {"loss": 5.0 - step}))
        if not stopped:
            return tracking.finish(steps[-1], FIGURES, RESULTS)
        tracking.__exit__(Interrupted, Interrupted(), None)
    return ""


def two_attempts(to: ReportTo, folder: Path) -> None:
    """The first is stopped after its second step; the second goes on from there, on another disk."""
    follow(to, folder / "1", BEGAN, range(1, 3), stopped=True)
    later = Began({**BEGAN.arguments, "output_dir": "/work/second"}, BEGAN.model, BEGAN.parameters)
    assert follow(to, folder / "2", later, range(3, 5)) == ""


def test_weights_and_biases_has_one_run_of_two_attempts_and_the_whole_lineage(tmp_path: Path) -> None:
    server = Server()
    two_attempts(to_wandb(server.url), tmp_path)
    server.stop()
    run = server.runs[RUN.id]
    assert run.begun == 2
    losses = {row["train/global_step"]: row["train/loss"] for row in run.history if "train/loss" in row}
    assert losses == {1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}
    assert (run.summary["eval/loss_before"], run.summary["eval/loss"]) == (3.0, 1.5)
    assert run.config["spec.training.epochs"]["value"] == 4
    assert server.used == {(RUN.collection, RAW.name), (RUN.id, DATASET.name)}
    assert {(RUN.collection, DATASET.name), (RUN.id, MODEL.name)} <= server.made
    assert [server.refers(it.name) for it in (RAW, DATASET, MODEL)] == [[RAW.uri], [DATASET.uri], [MODEL.uri]]
    [table] = [json.loads(body) for name, body in server.files.items() if name.endswith("samples.table.json")]
    assert [row[1] for row in table["data"]] == list(hostile.POSTS)
    assert not any("model" in name and "manifest" not in name for name in server.files), "weights were uploaded"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tracker_servers.mlflow(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


def test_mlflow_has_one_run_of_two_attempts_and_the_whole_lineage(mlflow: str, tmp_path: Path) -> None:
    two_attempts(to_mlflow(mlflow), tmp_path)

    def ask(what: str, **body: Any) -> Any:
        return requests.post(f"{mlflow}/api/2.0/mlflow/{what}", json=body, timeout=20).json()

    experiment = requests.get(
        f"{mlflow}/api/2.0/mlflow/experiments/get-by-name", {"experiment_name": "tweetmodel"}, timeout=20
    ).json()["experiment"]["experiment_id"]
    [run] = ask("runs/search", experiment_ids=[experiment])["runs"]
    assert run["info"]["status"] == "FINISHED"
    history = requests.get(
        f"{mlflow}/api/2.0/mlflow/metrics/get-history",
        {"run_id": run["info"]["run_id"], "metric_key": "loss"},
        timeout=20,
    ).json()["metrics"]
    assert {metric["step"]: metric["value"] for metric in history} == {1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}
    assert {m["key"]: m["value"] for m in run["data"]["metrics"]}.items() >= FIGURES.items()
    parameters = {p["key"]: p["value"] for p in run["data"]["params"]}
    assert (parameters["spec.training.epochs"], parameters["n_layer"]) == ("4", "1")
    assert parameters["output_dir"] == "/work/first", "a parameter stays what it was"
    inputs = [given["dataset"] for given in run["inputs"]["dataset_inputs"]]
    assert {given["name"]: json.loads(given["source"])["uri"] for given in inputs} == {
        RAW.name: RAW.uri,
        DATASET.name: DATASET.uri,
    }
    [made] = run["outputs"]["model_outputs"]
    model = requests.get(f"{mlflow}/api/2.0/mlflow/logged-models/{made['model_id']}", timeout=20).json()["model"]
    assert {tag["key"]: tag["value"] for tag in model["info"]["tags"]}["uri"] == MODEL.uri


def test_trackio_has_one_run_of_two_attempts_and_the_whole_lineage(tmp_path: Path) -> None:
    data = tmp_path / "server"
    with tracker_servers.trackio(data) as url:
        two_attempts(to_trackio(url), tmp_path)
    with sqlite3.connect(data / "tweetmodel.db") as database:
        rows = database.execute("select run_name, run_id, metrics from metrics order by id").fetchall()
        links = database.execute(
            "select l.run_name, l.direction, a.name from run_artifact_links l "
            "join artifact_versions v on v.id = l.artifact_version_id join artifacts a on a.id = v.artifact_id"
        ).fetchall()
        manifests = {text for (text,) in database.execute("select manifest from artifact_versions")}
    assert {name for name, _, _ in rows} == {RUN.id}
    assert len({run for _, run, _ in rows}) == 1, "the second attempt made another run"
    told = [json.loads(metrics) for _, _, metrics in rows]
    assert {r["train/global_step"]: r["train/loss"] for r in told if "train/loss" in r} == {1: 4, 2: 3, 3: 2, 4: 1}
    assert set(links) >= {
        (RUN.collection, "input", RAW.name),
        (RUN.collection, "output", DATASET.name),
        (RUN.id, "input", DATASET.name),
        (RUN.id, "output", MODEL.name),
    }
    assert {json.loads(text)[0]["ref"] for text in manifests} == {RAW.uri, DATASET.uri, MODEL.uri}
    [samples] = [row["samples"] for row in told if "samples" in row]
    assert "<script>" not in json.dumps(samples)


def events(folder: Path) -> list[Event]:
    """What the event files in a folder hold (TFRecord: length, its checksum, the data, its checksum)."""
    found = []
    for file in folder.iterdir():
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def scalars(folder: Path, tag: str) -> dict[int, float]:
    return {e.step: value.simple_value for e in events(folder) for value in e.summary.value if value.tag == tag}


def texts(folder: Path) -> dict[str, str]:
    values = [value for event in events(folder) for value in event.summary.value if value.tensor.string_val]
    return {value.tag: value.tensor.string_val[0].decode() for value in values}


def trained(
    folder: Path,
    callbacks: list[TrainerCallback],
    resume: Path | None,
    keep: Callable[[int, Path], None],
    patience: int = 9,
) -> Any:
    set_seed(7)
    shape = {"vocab_size": len(TOKENIZER), "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
    model = GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, **shape))
    training = Training(learning_rate="1e-3", early_stopping=EarlyStopping(patience=patience))
    training = training.model_copy(update={"checkpoint_interval_seconds": 0})
    rest = (keep, Progress({}), (0, 100))
    return finetune(model, TWELVE, training, folder, resume, *rest, score=lambda: 2.0, callbacks=callbacks)


def test_the_loop_tells_each_row_of_its_log_once_and_a_resumed_one_has_the_whole_curve(tmp_path: Path) -> None:
    published: list[Path] = []

    def publish(folder: Path) -> None:
        published.append(tmp_path / f"published-{len(published)}")
        shutil.copytree(folder, published[-1])

    def keep_the_fifth(step: int, folder: Path) -> None:
        if step == 5:
            shutil.copytree(folder, tmp_path / "fifth")
            raise Interrupted

    with pytest.raises(Interrupted), Tracking(TO_TENSORBOARD, RUN, tmp_path / "1", publish) as tracking:
        trained(tmp_path / "first", tracking.callbacks, None, keep_the_fifth)
    assert set(scalars(published[-1], "train/loss")) == {1, 2, 3, 4, 5}
    with Tracking(TO_TENSORBOARD, RUN, tmp_path / "2", publish) as tracking:
        log = trained(tmp_path / "second", tracking.callbacks, tmp_path / "fifth", lambda *_: None).log
        assert tracking.finish(12, FIGURES, RESULTS) == ""
    losses = {row["step"]: row["loss"] for row in log if "loss" in row}
    assert scalars(published[-1], "train/loss") == pytest.approx(losses)
    assert scalars(published[-1], "eval/loss") == {5: 2.0, 9: 2.0, 12: 1.5}
    tags = [value.tag for event in events(published[-1]) for value in event.summary.value]
    assert tags.count("train/loss") == 12
    told = texts(published[-1])
    assert DATASET.uri in told["lineage/made of/text_summary"]
    assert "<script>" not in told["samples/text_summary"]
    assert json.loads(told["args/text_summary"])["spec.training.epochs"] == 4


def test_an_attempt_that_has_nothing_left_to_train_tells_the_whole_curve(tmp_path: Path) -> None:
    def keep_the_last(step: int, folder: Path) -> None:
        if step == 9:
            shutil.copytree(folder, tmp_path / "ninth")

    trained(tmp_path / "first", [], None, keep_the_last, patience=1)
    with Tracking(TO_TENSORBOARD, RUN, tmp_path / "t", lambda f: shutil.copytree(f, tmp_path / "told")) as tracking:
        trained(tmp_path / "second", tracking.callbacks, tmp_path / "ninth", lambda *_: None, patience=1)
        tracking.finish(9, FIGURES, RESULTS)
    assert set(scalars(tmp_path / "told", "train/loss")) == set(range(1, 10))
    assert scalars(tmp_path / "told", "eval/loss") == {5: 2.0, 9: 1.5}


@pytest.mark.parametrize("to", [to_wandb, to_mlflow, to_trackio])
def test_a_tracker_that_is_away_is_told_of_and_stops_nothing(
    to: Callable[[str], ReportTo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wandb_module, "INIT_SECONDS", 1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    remark = follow(to(NOWHERE), tmp_path / "t", BEGAN, range(1, 3))
    assert "was not told everything (it does not answer): check spec.reportTo." in remark
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("to", [to_wandb, to_mlflow, to_trackio])
def test_a_tracker_that_hangs_makes_no_step_wait_and_is_killed_at_the_end(
    to: Callable[[str], ReportTo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "FAREWELL_SECONDS", {"Succeeded": 1.0})
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with Tracking(to(url), RUN, tmp_path / "t", lambda _: None) as tracking:
            began = time.monotonic()
            tracking.tell(BEGAN)
            for step in range(200):
                tracking.tell(Row(step, {"loss": 1.0}))
            assert time.monotonic() - began < 5
            remark = tracking.finish(200, FIGURES, RESULTS)
    assert time.monotonic() - began < 20
    assert "(it took too long)" in remark
    assert not any(follower.process.is_alive() for follower in tracking._followers)


def test_a_key_that_is_refused_is_said_so_and_shown_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    server.refusal = 401
    remark = follow(to_wandb(server.url), tmp_path / "t", BEGAN, range(1, 3))
    server.stop()
    assert "Weights & Biases was not told everything (it refuses the key)" in remark
    out, err = capfd.readouterr()
    for secret in SECRETS.values():
        assert secret.strip() not in remark + caplog.text + out + err


def test_a_client_that_crashes_takes_nothing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "report", lambda *_: os._exit(139))
    assert "(its client crashed)" in follow(TO_TENSORBOARD, tmp_path / "t", BEGAN, range(1, 3))


def test_a_client_prints_nothing_and_draws_no_random_numbers_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def noisy(*_: Any) -> None:
        os.write(1, API_KEY.encode())
        os.write(2, API_KEY.encode())
        print(API_KEY)
        set_seed(1)

    monkeypatch.setattr(process, "report", noisy)
    before = random.getstate(), torch.get_rng_state().tolist()
    follow(TO_TENSORBOARD, tmp_path / "t", BEGAN, range(1, 3))
    assert (random.getstate(), torch.get_rng_state().tolist()) == before
    assert capfd.readouterr() == ("", "")


def test_a_tracker_has_its_own_key_alone(tmp_path: Path) -> None:
    others = {"AWS_SECRET_ACCESS_KEY": "s", "SOURCE_TOKEN_ada": "x", "BASE_MODEL_TOKEN": "b"}
    environ = {**SECRETS, **others, "HTTPS_PROXY": "http://proxy"}
    given = process.environment("trackio", environ, tmp_path)
    assert given == {"TRACKIO_TOKEN": tracker_servers.TOKEN, "HTTPS_PROXY": "http://proxy", "HOME": str(tmp_path)}
    assert {c.variable for keys in TRACKERS.values() for c in keys} >= set(SECRETS) - {"HF_TOKEN"}


def test_event_files_that_storage_does_not_take_stop_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def away(_: Path) -> None:
        raise Failure(Reason.STORAGE_UNREACHABLE, "no answer")

    with Tracking(TO_TENSORBOARD, RUN, tmp_path / "t", away) as tracking:
        tracking.tell(BEGAN)
        tracking.finish(1, FIGURES, RESULTS)
    assert "TensorBoard's files are not in storage" in caplog.text


def test_without_trackers_nothing_is_started_and_nothing_written(tmp_path: Path) -> None:
    with Tracking(None, RUN, tmp_path / "t", lambda _: pytest.fail("there is nothing")) as tracking:
        assert tracking.callbacks == []
        assert tracking.finish(1, FIGURES, RESULTS) == ""
    assert not (tmp_path / "t").exists()


def test_the_lineage_names_every_source_without_the_keys_in_addresses(make_plan: Callable[..., Plan]) -> None:
    sources = [
        {"handle": "a", "archive": {"uri": "https://host/archive.zip?X-Amz-Signature=secret"}},
        {"handle": "b", "s3": {"uri": "s3://bucket/posts.csv"}},
        {"handle": "c", "huggingFace": {"dataset": "ada/tweets", "revision": "main"}},
        {"handle": "d", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "1"}},
        {"handle": "e", "tweetModel": {"name": "eve"}},
    ]
    dataset = DatasetReference(uri="s3://bucket/models/default/ada/datasets/dd", digest="d" * 64)
    plan = make_plan(sources=sources).model_copy(update={"run": "ab" * 8, "dataset": dataset})
    run, root = run_of(plan), plan.layout.storage_uri
    assert [raw.uri for raw in run.raw] == [
        "https://host/archive.zip",
        "s3://bucket/posts.csv",
        "hf://datasets/ada/tweets@main",
        f"{root}/default/ada/raw/x/d",
        f"{root}/default/eve/datasets",
    ]
    assert (run.id, run.dataset.uri) == (f"default-ada-{'ab' * 8}", dataset.uri)
    assert "secret" not in json.dumps(run.config)
    assert model_of(plan, "s3://bucket/model", "e").name == "default-ada-model"


class Refused(Exception):
    response = type("Response", (), {"status_code": 403})


class Broken(Exception):
    response = type("Response", (), {"status_code": 500})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Refused(API_KEY), "it refuses the key"),
        (Broken(API_KEY), "Broken, 500"),
        (ConnectionError(API_KEY), "it does not answer"),
        (CommError(f"returned error 401: {API_KEY}"), "it refuses the key"),
        (CommError(f"while retrying: HTTP 500: {API_KEY}"), "CommError, 500"),
        (CommError(API_KEY), "it does not answer"),
        (ValueError(API_KEY), "ValueError"),
    ],
)
def test_trouble_is_told_in_words_that_quote_nothing(error: Exception, words: str) -> None:
    assert trouble.words(error) == words
