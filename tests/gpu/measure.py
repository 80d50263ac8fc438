"""Everything that only a GPU can tell, in one command of at most ten minutes; what it finds goes to $OUT/gpu.json.

The parent starts one process for each part, so that an error of CUDA in one leaves the others alone, passes over parts
for which the time is too short, and writes the file after each. `--dry` runs all of it, tiny, on a CPU.
"""

import argparse
import hashlib
import json
import logging
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTS = {  # in order of worth: name → seconds that it is allowed at most
    "machine": 40,  # versions, the card's ceilings, start of CUDA
    "base": 110,  # a GPT-2 that has learnt something, so that losses mean something; the others start from it
    "recipes": 90,  # tokens a second, loss and memory: ours, stock, padded
    "exact": 110,  # the same bytes twice? after a kill? at what price?
    "pod": 150,  # the product: a pod's seconds line by line, SIGTERM, resume
    "profile": 40,  # kernels a step, how busy the card is
    "samples": 60,  # ten and sixty samples, by batch
    "graph": 60,  # the step as one CUDA graph
    "large": 100,  # XL whole, an 8B shape by LoRA: memory and speed
    "shared": 60,  # several runs on one card
}
DRY = "--dry" in sys.argv
EPOCHS = 1 if DRY else 4
SLOWER = 8 if DRY else 1
"""A laptop that others use too."""
SHAPE = {"n_layer": 2, "n_embd": 48, "n_head": 2, "vocab_size": 600} if DRY else {}
SIZE = 64 if DRY else 1024
LR = 1.372e-4
DOLLARS_AN_HOUR = {"low": 2.0, "high": 6.0}
BF16_BY_DATASHEET = 989e12


class Found(dict):  # type: ignore[type-arg]
    """What a part finds; each figure is on the disk as soon as it is there, so that a part that is killed leaves some."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._file.write_text(json.dumps(self))

    def __ior__(self, others: Any) -> "Found":  # type: ignore[override,misc]
        for name, value in dict(others).items():
            self[name] = value
        return self


# --- what several parts need -----------------------------------------------------------------------------------------


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def sync() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_gib(reset: bool = False) -> float:
    import torch

    if not torch.cuda.is_available():
        return 0.0
    peak = torch.cuda.max_memory_allocated() / 2**30
    if reset:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return round(peak, 2)


@contextmanager
def timed(into: dict[str, Any], name: str) -> Iterator[None]:
    sync()
    begun = time.perf_counter()
    yield
    sync()
    into[name] = round(time.perf_counter() - begun, 3)


def text_on_this_machine(most: int) -> str:
    """Prose and code that lie about here: enough language for a base model to learn from."""
    import sysconfig

    pieces, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
        text = path.read_text(errors="ignore")[:40_000]
        pieces.append(text)
        size += len(text)
        if size > most:
            break
    return "\n".join(pieces)


def posts() -> tuple[list[Any], list[str]]:
    """Ada's 2,633 posts, split as a run splits them."""
    import generate as archive

    from tweetmodel_trainer.data.clean import clean_posts
    from tweetmodel_trainer.data.counts import Counts
    from tweetmodel_trainer.data.dataset import split_position
    from tweetmodel_trainer.data.post import Post

    raw = (Post("ada", str(n), str(tweet["full_text"])) for n, tweet in enumerate(archive.tweets(1)))
    kept = [post for post in clean_posts(raw, Counts())][: 80 if DRY else None]
    return [p for p in kept if split_position(p.text, 42) >= 0.1], [
        p.text for p in kept if split_position(p.text, 42) < 0.1
    ]


