"""Tests with base models that differ from GPT-2 in architecture, tokenizer and settings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    pipeline,
    set_seed,
)

from small_models import POSTS, TEXTS
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_trainer.evaluation.evaluation_report import EvaluationReport
from tweetmodel_trainer.model_steps import evaluate_samples, load_stored_model
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.step_context import StepContext
from tweetmodel_trainer.storage import Storage
from tweetmodel_trainer.training.training_run import SplitPosts, TrainingRun

Train = Callable[..., EvaluationReport]

SETTINGS = {
    "num_return_sequences": 3,
    "num_beams": 3,
    "stop_strings": ["gull"],
    "penalty_alpha": 0.6,
    "temperature": 0.6,  # without do_sample, with which such a file can't be written again
    "min_new_tokens": 40,
    "forced_eos_token_id": 5,
}
"""Settings in the generation_config.json of a base model, each of which would fail a run or change samples."""


def sentencepiece() -> PreTrainedTokenizerFast:
    """Return a tokenizer like Llama's, in which spaces belong to the following word, and a text begins with one."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", add_bos_token=True
    )


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a small Llama model, by name."""
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = sentencepiece()
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    set_seed(7)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            num_key_value_heads=2,
            max_position_embeddings=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **shape,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    text = tokenizer(" ".join(TEXTS), add_special_tokens=False, return_tensors="pt")["input_ids"][:, :384].view(6, 64)
    for _ in range(15):
        model(input_ids=text, labels=text).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(SETTINGS))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"do_sample": True, "max_length": 50}))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def train_from(
    make_plan: Callable[..., Plan], storage: Storage, put: Any, bucket: str, tmp_path: Path
) -> Callable[..., EvaluationReport]:
    """Trains and samples a base model that is uploaded first; `tmp_path` then contains the folder of the model.

    The model in the folder must have the same samples as the model in memory.
    """

    def run(files: dict[str, bytes], **changes: Any) -> EvaluationReport:
        for name, content in files.items():
            put(f"base/{name}", content)
        plan = make_plan(baseModel={"s3": {"uri": f"s3://{bucket}/base"}}, **changes)
        dataset = DatasetReference(uri=f"s3://{bucket}/dataset", digest="cd" * 32)
        plan = plan.model_copy(update={"step": "train", "run": "ab" * 8, "dataset": dataset})
        context = StepContext(plan, tmp_path, storage, Progress({}))
        posts = SplitPosts(POSTS[:50], POSTS[50:])
        trained = TrainingRun(context, plan.spec.base_model, posts).run()
        report = evaluate_samples(context, trained, posts)
        assert evaluate_samples(context, load_stored_model(context, trained.result), posts) == report
        return report

    return run


@pytest.mark.parametrize(("method", "rate"), [("Full", "3e-3"), ("LoRA", "1e-2")])
def test_a_model_with_a_sentencepiece_tokenizer_learns(
    train_from: Train, llama: dict[str, bytes], tmp_path: Path, method: str, rate: str
) -> None:
    report = train_from(
        llama,
        training={"method": method, "epochs": 3, "learningRate": rate, "blockSize": 64},
        generation={"samplesPerPrompt": 4, "prompts": ["", "gull"], "maxNewTokens": 24, "temperature": "0.3"},
    )
    assert report.learning_outcome == "learned", report.message
    free, prompted = report.samples[:4], report.samples[4:]
    assert all(sample.text.startswith("gull ") for sample in prompted), [sample.text for sample in prompted]
    assert len(free) == len(prompted) == 4
    write = pipeline("text-generation", model=str(tmp_path / "model"))
    assert write("gull number", max_new_tokens=12)[0]["generated_text"].startswith("gull number")


def test_the_model_folder_samples_like_huggingtweets(
    train_from: Train, llama: dict[str, bytes], tmp_path: Path
) -> None:
    """The folder has the defaults of spec.generation, within the context of the model."""
    train_from(
        llama,
        training={"epochs": 1, "globalBatchSize": 8, "blockSize": 64},
        generation={"samplesPerPrompt": 1, "prompts": ["gull"], "maxNewTokens": 48, "temperature": "0.9"},
    )
    end = sentencepiece().eos_token_id
    saved = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    del saved["transformers_version"]
    assert saved == {
        "do_sample": True,
        "min_length": 10,
        "max_new_tokens": 32,
        "temperature": 1.0,
        "top_p": 0.95,
        "top_k": 50,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    write = pipeline("text-generation", model=str(tmp_path / "model"))
    drawn = [write("gull", return_tensors=True)[0]["generated_token_ids"] for _ in range(4)]
    assert len(set(map(tuple, drawn))) == 4
    assert all(10 <= len(tokens) <= 64 for tokens in drawn)
