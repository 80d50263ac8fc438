"""Tests of loading base models, including missing, unsafe and unreachable ones."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import huggingface_hub.constants
import pytest
import safetensors.torch
import torch
from transformers import GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForCausalLM

from http_server import QuietHandler, QuietServer
from small_models import TEXTS
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import BaseModelSource, HubModel, S3Model, ScratchModel
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.model_cache import Cache
from tweetmodel_trainer.models import base_model
from tweetmodel_trainer.models.license import read_license
from tweetmodel_trainer.storage import Storage


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a small model, by name."""
    folder = tmp_path_factory.mktemp("model")
    model, tokenizer = base_model._new_model(ScratchModel(), TEXTS)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def load(storage: Storage, tmp_path: Path) -> Callable[[BaseModelSource], Any]:
    return lambda source: base_model.load(source, storage, TEXTS, tmp_path / "base")


def test_a_model_in_a_bucket_is_loaded(
    load: Any, put: Any, bucket: str, saved: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in saved.items():
        put(f"base/{name}", content)
    put("base/pytorch_model.bin", b"a pickle, which is not downloaded")
    put("base/onnx/config.json", b"{}")
    model, tokenizer = load(BaseModelSource(s3=S3Model(uri=f"s3://{bucket}/base/")))
    assert tokenizer.decode(tokenizer("gull number 7")["input_ids"]) == "gull number 7"
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert not list((tmp_path / "base").glob("*.bin"))


def test_a_model_of_a_run_is_verified_by_its_manifest(
    load: Any, put: Any, bucket: str, saved: dict[str, bytes], storage: Storage, tmp_path: Path
) -> None:
    for name, content in saved.items():
        (tmp_path / "made" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "made" / name).write_bytes(content)
    uri = f"s3://{bucket}/made"
    storage.upload_folder(tmp_path / "made", uri)
    assert load(BaseModelSource(s3=S3Model(uri=f"{uri}/")))
    weights = bytearray(saved["model.safetensors"])
    weights[-1] ^= 1
    put("made/model.safetensors", bytes(weights))
    with pytest.raises(Failure, match=r"the base model is damaged .*model\.safetensors does not match its manifest"):
        load(BaseModelSource(s3=S3Model(uri=uri)))


def test_a_model_in_a_bucket_with_a_manifest_is_downloaded_once(
    put: Any, bucket: str, saved: dict[str, bytes], storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    for name, content in saved.items():
        (tmp_path / "made" / name).write_bytes(content)
    source = BaseModelSource(s3=S3Model(uri=f"s3://{bucket}/made"))
    storage.upload_folder(tmp_path / "made", f"s3://{bucket}/made")
    base_model.load(source, storage, TEXTS, tmp_path / "first", Cache(tmp_path / "cache"))
    downloads = Mock(wraps=storage._download)
    monkeypatch.setattr(storage, "_download", downloads)
    base_model.load(source, storage, TEXTS, tmp_path / "second", Cache(tmp_path / "cache"))
    assert not downloads.called
    assert {path.name: path.read_bytes() for path in (tmp_path / "second").iterdir()} == saved
    base_model.load(source, storage, TEXTS, tmp_path / "third")
    assert downloads.call_count == len(saved)


def test_the_license_of_a_runs_model_is_read_from_the_card_of_its_page(
    load: Any, put: Any, bucket: str, saved: dict[str, bytes], storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    for name, content in saved.items():
        (tmp_path / "run" / "model" / name).write_bytes(content)
    storage.upload_folder(tmp_path / "run" / "model", f"s3://{bucket}/run/model")
    put("run/page/README.md", b"---\nlicense: mit\n---\n")
    load(BaseModelSource(s3=S3Model(uri=f"s3://{bucket}/run/model")))
    assert read_license(tmp_path / "base") == "mit"


def test_code_in_a_model_folder_is_not_executed(load: Any, put: Any, bucket: str, saved: dict[str, bytes]) -> None:
    config = json.loads(saved["config.json"]) | {
        "model_type": "stranger",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    }
    for name, content in (saved | {"config.json": json.dumps(config).encode(), "evil.py": b"raise SystemExit"}).items():
        put(f"base/{name}", content)
    with pytest.raises(Failure) as failure:
        load(BaseModelSource(s3=S3Model(uri=f"s3://{bucket}/base")))
    assert failure.value.reason is Reason.BASE_MODEL_INVALID


def test_a_tokenizer_with_more_tokens_than_the_model_is_rejected(
    load: Any, put: Any, bucket: str, saved: dict[str, bytes]
) -> None:
    tokenizer = json.loads(saved["tokenizer.json"])
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 99_999, "content": "<more>"})
    for name, content in (saved | {"tokenizer.json": json.dumps(tokenizer).encode()}).items():
        put(f"base/{name}", content)
    with pytest.raises(Failure, match="more tokens than the model") as failure:
        load(BaseModelSource(s3=S3Model(uri=f"s3://{bucket}/base")))
    assert failure.value.reason is Reason.BASE_MODEL_INVALID


def test_a_model_without_some_weights_is_rejected(load: Any, put: Any, bucket: str, saved: dict[str, bytes]) -> None:
    weights = safetensors.torch.load(saved["model.safetensors"])
    del weights["transformer.h.0.mlp.c_fc.weight"]
    for name, content in (saved | {"model.safetensors": safetensors.torch.save(weights, {"format": "pt"})}).items():
        put(f"base/{name}", content)
    with pytest.raises(Failure, match=r"lacks 1 of its weights, such as transformer\.h\.0\.mlp\.c_fc") as failure:
        load(BaseModelSource(s3=S3Model(uri=f"s3://{bucket}/base")))
    assert failure.value.reason is Reason.BASE_MODEL_INVALID


def test_a_model_that_attends_to_future_tokens_is_rejected(
    load: Any, put: Any, bucket: str, saved: dict[str, bytes], tmp_path: Path
) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(vocab_size=1024, initializer_range=0.5, **shape)
    torch.manual_seed(1)
    RobertaForCausalLM(config).save_pretrained(tmp_path / "roberta")
    tokenizer = {name: content for name, content in saved.items() if name.startswith("tokenizer")}
    for name, content in (tokenizer | {p.name: p.read_bytes() for p in (tmp_path / "roberta").iterdir()}).items():
        put(f"base/{name}", content)
    with pytest.raises(Failure, match=r"is not a causal language model \(it attends to future tokens\)") as failure:
        load(BaseModelSource(s3=S3Model(uri=f"s3://{bucket}/base")))
    assert failure.value.reason is Reason.BASE_MODEL_INVALID


def test_an_invalid_hub_name_is_a_missing_base_model(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure) as failure:
        load(BaseModelSource(hub=HubModel(name="a--b")))
    assert failure.value.reason is Reason.BASE_MODEL_MISSING


def test_small_has_six_times_the_parameters_of_tiny() -> None:
    def parameters(preset: str) -> int:
        shape = dict(base_model.PRESETS[preset])
        config = GPT2Config(vocab_size=shape.pop("vocabulary"), **shape)
        with torch.device("meta"):
            return GPT2LMHeadModel(config).num_parameters()

    assert round(parameters("Small") / parameters("Tiny")) == 6


HUB = BaseModelSource(hub=HubModel(name="openai-community/gpt2"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, dict[str, str]], None]]:
    """Starts a server that answers all requests with a status of the Hub."""

    def answer(status: int, headers: dict[str, str]) -> None:
        class Handler(QuietHandler):
            def do_GET(self) -> None:
                self.respond(status, headers=headers)

            do_HEAD = do_GET

        server = servers.enter_context(QuietServer(Handler))
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)

    with ExitStack() as servers:
        yield answer


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "RepoNotFound", Reason.BASE_MODEL_MISSING),
        (404, "RevisionNotFound", Reason.BASE_MODEL_MISSING),
        (403, "GatedRepo", Reason.BASE_MODEL_MISSING),
        (500, "", Reason.HUB_UNREACHABLE),
    ],
)
def test_answers_of_the_hub_become_reasons(load: Any, hub: Any, status: int, code: str, reason: Reason) -> None:
    hub(status, {"X-Error-Code": code, "X-Error-Message": "no"})
    with pytest.raises(Failure, match="openai-community/gpt2 at main") as failure:
        load(HUB)
    assert failure.value.reason is reason


def test_an_unreachable_hub_is_reported_within_seconds(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(Failure, match=r"baseModel\.s3") as failure:
        load(HUB)
    assert failure.value.reason is Reason.HUB_UNREACHABLE
    assert time.monotonic() - began < 20
