"""The quickstart's training, stage by stage, beside the stock recipe on the same posts and the same model.

Stock is transformers' Trainer as huggingtweets ran it: packed blocks, batch 1, fp32, its learning rate and
cosine, and otherwise the Trainer's defaults. Both start from the same weights, read the same text as often and
are scored on the same held-out posts, in one process, one after the other.
"""

import json
import logging
import os
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
from transformers import Trainer, TrainingArguments, set_seed

from tweetmodel_api.plan import DatasetReference, Plan, run_id
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_trainer import base_model, dataset, learn, pipeline, tokens
from tweetmodel_trainer.evaluate import evaluate
from tweetmodel_trainer.finetune import Blocks
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.storage import Storage

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results" / "trainer.json"
HUGGINGTWEETS = {"learning_rate": 1.372e-4, "lr_scheduler_type": "cosine", "per_device_train_batch_size": 1}

STAGES = {"blocks": "tokens", "evaluate": "evaluate", "finetune": "train", "generate": "generate"}
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
    blocks = tokens.blocks(posts, tokenizer, spec.training.epochs, size, spec.training.seed)
    arguments = TrainingArguments(
        output_dir=str(workdir),
        num_train_epochs=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **HUGGINGTWEETS,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Blocks(blocks))
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    return seconds, blocks.numel(), evaluate(model, tokenizer, [p.text for p in held_out]).loss


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
        "tokens_per_second_ratio": round(trained / times["train"] / (stock_tokens / stock_seconds), 2),
        "heldout_loss_ours": loss,
        "heldout_loss_stock": round(stock_loss, 4),
        "nats_per_post_ours": round(nats, 2),
        "nats_per_post_floor": round(floor, 2),
    }
    table = Table("stage", "seconds")
    for name, value in times.items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)
    table = Table("", "quickstart", "stock recipe")
    table.add_row("tokens/s", str(figures["tokens_per_second_ours"]), str(figures["tokens_per_second_stock"]))
    table.add_row("training seconds", f"{times['train']:.1f}", f"{stock_seconds:.1f}")
    table.add_row("held-out loss, nats/token", f"{loss:.4g}", f"{stock_loss:.4g}")
    Console().print(table)
    Console().print(f"A held-out post costs {nats:.2f} nats; the grammar that wrote it needs {floor:.2f}.")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
