"""GPT-2 by the default recipe and by the stock recipe (see `recipes`), and the quickstart stage by stage.

Both recipes start from the same weights, read the same blocks and are scored on the same held-out posts, in turns in
one process; the stock recipe shuffles the blocks. GPT-2's weights are random, which does not affect the speed. With
CUDA, everything runs on the GPU over all epochs.
"""

import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import boto3
import generate as archive
import grammar
import torch
import yaml
from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase, set_seed

from recipes import DEVICE, flops_per_token, padded_rows, synchronize, train_default, train_stock
from tweetmodel_api.identities import run_id
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.spec import BaseModelSource, Generation, ScratchModel, Training, TweetModelSpec
from tweetmodel_trainer import model_steps, pipeline
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.evaluation.sampling import draw_samples
from tweetmodel_trainer.evaluation.scoring import score_texts
from tweetmodel_trainer.models import base_model
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.step_context import StepContext
from tweetmodel_trainer.storage import Storage
from tweetmodel_trainer.training import training_run
from tweetmodel_trainer.training.blocks import BlockLayout, Blocks
from tweetmodel_trainer.training.fine_tuning import uses_bfloat16

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results" / {"cpu": "trainer.json", "cuda": "trainer-cuda.json"}[DEVICE]
FIRST_STEP = Path(__file__).parent / "first_step.py"

TURNS = 2
MAX_BLOCKS = {"cpu": 4, "cuda": None}[DEVICE]
"""Blocks of GPT-2, enough for its speed; None for all epochs."""
PADDED_POSTS = {"cpu": 3, "cuda": 300}[DEVICE]
SMALL_BLOCK_SIZE = 256
"""Tokens of a block of the small model."""

PEAK_FLOPS = {"NVIDIA H100": 989e12, "NVIDIA H200": 989e12}
"""Dense bfloat16 of the SXM boards, from NVIDIA's data sheets."""

STAGES = (
    (base_model, "load", "base model"),
    (training_run, "Blocks", "tokens"),
    (training_run, "score_accounts", "evaluate"),
    (training_run, "fine_tune", "train"),
    (model_steps, "draw_samples", "generate"),
)
"""Functions of modules, and the stages that they belong to."""

RECIPES: dict[str, Callable[..., Any]] = {"ours": train_default, "stock": train_stock}

Figures = dict[str, float]


