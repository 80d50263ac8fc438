"""The quickstart's training, stage by stage, beside the stock recipe on the same posts and the same model.

Stock is transformers' Trainer as huggingtweets ran it: packed blocks, batch 1, fp32, its learning rate and
cosine, and otherwise the Trainer's defaults. Both start from the same weights, read the same text as often and
are scored on the same held-out posts, in one process, one after the other.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import generate as archive
import grammar
import torch
import yaml
from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.table import Table
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

from tweetmodel_api.plan import DatasetReference, Plan, run_id
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_trainer import base_model, dataset, learn, pipeline
from tweetmodel_trainer.blocks import Blocks
from tweetmodel_trainer.clean import Counts, cleaned
from tweetmodel_trainer.evaluate import evaluate
from tweetmodel_trainer.generate import SHORTEST_TOKENS, TOP_K
from tweetmodel_trainer.post import Post
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.storage import Storage

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results" / "trainer.json"
HUGGINGTWEETS = {"learning_rate": 1.372e-4, "lr_scheduler_type": "cosine", "per_device_train_batch_size": 1}

PADDED_POSTS = 400
"""Enough of them to tell their speed."""

STAGES = {"Blocks": "tokens", "evaluate": "evaluate", "finetune": "train", "generate": "generate"}
"""Functions of `learn` and what the table calls them."""

Times = dict[str, float]


def timed(module: ModuleType, name: str, times: Times, label: str) -> None:
    """Has a function of a module add its seconds to `times`."""
    function: Callable[..., Any] = getattr(module, name)

    def wrapper(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            times[label] = times.get(label, 0.0) + time.perf_counter() - started

    setattr(module, name, wrapper)


def quickstart(endpoint: str) -> TweetModelSpec:
    """The quickstart's spec against a local S3 service."""
    document = yaml.safe_load((ROOT / "examples" / "quickstart.yaml").read_text())
    document["spec"]["storage"] = {"uri": "s3://tweets/models", "endpoint": endpoint}
    return TweetModelSpec.model_validate(document["spec"])


def ours(spec: TweetModelSpec, workdir: Path) -> tuple[Times, Any]:
    """Runs both stages as a pod does; seconds by stage, and the report."""
    times: Times = {}
    storage, progress = Storage(spec.storage), Progress({})
    timed(base_model, "load", times, "base model")
    for name, label in STAGES.items():
        timed(learn, name, times, label)
    plan = Plan(stage="collect", namespace="bench", name="quickstart", spec=spec)
    started = time.perf_counter()
    collected = pipeline.collect(plan, workdir / "collect", storage, progress)
    times["collect"] = time.perf_counter() - started
    assert collected.dataset
    plan = plan.model_copy(
        update={
            "run": run_id(spec, collected.dataset.digest),
            "dataset": DatasetReference(uri=collected.dataset.uri, digest=collected.dataset.digest),
        }
    )
    started = time.perf_counter()
    report = pipeline.train(plan, workdir / "train", storage, progress, "bench")
    rest = time.perf_counter() - started - sum(v for k, v in times.items() if k != "collect")
    return times | {"fetch and publish": rest}, report


def stock(spec: TweetModelSpec, data: Path, workdir: Path) -> tuple[float, int, float]:
    """Trains by the stock recipe; training seconds, tokens read, held-out loss."""
    posts, held_out = (dataset.read(data / name) for name in (dataset.TRAIN, dataset.EVAL))
    set_seed(spec.training.seed)
    storage = Storage(spec.storage)
    model, tokenizer = base_model.load(spec.base_model, storage, [p.text for p in posts], workdir)
    size = min(1024, model.config.max_position_embeddings)
    blocks = Blocks(posts, tokenizer, spec.training.epochs, size, spec.training.seed)
    arguments = TrainingArguments(
        output_dir=str(workdir),
        num_train_epochs=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **HUGGINGTWEETS,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=blocks)
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    return seconds, len(blocks) * size, evaluate(model, tokenizer, [p.text for p in held_out]).loss


