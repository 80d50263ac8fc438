"""GPT-2 by the default recipe beside the stock recipe, and the quickstart stage by stage, in one run.

Stock is transformers' Trainer as huggingtweets ran it: packed blocks, batch 1, fp32, its learning rate and
cosine, and otherwise the Trainer's defaults. Both start from the same weights, read the same blocks in the same order
and are scored on the same held-out posts, in one process, one after the other. GPT-2's weights are random here, which
its speed does not mind. Where CUDA is at hand all of it runs there, over all epochs.
"""

import itertools
import json
import logging
import os
import shutil
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
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from tweetmodel_api.identities import run_id
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.spec import BaseModelSource, Generation, ScratchModel, Training, TweetModelSpec
from tweetmodel_trainer import pipeline
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.evaluation import generate
from tweetmodel_trainer.evaluation.evaluate import evaluate
from tweetmodel_trainer.models import base_model
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.storage import Storage
from tweetmodel_trainer.training import learn
from tweetmodel_trainer.training.blocks import Blocks
from tweetmodel_trainer.training.finetune import finetune, in_bfloat16

ROOT = Path(__file__).parents[2]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RESULTS = Path(__file__).parent / "results" / {"cpu": "trainer.json", "cuda": "trainer-cuda.json"}[DEVICE]
FIRST_STEP = Path(__file__).parent / "first_step.py"
HUGGINGTWEETS = {"learning_rate": 1.372e-4, "lr_scheduler_type": "cosine", "per_device_train_batch_size": 1}

TURNS, BLOCKS, PADDED_POSTS = {"cpu": (2, 4, 3), "cuda": (2, None, 300)}[DEVICE]
"""Enough steps of GPT-2 to tell the speed of each way; without a number of blocks, all of the default's epochs."""

PEAK_FLOPS = {"NVIDIA H100": 989e12, "NVIDIA H200": 989e12}
"""Dense bfloat16 of the SXM boards, from NVIDIA's data sheets."""

STAGES = {"Blocks": "tokens", "evaluate_each": "evaluate", "finetune": "train", "generate": "generate"}
"""Functions of `learn` and what the table calls them."""

Figures = dict[str, float]