def base(work: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return (
        AutoModelForCausalLM.from_pretrained(work / "base").to(device()),
        AutoTokenizer.from_pretrained(work / "base"),
    )


def digest(model: Any) -> str:
    import torch

    sha = hashlib.sha256()
    for _, weight in sorted(model.state_dict().items()):
        sha.update(weight.detach().float().cpu().contiguous().numpy().tobytes() if torch.is_tensor(weight) else b"")
    return sha.hexdigest()[:16]


def clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            sync()
            self.begun = time.perf_counter()

        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            if state.global_step == state.max_steps:
                sync()
            self.ends.append(time.perf_counter())

        @property
        def seconds(self) -> float:
            return self.ends[-1] - self.begun

    return Clock()


def train_as_we_do(model: Any, blocks: Any, **changes: Any) -> Any:
    from tweetmodel_api.spec import Training
    from tweetmodel_trainer.progress import Progress
    from tweetmodel_trainer.training.finetune import finetune

    watch = clock()
    keep: Callable[[int, Path], None] = changes.pop("keep", lambda *_: None)
    resume = changes.pop("resume", None)
    training = Training(checkpoint_interval_seconds=86_400).model_copy(update=changes)
    with tempfile.TemporaryDirectory() as folder:
        finetune(model, blocks, training, Path(folder), resume, keep, Progress({}), (0, 100), callbacks=[watch])
    return watch


def train_as_stock(model: Any, rows: Any, **arguments: Any) -> Any:
    """transformers' Trainer as huggingtweets called it. In its order: it shuffles the blocks, which ours does not."""
    from transformers import Trainer, TrainingArguments

    watch = clock()
    with tempfile.TemporaryDirectory() as folder:
        told = {"num_train_epochs": 1, "save_strategy": "no", "report_to": [], "disable_tqdm": True}
        told |= {"learning_rate": LR, "lr_scheduler_type": "cosine", "per_device_train_batch_size": 1}
        how = TrainingArguments(output_dir=folder, **(told | arguments))
        Trainer(model=model, args=how, train_dataset=rows, callbacks=[watch]).train()
    return watch


def flops_per_token(config: Any, length: int, parameters: int) -> float:
    return 6 * parameters + 12 * config.n_layer * config.n_embd * length  # PaLM, appendix B


# --- the parts ---------------------------------------------------------------------------------------------------------


def machine(_: Path, found: Found) -> None:
    import accelerate
    import peft
    import torch
    import transformers

    found |= {
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, accelerate, peft)},
        "python": sys.version.split()[0],
        "cores": len(os.sched_getaffinity(0)),
    }
    start = "import time; a=time.time(); import torch; b=time.time(); torch.zeros(1, device={!r}); print(b-a, time.time()-b)"
    for turn in ("cold", "warm"):
        said = subprocess.run(
            [sys.executable, "-c", start.format(device())], capture_output=True, text=True, check=True
        )
        found[f"seconds_import_torch_and_start_cuda_{turn}"] = [round(float(x), 2) for x in said.stdout.split()]
    for turn in ("without_bytecode", "warm"):  # the wheels are installed with --no-compile
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import tweetmodel_trainer.training.learn"], check=True)
        found[f"seconds_imports_{turn}"] = round(time.perf_counter() - begun, 2)
    if device() == "cpu":
        return
    found["gpu"] = torch.cuda.get_device_name()
    query = "--query-gpu=driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit,mig.mode.current"
    said = subprocess.run(["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True, check=False)
    found["nvidia_smi"] = said.stdout.strip()
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    found["bf16_tflops"] = round(2 * n**3 / _median(lambda: a @ b, 10) / 1e12)
    a32, b32 = (torch.randn(4096, 4096, device="cuda") for _ in range(2))
    found["fp32_tflops"] = round(2 * 4096**3 / _median(lambda: a32 @ b32, 5) / 1e12)
    big = torch.empty(2**31, dtype=torch.uint8, device="cuda")
    into = torch.empty_like(big)
    found["copy_tb_s"] = round(2 * big.numel() / _median(lambda: into.copy_(big), 10) / 1e12, 2)
    tiny = torch.ones(1, device="cuda")
    found["launch_microseconds"] = round(_median(lambda: [tiny.add_(1) for _ in range(1000)], 5) * 1e3, 2)
    found["shm"] = subprocess.run(["df", "-h", "/dev/shm"], capture_output=True, text=True, check=False).stdout


def _median(work: Callable[[], Any], times: int) -> float:
    """Seconds, by the device's own events."""
    import torch

    taken = []
    for _ in range(times):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        taken.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(taken)


def make_base(work: Path, found: Found) -> None:
    """A GPT-2 of full size that has read code and prose for a minute; its tokenizer has GPT-2's number of tokens."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, set_seed

    from tweetmodel_trainer.models.tokens import encode, train_tokenizer

    train, held_out = posts()
    text = text_on_this_machine(300_000 if DRY else 40_000_000)
    with timed(found, "tokenizer_seconds"):
        sample = [text[at : at + 2000] for at in range(0, min(len(text), 12_000_000), 2000)]
        tokenizer = train_tokenizer([*sample, *(p.text for p in train[:50])], SHAPE.get("vocab_size", 50_257))
        chunks = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
        ids = torch.tensor([t for row in encode(tokenizer, chunks) for t in row])
    set_seed(1)
    config = GPT2Config(
        bos_token_id=0, eos_token_id=0, **(SHAPE | {"vocab_size": max(len(tokenizer), SHAPE.get("vocab_size", 50_257))})
    )
    model = GPT2LMHeadModel(config).to(device())
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, weight_decay=0.1, betas=(0.9, 0.95), fused=True)
    rows, until = (2 if DRY else 32), time.perf_counter() + (3 if DRY else 60)
    step = tokens = 0
    losses: list[float] = []
    model.train()
    model.config.use_cache = False
    while time.perf_counter() < until:
        at = torch.randint(0, len(ids) - SIZE - 1, (rows,))
        batch = torch.stack([ids[i : i + SIZE] for i in at]).to(device())
        with torch.autocast(device(), torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = 6e-4 * min(1, (step + 1) / 50)
        optimizer.step()
        optimizer.zero_grad()
        step, tokens = step + 1, tokens + batch.numel()
        if step % 20 == 0:
            losses.append(round(loss.item(), 3))
    sync()
    found |= {"steps": step, "tokens": tokens, "losses": losses[:: max(1, len(losses) // 10)], "peak_gib": peak_gib()}
    model.config.use_cache = True
    model.save_pretrained(work / "base")
    tokenizer.save_pretrained(work / "base")


def recipes(work: Path, found: Found) -> None:
    """Each way from the same base over all epochs, warm, in turns; then what might make ours faster, by itself."""
    import torch

    from tweetmodel_trainer.evaluation.evaluate import evaluate
    from tweetmodel_trainer.training import finetune as ours_module
    from tweetmodel_trainer.training.blocks import Blocks

    train, held_out = posts()
    _, tokenizer = base(work)
    blocks = Blocks(train, tokenizer, EPOCHS, SIZE, 42)
    few = Blocks(train[: 60 if not DRY else 20], tokenizer, 1, SIZE, 42)
    rows, tokens = _padded([p.text for p in train[: 10 if DRY else 300]], tokenizer)
    found |= {"blocks": len(blocks), "tokens": len(blocks) * SIZE}
    arguments = ours_module._arguments

    def changed(**changes: Any) -> Callable[[Any], Any]:
        def make(task: Any) -> Any:
            how = arguments(task)
            for name, value in changes.items():
                setattr(how, name, value)
            return how

        return make

    def non_blocking(task: Any) -> Any:
        how = arguments(task)
        how.accelerator_config.non_blocking = True
        return how

    ways: dict[str, Callable[[Any], Any]] = {
        "ours": lambda m: train_as_we_do(m, blocks),
        "stock_fp32": lambda m: train_as_stock(m, blocks),
        "ours_again": lambda m: train_as_we_do(m, blocks),
        "stock_bf16": lambda m: train_as_stock(m, blocks, bf16=device() == "cuda"),
        "ours_fp32": lambda m: train_as_we_do(m, blocks, precision="Float32"),
        "ours_batch_8_lr_x2.8": lambda m: train_as_we_do(
            m, blocks, global_batch_size=8, learning_rate=str(LR * 8**0.5)
        ),
        "ours_isolated_posts": lambda m: train_as_we_do(m, _Isolated(blocks)),
        "padded_rows": lambda m: train_as_stock(m, rows),
    }
    candidates = {"non_blocking": non_blocking, "no_clip_norm": changed(max_grad_norm=0.0)}
    for way in (train_as_we_do, train_as_stock):  # the first kernels are loaded when they are first used
        way(base(work)[0], few)
    for name, way in ways.items():
        model, _ = base(work)
        peak_gib(reset=True)
        watch = way(model)
        scores = evaluate(model, tokenizer, held_out)
        read = tokens if name == "padded_rows" else len(blocks) * SIZE
        steps = sorted(b - a for a, b in zip(watch.ends, watch.ends[1:], strict=False))
        found[name] = {
            "seconds": round(watch.seconds, 3),
            "tokens_per_second": round(read / watch.seconds),
            "median_step_ms": round(steps[len(steps) // 2] * 1e3, 2) if steps else None,
            "heldout_loss": round(scores.loss, 4),
            "peak_gib": peak_gib(),
        }
        del model
    for name, made in candidates.items():
        ours_module._arguments = made
        watch = train_as_we_do(base(work)[0], blocks)
        found[f"ours_{name}"] = {"tokens_per_second": round(len(blocks) * SIZE / watch.seconds)}
    ours_module._arguments = arguments
    if device() == "cuda":
        torch.set_float32_matmul_precision("high")
        watch = train_as_stock(base(work)[0], blocks)
        found["stock_tf32"] = {"tokens_per_second": round(len(blocks) * SIZE / watch.seconds)}


class _Isolated:
    """The same blocks, but each post begins at position 0 and sees itself alone: transformers reads it off positions."""

    def __init__(self, blocks: Any) -> None:
        self.blocks, self.size, self.ends = blocks, blocks.size, blocks.ends

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        block = self.blocks[index]
        at = torch.arange(self.size)
        begins = torch.where(block["input_ids"] == self.blocks._end, at, torch.zeros_like(at)).cummax(0).values
        return block | {"position_ids": at - begins}


def _padded(texts: list[str], tokenizer: Any) -> tuple[list[dict[str, Any]], int]:
    import torch

    end = tokenizer.eos_token_id
    ids = [[*row, end][:SIZE] for row in tokenizer(texts)["input_ids"]]
    rows = [
        {
            "input_ids": torch.tensor(row + [end] * (SIZE - len(row))),
            "attention_mask": torch.tensor([1] * len(row) + [0] * (SIZE - len(row))),
            "labels": torch.tensor(row + [-100] * (SIZE - len(row))),
        }
        for row in ids
    ]
    return rows, sum(map(len, ids))


def exact(work: Path, found: Found) -> None:
    """Whether a run ends in the same bytes again, and after a kill: as it is, and with deterministic kernels."""
    import torch

    from tweetmodel_trainer.training.blocks import Blocks

    class Killed(Exception):
        pass

    train, _ = posts()
    _, tokenizer = base(work)
    blocks = Blocks(train[: 40 if DRY else 900], tokenizer, 1, SIZE, 42)
    found["steps"] = len(blocks)

    def run(**changes: Any) -> tuple[str, float, Any]:
        model, _ = base(work)
        watch = train_as_we_do(model, blocks, **changes)
        return digest(model), watch.seconds, model

    kills = sorted({1, len(blocks) // 2, len(blocks) - 1})
    for mode in ("as_it_is", "deterministic"):
        torch.use_deterministic_algorithms(mode == "deterministic")
        torch.utils.deterministic.fill_uninitialized_memory = False
        said: dict[str, Any] = {}
        try:
            (first, _, one), (again, seconds, two) = run(), run()
            said |= {"same_twice": first == again, "seconds": round(seconds, 3)}
            pairs = zip(one.parameters(), two.parameters(), strict=True)
            said["largest_difference"] = max(float((a - b).abs().max()) for a, b in pairs)
            for at in kills:
                kept = Path(tempfile.mkdtemp()) / "kept"

                def keep(step: int, folder: Path, at: int = at, kept: Path = kept) -> None:
                    if step == at:
                        shutil.copytree(folder, kept)
                        raise Killed

                try:
                    run(keep=keep, checkpoint_interval_seconds=0)
                except Killed:
                    pass
                resumed, _, model = run(resume=kept)
                difference = max(
                    float((a - b).abs().max()) for a, b in zip(one.parameters(), model.parameters(), strict=True)
                )
                said[f"killed_at_{at}"] = {"same": resumed == first, "largest_difference": difference}
                shutil.rmtree(kept.parent)
        except RuntimeError as error:
            said["error"] = str(error)[:500]
        found[mode] = said
    torch.use_deterministic_algorithms(False)


def pod(work: Path, found: Found) -> None:
    """The command as a pod runs it, against an S3 server in another process: seconds by the lines of its log."""
    import boto3
    import generate as archive
    import yaml

    from tweetmodel_api.identities import run_id
    from tweetmodel_api.plan import DatasetReference, Plan
    from tweetmodel_api.report import decode
    from tweetmodel_api.spec import TweetModelSpec
    from tweetmodel_trainer.storage import Storage

    environment = os.environ | {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    os.environ.update(environment)
    serve = "from moto.server import ThreadedMotoServer as S; s=S(port=5055,verbose=False); s.start(); input()"
    server = subprocess.Popen([sys.executable, "-c", serve], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    where = "http://127.0.0.1:5055"
    client = boto3.client("s3", endpoint_url=where, region_name="us-east-1")
    for _ in range(100):
        try:
            client.create_bucket(Bucket="tweets")
            break
        except Exception:
            time.sleep(0.2)
    client.put_object(Bucket="tweets", Key="archives/lighthouse_ada.zip", Body=archive.archive(1))
    for path in (work / "base").iterdir():
        client.upload_file(str(path), "tweets", f"base/{path.name}")
    document = yaml.safe_load((Path(__file__).parents[2] / "examples" / "quickstart.yaml").read_text())["spec"]
    document |= {
        "storage": {"uri": "s3://tweets/models", "endpoint": where},
        "baseModel": {"s3": {"uri": "s3://tweets/base"}},
        "training": {"blockSize": 64, "epochs": 1} if DRY else {},
        "generation": {"samplesPerPrompt": 1, "maxNewTokens": 16} if DRY else {},
        "gpus": 0 if DRY else 1,
    }
    spec = TweetModelSpec.model_validate(document)

    def run(plan: Plan, stop_at: str = "") -> dict[str, Any]:
        folder = Path(tempfile.mkdtemp())
        (folder / "plan.json").write_text(plan.model_dump_json(by_alias=True))
        arguments = [
            plan.step,
            "--plan",
            folder / "plan.json",
            "--workdir",
            folder,
            "--termination-log",
            folder / "end",
        ]
        begun = time.time()
        process = subprocess.Popen(
            [sys.executable, "-m", "tweetmodel_trainer", *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {"POD_UID": folder.name},
        )
        lines, stopped = [], 0.0
        assert process.stderr
        for line in process.stderr:
            lines.append([round(time.time() - begun, 2), line.split(" ", 2)[-1].strip()[:110]])
            if stop_at and not stopped and re.search(stop_at, line):
                process.send_signal(signal.SIGTERM)
                stopped = time.time()
        code = process.wait()
        ended = time.time()
        told = {"code": code, "seconds": round(ended - begun, 2), "lines": lines[:40] + lines[-14:]}
        if stopped:
            told["seconds_from_sigterm_to_end"] = round(ended - stopped, 2)
        report = decode((folder / "end").read_text()) if (folder / "end").is_file() else None
        shutil.rmtree(folder, ignore_errors=True)
        return told | {"report": report}

    try:
        collected = run(Plan(step="collect", namespace="bench", name="one", spec=spec))
        data = collected.pop("report").dataset
        found["collect"] = collected
        reference = DatasetReference(uri=data.uri, digest=data.digest)
        plan = Plan(
            stage="train", namespace="bench", name="one", spec=spec, run=run_id(spec, data.digest), dataset=reference
        )
        calm = run(plan)
        report = calm.pop("report")
        found["train"] = calm | {"figures": report.model.evaluation.model_dump(), "samples": list(report.samples[:3])}
        other = plan.model_copy(update={"name": "two"})
        stopped = run(other, stop_at=r"step \d+ of")
        stopped.pop("report")
        resumed = run(other)
        again = resumed.pop("report")
        found["stopped"] = {k: v for k, v in stopped.items() if k != "lines"}
        found["resumed"] = {"seconds": resumed["seconds"], "from_step": again.model.resumed_from_step}
        found["resumed"]["same_model"] = again.model.digest == report.model.digest
        root = plan.layout.model(plan.run)
        found["published_bytes"] = sum(f.size for f in Storage(spec.storage).manifest(root).files)
        found["dollars"] = {k: round(v * calm["seconds"] / 3600, 5) for k, v in DOLLARS_AN_HOUR.items()}
    finally:
        server.kill()


def profile(work: Path, found: Found) -> None:
    """Kernels of a step, what they take, and how much of the time the card is busy."""
    import torch
    from torch.profiler import ProfilerActivity
    from transformers import TrainerCallback

    from tweetmodel_api.spec import Training
    from tweetmodel_trainer.progress import Progress
    from tweetmodel_trainer.training.blocks import Blocks
    from tweetmodel_trainer.training.finetune import finetune

    train, _ = posts()
    model, tokenizer = base(work)
    blocks = Blocks(train[: 40 if DRY else 700], tokenizer, 1, SIZE, 42)
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device() == "cuda" else [])
    begin, many = (2, 3) if DRY else (10, 5)
    seen: dict[str, Any] = {}

    class Look(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            if state.global_step == begin:
                sync()
                self.profiler = torch.profiler.profile(activities=kinds)
                self.profiler.start()
                self.begun = time.perf_counter()
            if state.global_step == begin + many:
                sync()
                seen["wall_ms"] = round((time.perf_counter() - self.begun) * 1e3 / many, 2)
                self.profiler.stop()
                seen["events"] = self.profiler.key_averages()

    with tempfile.TemporaryDirectory() as folder:
        training = Training(checkpoint_interval_seconds=86_400)
        finetune(
            model, blocks, training, Path(folder), None, lambda *_: None, Progress({}), (0, 100), callbacks=[Look()]
        )
    events = seen.pop("events")
    kernels = [e for e in events if getattr(e, "self_device_time_total", 0) and str(e.device_type).endswith("CUDA")]
    busy = sum(e.self_device_time_total for e in kernels) / 1e3 / many
    top = sorted(kernels, key=lambda e: -e.self_device_time_total)[:14]
    seen |= {
        "note": "wall time is longer under the profiler: compare it with recipes.ours.median_step_ms",
        "kernels_per_step": round(sum(e.count for e in kernels) / many),
        "busy_ms_per_step": round(busy, 2),
        "top": [[e.key[:90], round(e.self_device_time_total / 1e3 / many, 3), e.count // many] for e in top],
    }
    found |= seen


def samples(work: Path, found: Found) -> None:
    import torch

    from tweetmodel_api.spec import Generation
    from tweetmodel_trainer.evaluation import generate as module

    model, tokenizer = base(work)
    model.to(torch.bfloat16)
    tokens = 16 if DRY else 160
    module.generate(model, tokenizer, Generation(samples_per_prompt=1, prompts=("",), max_new_tokens=8), 1)
    with timed(found, "ten"):
        module.generate(model, tokenizer, Generation(samples_per_prompt=10, prompts=("",), max_new_tokens=tokens), 1)
    for batch in (16, 60):
        module.BATCH = batch
        with timed(found, f"sixty_in_batches_of_{batch}"):
            module.generate(model, tokenizer, Generation(max_new_tokens=tokens), 1)
        found[f"peak_gib_{batch}"] = peak_gib(reset=True)


def graph(work: Path, found: Found) -> None:
    """The whole step captured once and played again: forward, backward, clipping and AdamW, the rate in a tensor."""
    import torch
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from tweetmodel_trainer.evaluation.evaluate import evaluate
    from tweetmodel_trainer.training.blocks import Blocks

    train, held_out = posts()
    _, tokenizer = base(work)
    blocks = Blocks(train, tokenizer, EPOCHS, SIZE, 42)
    rows = [blocks.tokens(n).long().to(device()) for n in range(len(blocks))]
    # Under a name of its own transformers makes no mask: none is needed, and looking for one waits for the device.
    AttentionInterface.register("causal_sdpa", sdpa_attention_forward)
    for mode in ("eager", "graph") if device() == "cuda" else ("eager",):
        model, _ = base(work)
        model.set_attn_implementation("causal_sdpa")
        model.config.use_cache = False
        model.train()
        torch.manual_seed(42)
        rate = torch.tensor(LR, device=device())
        weights = list(model.parameters())
        optimizer = torch.optim.AdamW(weights, lr=rate, fused=True, capturable=device() == "cuda")
        given = torch.zeros(1, SIZE, dtype=torch.long, device=device())

        def step() -> Any:
            with torch.autocast(device(), torch.bfloat16):
                loss = model(input_ids=given, labels=given).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            return loss

        play = step
        if mode == "graph":
            before = [w.detach().clone() for w in weights]
            rate.zero_()  # what is learnt while warming up must not count: no step, and the moments are cleared below
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    step()
                    optimizer.zero_grad(set_to_none=True)
            torch.cuda.current_stream().wait_stream(side)
            captured = torch.cuda.CUDAGraph()
            with timed(found, "capture_seconds"), torch.cuda.graph(captured):
                step()
            for state in optimizer.state.values():
                for value in state.values():
                    value.zero_()
            with torch.no_grad():
                for weight, was in zip(weights, before, strict=True):
                    weight.copy_(was)
            torch.manual_seed(42)
            play = captured.replay
        seconds: dict[str, Any] = {}
        with timed(seconds, "loop"):
            for number, row in enumerate(rows):
                given.copy_(row[None], non_blocking=True)
                rate.fill_(LR * 0.5 * (1 + math.cos(math.pi * number / len(rows))))
                play()
                if mode == "eager":
                    optimizer.zero_grad(set_to_none=True)
        model.set_attn_implementation("sdpa")
        found[mode] = {
            "seconds": seconds["loop"],
            "tokens_per_second": round(len(rows) * SIZE / seconds["loop"]),
            "heldout_loss": round(evaluate(model, tokenizer, held_out).loss, 4),
            "peak_gib": peak_gib(reset=True),
        }


def large(_: Path, found: Found) -> None:
    """A few steps of models that a user may name: memory, speed, or where it ends. Weights are random."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    from tweetmodel_trainer.models import lora

    xl = GPT2Config(n_layer=48, n_embd=1600, n_head=25) if not DRY else GPT2Config(**SHAPE)
    eight = (
        LlamaConfig(
            vocab_size=128_256,
            hidden_size=4096,
            intermediate_size=14_336,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            max_position_embeddings=8192,
        )
        if not DRY
        else LlamaConfig(
            vocab_size=600, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        )
    )
    fp32, bf16 = torch.float32, torch.bfloat16
    ways = {
        "xl_full": (xl, fp32, {}),
        "xl_full_checkpointing": (xl, fp32, {"gradient_checkpointing": True}),
        "8b_lora_fp32_base": (eight, fp32, {"method": "LoRA"}),
        "8b_lora_fp32_base_checkpointing": (eight, fp32, {"method": "LoRA", "gradient_checkpointing": True}),
        "8b_lora_bf16_base": (eight, bf16, {"method": "LoRA"}),
        "8b_lora_bf16_base_checkpointing": (eight, bf16, {"method": "LoRA", "gradient_checkpointing": True}),
    }
    for name, (config, dtype, changes) in ways.items():
        peak_gib(reset=True)
        told: dict[str, Any] = {}
        try:
            with timed(told, "made_seconds"), torch.device(device()):
                model = AutoModelForCausalLM.from_config(config, dtype=dtype)
            if changes.get("method") == "LoRA":
                model = lora.attach(model, 16)
            watch = train_as_we_do(model, _Random(5, config.vocab_size), **changes)
            steps = sorted(b - a for a, b in zip(watch.ends[1:], watch.ends[2:], strict=False))
            told |= {
                "step_ms": round(steps[len(steps) // 2] * 1e3, 1),
                "tokens_per_second": round(SIZE / steps[len(steps) // 2]),
            }
        except Exception as error:
            told["ended_by"] = f"{type(error).__name__}: {str(error)[:160]}"
        told["peak_gib"] = peak_gib()
        model = None
        found[name] = told


class _Random:
    """Blocks of tokens drawn at random; of the same face as Blocks."""

    def __init__(self, count: int, vocabulary: int) -> None:
        self.count, self.size, self.vocabulary, self.ends = count, SIZE, vocabulary, [count]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        if not 0 <= index < self.count:
            raise IndexError(index)
        row = torch.randint(0, self.vocabulary, (self.size,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": row, "labels": row}


def shared(work: Path, found: Found) -> None:
    """How much one card does for several runs at once, each in a process of its own."""
    for count in (1, 2, 4) if not DRY else (1, 2):
        begin = work / f"begin-{count}"
        command = [sys.executable, __file__, "--part", "one_of_several", "--work", str(work), "--begin", str(begin)]
        command += ["--dry"] if DRY else []
        ones = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        for one in ones:
            assert one.stdout
            while one.stdout.readline().strip() not in ("ready", ""):
                pass
        begin.touch()
        told = [json.loads(one.communicate()[0].strip().splitlines()[-1]) for one in ones]
        span = max(t["ended"] for t in told) - min(t["begun"] for t in told)
        found[f"{count}_at_once"] = {
            "seconds": round(span, 2),
            "tokens_per_second": round(sum(t["tokens"] for t in told) / span),
        }


def one_of_several(work: Path, begin: Path) -> None:
    from tweetmodel_trainer.training.blocks import Blocks

    train, _ = posts()
    model, tokenizer = base(work)
    train_as_we_do(model, Blocks(train[: 20 if DRY else 60], tokenizer, 1, SIZE, 42))
    blocks = Blocks(train, tokenizer, EPOCHS, SIZE, 42)
    print("ready", flush=True)
    while not begin.exists():
        time.sleep(0.01)
    begun = time.time()
    train_as_we_do(model, blocks)
    print(json.dumps({"begun": begun, "ended": time.time(), "tokens": len(blocks) * SIZE}))


WORK = {
    "machine": machine, "base": make_base, "recipes": recipes, "exact": exact, "pod": pod, "profile": profile,
    "samples": samples, "graph": graph, "large": large, "shared": shared,
}  # fmt: skip


def quiet() -> None:
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
    for name in ("botocore", "werkzeug", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


def told(found: dict[str, Any]) -> dict[str, Any]:
    """What follows from the figures by arithmetic."""
    try:
        ours, peak = found["recipes"]["ours_again"], found["machine"].get("bf16_tflops", 0) * 1e12
        flops = 6 * 124.4e6 + 12 * 12 * 768 * SIZE
        rate = ours["tokens_per_second"]
        return {
            "ours_over_stock": round(rate / found["recipes"]["stock_fp32"]["tokens_per_second"], 2),
            "ours_over_padded": round(rate / found["recipes"]["padded_rows"]["tokens_per_second"], 1),
            "mfu_of_measured": round(rate * flops / peak, 4) if peak else None,
            "mfu_of_datasheet": round(rate * flops / BF16_BY_DATASHEET, 4),
        }
    except KeyError:
        return {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--only", nargs="*", choices=PARTS)
    parser.add_argument("--part")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--begin", type=Path)
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args()
    if options.part == "exact":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # before CUDA starts, or deterministic mode refuses cuBLAS
    if options.part:
        quiet()
        if options.part == "one_of_several":
            one_of_several(options.work, options.begin)
        else:
            WORK[options.part](options.work, Found(options.work / f"{options.part}.json"))
        return
    began, found = time.monotonic(), {"dry": DRY}
    work = Path(tempfile.mkdtemp())
    options.out.mkdir(parents=True, exist_ok=True)
    for part, most in PARTS.items():
        if options.only and part not in options.only:
            continue
        left = options.seconds - (time.monotonic() - began)
        if left < 0.4 * most * SLOWER:
            found[part] = {"left_out": f"{left:.0f} s left"}
            continue
        begun = time.monotonic()
        command = [sys.executable, __file__, "--part", part, "--work", str(work), *(["--dry"] if DRY else [])]
        with subprocess.Popen(command, start_new_session=True) as process:
            try:
                process.wait(min(most * SLOWER, left))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        file = work / f"{part}.json"
        found[part] = json.loads(file.read_text()) if file.is_file() else {}
        if process.returncode:
            found[part]["ended_early"] = process.returncode
        found[part]["part_seconds"] = round(time.monotonic() - begun, 1)
        found["told"] = told(found)
        (options.out / "gpu.json").write_text(json.dumps(found, indent=1))
        print(part, json.dumps(found[part])[:900], flush=True)
    print("told", json.dumps(found.get("told")))
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