def padded(spec: TweetModelSpec, data: Path, workdir: Path) -> tuple[float, int]:
    """An epoch of the stock recipe with a post a row, each padded to the model's context, as most tutorials train.

    Returns:
        Seconds, and the tokens of posts that were read in them.
    """
    posts = dataset.read(data / dataset.TRAIN)[:PADDED_POSTS]
    model, tokenizer = base_model.load(spec.base_model, Storage(spec.storage), [p.text for p in posts], workdir)
    size = min(1024, model.config.max_position_embeddings)
    ids = [[*row, tokenizer.eos_token_id][:size] for row in tokenizer([p.text for p in posts])["input_ids"]]
    end = tokenizer.eos_token_id
    rows = [
        {
            "input_ids": torch.tensor(row + [end] * (size - len(row))),
            "attention_mask": torch.tensor([1] * len(row) + [0] * (size - len(row))),
            "labels": torch.tensor(row + [-100] * (size - len(row))),
        }
        for row in ids
    ]
    arguments = TrainingArguments(
        output_dir=str(workdir),
        num_train_epochs=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **HUGGINGTWEETS,
    )
    started = time.perf_counter()
    Trainer(model=model, args=arguments, train_dataset=rows).train()
    return time.perf_counter() - started, sum(map(len, ids))


def ten_samples() -> float:
    """Seconds for ten samples of 160 tokens from a model of GPT-2's size, whose weights don't matter for it."""
    model = GPT2LMHeadModel(GPT2Config()).eval()
    start = torch.full((10, 1), model.config.eos_token_id)
    started = time.perf_counter()
    model.generate(
        start,
        attention_mask=torch.ones_like(start),
        do_sample=True,
        max_new_tokens=160,
        min_new_tokens=SHORTEST_TOKENS,
        top_p=0.95,
        top_k=TOP_K,
        pad_token_id=model.config.eos_token_id,
    )
    return time.perf_counter() - started


def imports() -> float:
    """Seconds until a new process has imported what training needs."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tweetmodel_trainer.learn"], check=True)
    return time.perf_counter() - started


def cleaning() -> float:
    """Posts a second that one core cleans."""
    posts = [Post("ada", str(n), str(tweet["full_text"])) for n, tweet in enumerate(archive.tweets(1))] * 30
    started = time.process_time()
    for _ in cleaned(posts, Counts()):
        pass
    return len(posts) / (time.process_time() - started)


def per_post(loss: float, data: Path, model: Path) -> tuple[float, float]:
    """A loss in nats a post, and the floor: what the grammar that wrote these posts itself would score."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [post.text for post in dataset.read(data / dataset.EVAL)]
    count = sum(len(ids) + 1 for ids in tokenizer(texts)["input_ids"])
    return loss * count / len(texts), -sum(map(grammar.log_probability, texts)) / len(texts)


def main() -> None:
    """Measures, prints a table and writes it as JSON."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="tweets")
    client.put_object(Bucket="tweets", Key="archives/lighthouse_ada.zip", Body=archive.archive(1))
    spec = quickstart(endpoint)
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        times, report = ours(spec, workdir)
        data = workdir / "train" / "dataset"
        stock_seconds, stock_tokens, stock_loss = stock(spec, data, workdir / "stock")
        padded_seconds, padded_tokens = padded(spec, data, workdir / "padded")
        loss = float(report.model.evaluation.loss)
        nats, floor = per_post(loss, data, workdir / "train" / "model")
    server.stop()
    trained = report.model.steps * spec.training.batch_size * min(spec.training.block_size, 256)
    figures = {
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "seconds": {name: round(value, 2) for name, value in times.items()},
        "tokens_per_second_ours": round(trained / times["train"]),
        "tokens_per_second_stock": round(stock_tokens / stock_seconds),
        "tokens_per_second_padded": round(padded_tokens / padded_seconds),
        "tokens_per_second_ratio_cpu": round(trained / times["train"] / (stock_tokens / stock_seconds), 2),
        "tokens_per_second_ratio_padded": round(trained / times["train"] / (padded_tokens / padded_seconds), 1),
        "imports_seconds": round(imports(), 1),
        "clean_posts_per_second": round(cleaning()),
        "ten_samples_seconds": round(ten_samples(), 1),
        "train_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "heldout_loss_ours": loss,
        "heldout_loss_stock": round(stock_loss, 4),
        "nats_per_post_ours": round(nats, 2),
        "nats_per_post_floor": round(floor, 2),
    }
    table = Table("stage", "seconds")
    for name, value in times.items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)
    table = Table("", "quickstart", "stock recipe", "a padded post a row")
    table.add_row("tokens/s", *(str(figures[f"tokens_per_second_{name}"]) for name in ("ours", "stock", "padded")))
    table.add_row("training seconds", f"{times['train']:.1f}", f"{stock_seconds:.1f}")
    table.add_row("held-out loss, nats/token", f"{loss:.4g}", f"{stock_loss:.4g}")
    Console().print(table)
    for name in ("imports_seconds", "clean_posts_per_second", "ten_samples_seconds", "train_peak_mib"):
        Console().print(f"{name}: {figures[name]}")
    Console().print(f"A held-out post costs {nats:.2f} nats; the grammar that wrote it needs {floor:.2f}.")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