class Measured:
    """Seconds and the most memory of each stage, of which one may be called several times."""

    def __init__(self) -> None:
        self.seconds: Figures = {}
        self.peak_mib: Figures = {}
        self.gpu_peak_mib: Figures = {}

    def call(self, label: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        Path("/proc/self/clear_refs").write_text("5")  # Linux begins VmHWM anew
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            if DEVICE == "cuda":
                torch.cuda.synchronize()
                allocated = torch.cuda.max_memory_allocated() // 2**20
                self.gpu_peak_mib[label] = max(self.gpu_peak_mib.get(label, 0), allocated)
            self.seconds[label] = self.seconds.get(label, 0.0) + time.perf_counter() - started
            line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
            self.peak_mib[label] = max(self.peak_mib.get(label, 0), int(line.split()[1]) // 1024)

    def watch(self, module: ModuleType, name: str, label: str) -> None:
        """Has each call of a module's function measured."""
        function = getattr(module, name)
        setattr(module, name, lambda *arguments, **named: self.call(label, function, *arguments, **named))


class Clock(TrainerCallback):
    """When the loop began, and its first and its last step ended."""

    began = first = last = 0.0

    def on_train_begin(self, _: TrainingArguments, __: TrainerState, ___: TrainerControl, **____: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: Any) -> None:
        if DEVICE == "cuda" and state.global_step == state.max_steps:
            torch.cuda.synchronize()
        self.last = time.perf_counter()
        self.first = self.first or self.last

    @property
    def seconds(self) -> float:
        return self.last - self.began


def quickstart(endpoint: str) -> TweetModelSpec:
    """The quickstart's spec against a local S3 service."""
    document = yaml.safe_load((ROOT / "examples" / "quickstart.yaml").read_text())
    document["spec"]["storage"] = {"uri": "s3://tweets/models", "endpoint": endpoint}
    return TweetModelSpec.model_validate(document["spec"])


def through_the_stages(spec: TweetModelSpec, workdir: Path) -> tuple[Measured, Any]:
    """Runs both stages as a pod does; seconds and memory by stage, and the report."""
    measured = Measured()
    storage, progress = Storage(spec.storage), Progress({})
    measured.watch(base_model, "load", "base model")
    for name, label in STAGES.items():
        measured.watch(learn, name, label)
    plan = Plan(step="collect", namespace="bench", name="quickstart", spec=spec)
    collected = measured.call("collect", pipeline.collect, plan, workdir / "collect", storage, progress)
    run, data = run_id(spec, collected.dataset.digest), collected.dataset
    plan = plan.model_copy(update={"run": run, "dataset": DatasetReference(uri=data.uri, digest=data.digest)})
    started = time.perf_counter()
    report = pipeline.train(plan, workdir / "train", storage, progress, "bench")
    within = sum(seconds for label, seconds in measured.seconds.items() if label != "collect")
    measured.seconds["fetch and publish"] = time.perf_counter() - started - within
    return measured, report


def new_model(config: GPT2Config) -> GPT2LMHeadModel:
    """The same weights each time."""
    set_seed(42)
    model: GPT2LMHeadModel = GPT2LMHeadModel(config).to(DEVICE)
    return model


def default_recipe(config: GPT2Config, blocks: Blocks, workdir: Path) -> tuple[GPT2LMHeadModel, float]:
    """Trains as a TweetModel does that says nothing of training, checkpoints but the last left out; loop seconds."""
    model, clock = new_model(config), Clock()
    training = Training(checkpoint_interval_seconds=86_400)
    finetune(model, blocks, training, workdir, None, lambda *_: None, Progress({}), (0, 100), callbacks=[clock])
    return model, clock.seconds


def stock_recipe(config: GPT2Config, rows: Any, workdir: Path) -> tuple[GPT2LMHeadModel, float]:
    """Trains by the stock recipe; loop seconds."""
    model, clock = new_model(config), Clock()
    arguments = TrainingArguments(
        output_dir=str(workdir),
        num_train_epochs=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **HUGGINGTWEETS,
    )
    Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[clock]).train()
    return model, clock.seconds


def side_by_side(data: Path, workdir: Path) -> Figures:
    """Both recipes: the speed of GPT-2, in turns, and the loss of the small model at the end of all epochs.

    GPT-2's is no use for it on a CPU: after the few steps that it can do there its dropout decides how far it is.
    """
    posts, held_out = (dataset.read_posts(data / name) for name in (dataset.TRAIN, dataset.EVAL))
    texts, source = [post.text for post in posts], BaseModelSource(scratch=ScratchModel())
    small, tokenizer = base_model.load(source, None, texts, workdir)
    recipes = {"ours": default_recipe, "stock": stock_recipe}
    blocks = some_blocks(posts, tokenizer, Training().block_size)
    seconds = dict.fromkeys(recipes, 0.0)
    for turn in range(TURNS):
        for name, recipe in recipes.items():
            seconds[name] += recipe(GPT2Config(), blocks, workdir / f"{name}-{turn}")[1]
            shutil.rmtree(workdir / f"{name}-{turn}", ignore_errors=True)
    figures = {f"tokens_per_second_{n}": round(TURNS * len(blocks) * blocks.size / s, 1) for n, s in seconds.items()}
    rows, tokens = padded_rows(texts[:PADDED_POSTS], tokenizer, blocks.size)
    padded = stock_recipe(GPT2Config(), rows, workdir / "padded")[1]
    figures["tokens_per_second_padded"] = round(tokens / padded, 2)
    ours = figures["tokens_per_second_ours"]
    figures[f"tokens_per_second_ratio_{DEVICE}"] = round(ours / figures["tokens_per_second_stock"], 2)
    figures["tokens_per_second_ratio_padded"] = round(ours / figures["tokens_per_second_padded"], 1)
    if DEVICE == "cuda":
        figures["gpt2_tokens"] = len(blocks) * blocks.size
        figures["gpt2_loop_seconds"] = round(seconds["ours"] / TURNS, 2)
        if peak := next((p for name, p in PEAK_FLOPS.items() if torch.cuda.get_device_name().startswith(name)), None):
            figures["gpt2_mfu"] = round(ours * flops_per_token(GPT2Config(), blocks.size) / peak, 3)
    every, unseen = Blocks(posts, tokenizer, Training().epochs, 256, 42), [post.text for post in held_out]
    for name, recipe in recipes.items():
        model, _ = recipe(small.config, every, workdir / f"{name}-small")
        figures[f"heldout_loss_{name}"] = round(evaluate(model, tokenizer, unseen).loss, 4)
    return figures


def flops_per_token(config: GPT2Config, length: int) -> float:
    """Forward and backward, attention included (Chowdhery et al. 2022, PaLM, appendix B)."""
    parameters = sum(weight.numel() for weight in GPT2LMHeadModel(config).parameters())
    return 6 * parameters + 12 * config.n_layer * config.n_embd * length


def some_blocks(posts: list[Post], tokenizer: PreTrainedTokenizerBase, size: int) -> Blocks:
    """As many posts as fill the blocks; all of them, in each epoch, without a number of these."""
    if BLOCKS is None:
        return Blocks(posts, tokenizer, Training().epochs, size, 42)
    lengths = [len(ids) + 1 for ids in tokenizer([post.text for post in posts])["input_ids"]]
    ends = list(itertools.accumulate(lengths))
    enough = next(number for number, end in enumerate(ends) if end > BLOCKS * size)
    return Blocks(posts[: enough + 1], tokenizer, 1, size, 42)


def padded_rows(texts: list[str], tokenizer: PreTrainedTokenizerBase, size: int) -> tuple[Any, int]:
    """A post a row, each padded to the model's context, as most tutorials train; and the tokens of the posts."""
    end = tokenizer.eos_token_id
    ids = [[*row, end][:size] for row in tokenizer(texts)["input_ids"]]
    rows = [
        {
            "input_ids": torch.tensor(row + [end] * (size - len(row))),
            "attention_mask": torch.tensor([1] * len(row) + [0] * (size - len(row))),
            "labels": torch.tensor(row + [-100] * (size - len(row))),
        }
        for row in ids
    ]
    return rows, sum(map(len, ids))


def ten_samples(tokenizer: PreTrainedTokenizerBase) -> float:
    """Seconds for ten samples of 160 tokens as a run draws them from GPT-2, whose weights don't matter for it."""
    config = GPT2Config(eos_token_id=tokenizer.eos_token_id)
    tokenizer.add_tokens([f" word{number}" for number in range(config.vocab_size - len(tokenizer))])
    model, training = new_model(config), Training()
    if in_bfloat16(training):
        model.to(torch.bfloat16)
    started = time.perf_counter()
    generate.generate(
        model, tokenizer, Generation(samples_per_prompt=10, prompts=("",), max_new_tokens=160), training.seed
    )
    return time.perf_counter() - started


def from_start(*arguments: str) -> float:
    """Seconds that a new Python process takes, with its bytecode on disk as in the image, and files in memory."""
    command = [sys.executable, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = folder
        subprocess.run(command, check=True, env=environment)
        started = time.perf_counter()
        subprocess.run(command, check=True, env=environment)
    return time.perf_counter() - started


def cleaning() -> float:
    """Posts a second that one core cleans."""
    texts = [str(tweet["full_text"]) for tweet in archive.tweets(1)] * 30
    posts = [Post("ada", str(number), text) for number, text in enumerate(texts)]
    started = time.process_time()
    for _ in clean_posts(posts, Counts()):
        pass
    return len(posts) / (time.process_time() - started)


def per_post(loss: float, data: Path, model: Path) -> tuple[float, float]:
    """A loss in nats a post, and the floor: what the grammar that wrote these posts itself would score."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [post.text for post in dataset.read_posts(data / dataset.EVAL)]
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
        measured, report = through_the_stages(spec, workdir)
        data = workdir / "train" / "dataset"
        figures = side_by_side(data, workdir)
        loss = float(report.model.evaluation.loss)
        nats, floor = per_post(loss, data, workdir / "train" / "model")
        samples = ten_samples(AutoTokenizer.from_pretrained(workdir / "train" / "model"))
    server.stop()
    seconds, trained = (
        measured.seconds,
        report.model.optimizer_steps * spec.training.global_batch_size * spec.training.block_size,
    )
    figures |= {
        "imports_seconds": round(from_start("-c", "import tweetmodel_trainer.training.learn"), 1),
        "first_step_seconds": round(from_start(str(FIRST_STEP)), 1),
        "clean_posts_per_second": round(cleaning()),
        "ten_samples_seconds": round(samples, 1),
        "quickstart_tokens_per_second": round(trained / seconds["train"]),
        "quickstart_heldout_loss": loss,
        "quickstart_nats_per_post": round(nats, 2),
        "quickstart_nats_per_post_floor": round(floor, 2),
    }
    table = Table("quickstart", "seconds", "most memory, MiB")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.2f}", str(measured.peak_mib.get(name, "")))
    Console().print(table)
    table = Table("", "")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    machine = {"cores": len(os.sched_getaffinity(0)), "torch": torch.__version__}
    stages = {"seconds": {k: round(v, 2) for k, v in seconds.items()}, "peak_mib": measured.peak_mib}
    if DEVICE == "cuda":
        machine["gpu"] = torch.cuda.get_device_name()
        stages["gpu_peak_mib"] = measured.gpu_peak_mib
    RESULTS.write_text(json.dumps(machine | stages | figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