class Stages:
    """Seconds and peak memory of each stage; the calls of a stage are added up."""

    def __init__(self) -> None:
        self.seconds: Figures = {}
        self.peak_mib: Figures = {}
        self.gpu_peak_mib: Figures = {}

    def call(self, stage: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a function as a part of a stage."""
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM on Linux
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            synchronize()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
            self.peak_mib[stage] = max(self.peak_mib.get(stage, 0), _peak_mib())
            if DEVICE == "cuda":
                allocated = torch.cuda.max_memory_allocated() // 2**20
                self.gpu_peak_mib[stage] = max(self.gpu_peak_mib.get(stage, 0), allocated)

    def watched(self, module: ModuleType, name: str, stage: str) -> AbstractContextManager[Any]:
        """Measure every call of a module's function as a part of a stage, within the context."""
        return mock.patch.object(module, name, partial(self.call, stage, getattr(module, name)))


def _peak_mib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@contextmanager
def s3_server() -> Iterator[str]:
    """Serve S3 with the archive of the quickstart in this process; yield the endpoint."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # logs every request
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="tweets")
    client.put_object(Bucket="tweets", Key="archives/lighthouse_ada.zip", Body=archive.archive(1))
    yield endpoint
    server.stop()


def quickstart(endpoint: str) -> TweetModelSpec:
    """Return the spec of the quickstart with a local S3 service."""
    document = yaml.safe_load((ROOT / "examples" / "quickstart.yaml").read_text())
    document["spec"]["storage"] = {"uri": "s3://tweets/models", "endpoint": endpoint}
    return TweetModelSpec.model_validate(document["spec"])


def run_stages(spec: TweetModelSpec, workdir: Path) -> tuple[Stages, Any]:
    """Collect and train as pods do; return the stages and the report."""
    stages = Stages()
    storage, progress = Storage(spec.storage), Progress({})
    plan = Plan(step="collect", namespace="bench", name="quickstart", spec=spec)
    context = StepContext(plan, workdir / "collect", storage, progress)
    collected = stages.call("collect", pipeline.collect, context)
    run, data = run_id(spec, collected.dataset.digest), collected.dataset
    plan = plan.model_copy(update={"run": run, "dataset": DatasetReference(uri=data.uri, digest=data.digest)})
    started = time.perf_counter()
    with ExitStack() as patches:
        for stage in STAGES:
            patches.enter_context(stages.watched(*stage))
        report = pipeline.train(StepContext(plan, workdir / "train", storage, progress, "bench"))
    measured = sum(seconds for stage, seconds in stages.seconds.items() if stage != "collect")
    stages.seconds["fetch and publish"] = time.perf_counter() - started - measured
    return stages, report


def new_model(config: GPT2Config) -> GPT2LMHeadModel:
    """Return a model with the same random weights at every call."""
    set_seed(42)
    model: GPT2LMHeadModel = GPT2LMHeadModel(config).to(DEVICE)
    return model


def compare_recipes(data: Path, workdir: Path) -> Figures:
    """Compare the speed of GPT-2 by both recipes, and the loss of the small model after all epochs.

    A CPU does too few steps of GPT-2 for its loss to mean anything.
    """
    posts, held_out = (dataset.read_posts(data / name) for name in (dataset.TRAIN, dataset.HELD_OUT))
    texts, source = [post.text for post in posts], BaseModelSource(scratch=ScratchModel())
    small, tokenizer = base_model.load(source, None, texts, workdir)
    figures = compare_speed(posts, tokenizer)
    blocks = Blocks(posts, tokenizer, BlockLayout(Training().epochs, SMALL_BLOCK_SIZE, 42))
    for name, train in RECIPES.items():
        model = new_model(small.config)
        train(model, blocks)
        loss = score_texts(model, tokenizer, [post.text for post in held_out]).loss
        figures[f"heldout_loss_{name}"] = round(loss, 4)
    return figures


def compare_speed(posts: list[Post], tokenizer: PreTrainedTokenizerBase) -> Figures:
    """Compare the speed of GPT-2 by both recipes, and by padded rows."""
    config, blocks = GPT2Config(), gpt2_blocks(posts, tokenizer, Training().block_size)
    seconds = dict.fromkeys(RECIPES, 0.0)
    for _ in range(TURNS):
        for name, train in RECIPES.items():
            seconds[name] += train(new_model(config), blocks).seconds
    tokens = len(blocks) * blocks.size
    figures = {f"tokens_per_second_{name}": round(TURNS * tokens / taken, 1) for name, taken in seconds.items()}
    rows, padded_tokens = padded_rows([post.text for post in posts[:PADDED_POSTS]], tokenizer, blocks.size)
    padded = train_stock(new_model(config), rows).seconds
    figures["tokens_per_second_padded"] = round(padded_tokens / padded, 2)
    ours = figures["tokens_per_second_ours"]
    figures[f"tokens_per_second_ratio_{DEVICE}"] = round(ours / figures["tokens_per_second_stock"], 2)
    figures["tokens_per_second_ratio_padded"] = round(ours / figures["tokens_per_second_padded"], 1)
    if DEVICE == "cuda":
        figures["gpt2_tokens"] = tokens
        figures["gpt2_loop_seconds"] = round(seconds["ours"] / TURNS, 2)
        card = torch.cuda.get_device_name()
        peak = next((flops for name, flops in PEAK_FLOPS.items() if card.startswith(name)), None)
        if peak:
            figures["gpt2_mfu"] = round(ours * flops_per_token(config, blocks.size) / peak, 3)
    return figures


def gpt2_blocks(posts: list[Post], tokenizer: PreTrainedTokenizerBase, size: int) -> Blocks:
    """Return MAX_BLOCKS blocks, or all blocks of all epochs."""
    if MAX_BLOCKS is None:
        return Blocks(posts, tokenizer, BlockLayout(Training().epochs, size, 42))
    lengths = [len(ids) + 1 for ids in tokenizer([post.text for post in posts])["input_ids"]]
    ends = itertools.accumulate(lengths)
    last = next(number for number, end in enumerate(ends) if end > MAX_BLOCKS * size)
    return Blocks(posts[: last + 1], tokenizer, BlockLayout(1, size, 42))


def ten_samples_seconds(tokenizer: PreTrainedTokenizerBase) -> float:
    """Draw ten samples of 160 tokens from GPT-2, whose weights do not affect the speed."""
    config = GPT2Config(eos_token_id=tokenizer.eos_token_id)
    tokenizer.add_tokens([f" word{number}" for number in range(config.vocab_size - len(tokenizer))])
    model, training = new_model(config), Training()
    if uses_bfloat16(training):
        model.to(torch.bfloat16)
    generation = Generation(samples_per_prompt=10, prompts=("",), max_new_tokens=160)
    started = time.perf_counter()
    draw_samples(model, tokenizer, generation, training.seed)
    return time.perf_counter() - started


def process_seconds(*arguments: str) -> float:
    """Return the seconds of a Python process, with its bytecode on disk as in the image, and its files in memory."""
    command = [sys.executable, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = folder
        subprocess.run(command, check=True, env=environment)
        started = time.perf_counter()
        subprocess.run(command, check=True, env=environment)
    return time.perf_counter() - started


def clean_posts_per_second() -> float:
    """Return the posts that one core cleans in a second."""
    texts = [str(tweet["full_text"]) for tweet in archive.tweets(1)] * 30
    posts = [Post("ada", str(number), text) for number, text in enumerate(texts)]
    started = time.process_time()
    for _ in clean_posts(posts, Counts()):
        pass
    return len(posts) / (time.process_time() - started)


def nats_per_post(loss: float, data: Path, model: Path) -> tuple[float, float]:
    """Return a loss in nats per post, and its lower bound: the entropy of the grammar that wrote the posts."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [post.text for post in dataset.read_posts(data / dataset.HELD_OUT)]
    count = sum(len(ids) + 1 for ids in tokenizer(texts)["input_ids"])
    return loss * count / len(texts), -sum(map(grammar.log_probability, texts)) / len(texts)


def measure() -> tuple[Stages, Figures]:
    """Return the stages of the quickstart and all other figures."""
    with tempfile.TemporaryDirectory() as folder, s3_server() as endpoint:
        workdir, spec = Path(folder), quickstart(endpoint)
        data, model = workdir / "train" / "dataset", workdir / "train" / "model"
        stages, report = run_stages(spec, workdir)
        figures = compare_recipes(data, workdir)
        loss = float(report.model.evaluation.loss)
        nats, floor = nats_per_post(loss, data, model)
        samples = ten_samples_seconds(AutoTokenizer.from_pretrained(model))
    trained = report.model.optimizer_steps * spec.training.global_batch_size * spec.training.block_size
    return stages, figures | {
        "imports_seconds": round(process_seconds("-c", "import tweetmodel_trainer.model_steps"), 1),
        "first_step_seconds": round(process_seconds(str(FIRST_STEP)), 1),
        "clean_posts_per_second": round(clean_posts_per_second()),
        "ten_samples_seconds": round(samples, 1),
        "quickstart_tokens_per_second": round(trained / stages.seconds["train"]),
        "quickstart_heldout_loss": loss,
        "quickstart_nats_per_post": round(nats, 2),
        "quickstart_nats_per_post_floor": round(floor, 2),
    }


def print_tables(stages: Stages, figures: Figures) -> None:
    """Print the stages and the figures."""
    table = Table("quickstart", "seconds", "peak memory, MiB")
    for stage, seconds in stages.seconds.items():
        table.add_row(stage, f"{seconds:.2f}", str(stages.peak_mib.get(stage, "")))
    Console().print(table)
    table = Table("", "")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)


def main() -> None:
    """Measure, print tables and write the figures as JSON."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    stages, figures = measure()
    print_tables(stages, figures)
    results: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "seconds": {stage: round(seconds, 2) for stage, seconds in stages.seconds.items()},
        "peak_mib": stages.peak_mib,
    }
    if DEVICE == "cuda":
        results |= {"gpu": torch.cuda.get_device_name(), "gpu_peak_mib": stages.gpu_peak_mib}
    RESULTS.write_text(json.dumps(results | figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
