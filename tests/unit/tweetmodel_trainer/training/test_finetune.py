"""Training, evaluation and generation on a model small enough for seconds."""

import hashlib
import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, TrainerCallback, TrainingArguments, set_seed
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import BaseModelSource, EarlyStopping, Generation, HubModel, Training
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.evaluation.evaluate import evaluate
from tweetmodel_trainer.evaluation.generate import Draw, LongEnough, generate, is_blocked, printable
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted, StopRequest
from tweetmodel_trainer.models import hub_model, lora
from tweetmodel_trainer.models.tokens import encode, train_tokenizer
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training import finetune as finetune_module
from tweetmodel_trainer.training import learn
from tweetmodel_trainer.training.blocks import Blocks
from tweetmodel_trainer.training.finetune import Saving, finetune

TEXTS = [f"gull number {n} has taken sandwich {n * 7 % 40}" for n in range(60)]
POSTS = [Post("ada", str(n), text) for n, text in enumerate(TEXTS)]
TOKENIZER = train_tokenizer(TEXTS, 320)
TRAINING = Training(global_batch_size=1, learning_rate="1e-3")
TWELVE = Blocks(POSTS[:33], TOKENIZER, 3, 64, 1)


def small_model(dropout: float = 0.1) -> GPT2LMHeadModel:
    set_seed(7)
    end = TOKENIZER.eos_token_id
    shape = {"vocab_size": len(TOKENIZER), "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
    drop = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    config = GPT2Config(bos_token_id=end, eos_token_id=end, **shape, **drop)
    return GPT2LMHeadModel(config)


def test_equal_texts_train_equal_tokenizers() -> None:
    assert train_tokenizer(TEXTS, 320).get_vocab() == TOKENIZER.get_vocab()


def digest(model: torch.nn.Module) -> str:
    """SHA-256 over all weights."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(name.encode() + tensor.numpy().tobytes())
    return sha.hexdigest()


class Killed(Exception):
    """The pod is gone."""


def run(
    tmp_path: Path, publish: Callable[[int, Path], None], resume: Path | None = None, method: str = "Full"
) -> GPT2LMHeadModel:
    model = small_model() if method == "Full" else lora.attach(small_model(), 4)
    training = TRAINING.model_copy(update={"checkpoint_interval_seconds": 0})
    finetune(model, TWELVE, training, tmp_path, resume, publish, Progress({}), (0, 100))
    return model if method == "Full" else lora.merge(model)


@pytest.mark.parametrize("method", ["Full", "LoRA"])
def test_a_run_killed_after_any_checkpoint_ends_in_the_same_weights(tmp_path: Path, method: str) -> None:
    """Dropout is on: weights, optimizer, schedule, random states and the place in the data all must come back."""
    calm = digest(run(tmp_path / "calm", lambda *_: None, method=method))
    for step in range(1, 13):

        def kill(at: int, folder: Path, step: int = step) -> None:
            if at == step:
                folder.rename(tmp_path / f"kept-{step}")
                raise Killed

        with pytest.raises(Killed):
            run(tmp_path / f"killed-{step}", kill, method=method)
        resumed = run(tmp_path / f"resumed-{step}", lambda *_: None, tmp_path / f"kept-{step}", method)
        assert digest(resumed) == calm, f"resumed at step {step}"


@pytest.mark.parametrize("method", ["Full", "LoRA"])
def test_a_run_that_stops_early_keeps_its_best_weights_wherever_it_was_killed(tmp_path: Path, method: str) -> None:
    """Epochs end at steps 5, 9 and 12; the second one makes it worse."""
    training = TRAINING.model_copy(
        update={"checkpoint_interval_seconds": 0, "early_stopping": EarlyStopping(patience=1)}
    )

    def run(name: str, publish: Callable[[int, Path], None], resume: Path | None = None) -> tuple[GPT2LMHeadModel, Any]:
        model = small_model() if method == "Full" else lora.attach(small_model(), 4)
        losses = {5: 3.0, 9: 3.5}  # by what was learnt, not by how often it was asked
        steps = [0]

        def at(step: int, folder: Path) -> None:
            steps[0] = step
            publish(step, folder)

        def score() -> float:
            evaluate(model, TOKENIZER, TEXTS[:5])  # must not disturb dropout
            return losses[steps[0] + 1]

        if resume:
            steps[0] = int(resume.name)
        trained = finetune(model, TWELVE, training, tmp_path / name, resume, at, Progress({}), (0, 100), score=score)
        return model, trained

    def keep(step: int, folder: Path) -> None:
        shutil.copytree(folder, tmp_path / "kept" / str(step))

    calm, trained = run("calm", keep)
    assert (trained.steps, trained.planned, trained.kept) == (9, 12, 5)
    assert [row["step"] for row in trained.log if "heldout_loss" in row] == [5, 9]
    assert sorted(int(path.name) for path in (tmp_path / "kept").iterdir()) == list(range(1, 10))
    for step in range(1, 10):
        resumed, again = run(f"resumed-{step}", lambda *_: None, tmp_path / "kept" / str(step))
        assert digest(resumed) == digest(calm), f"resumed at step {step}"
        assert (again.steps, again.kept) == (9, 5)
        assert [row["step"] for row in again.log if "heldout_loss" in row] == [5, 9]


def test_a_run_goes_on_from_the_commit_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = BaseModelSource(hub=HubModel(name="ada/gulls", revision="main"))
    began, moved = (BaseModelSource(hub=HubModel(name="ada/gulls", revision=digit * 40)) for digit in "12")
    monkeypatch.setattr(hub_model, "commit_of", lambda _: "1" * 40)
    assert learn._base(asked, tmp_path / learn.BASE) == began
    learn._publish(Mock(), began, 3, tmp_path)
    monkeypatch.setattr(hub_model, "commit_of", lambda _: "2" * 40)
    assert learn._base(asked, tmp_path / learn.BASE) == began
    assert learn._base(asked, tmp_path / "nothing") == moved


@pytest.mark.parametrize("change", [{"gradient_accumulation_steps": 4}, {"gradient_checkpointing": True}])
def test_what_saves_memory_learns_the_same(tmp_path: Path, change: dict[str, Any]) -> None:
    def loss(**changes: Any) -> float:
        model = small_model(dropout=0.0)
        training = TRAINING.model_copy(update={"global_batch_size": 4, "precision": "Float32", **changes})
        finetune(model, TWELVE, training, tmp_path, None, lambda *_: None, Progress({}), (0, 100))
        return evaluate(model, TOKENIZER, TEXTS).loss

    assert loss(**change) == pytest.approx(loss(), rel=1e-5)
    assert loss() < evaluate(small_model(), TOKENIZER, TEXTS).loss


class Look(TrainerCallback):
    """What the loop gave its callbacks at the last step."""

    def on_step_end(self, arguments: TrainingArguments, *_: Any, **seen: Any) -> None:
        self.arguments, self.seen = arguments, seen


def test_the_loop_computes_with_the_fast_kernels(tmp_path: Path) -> None:
    look, model = Look(), small_model()
    finetune(model, TWELVE, TRAINING, tmp_path, None, lambda *_: None, Progress({}), (0, 100), callbacks=[look])
    optimizer = look.seen["optimizer"].optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert all(group["fused"] for group in optimizer.param_groups)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("precision", "able", "bfloat16"),
    [("Auto", True, True), ("Auto", False, False), ("BFloat16", False, True), ("Float32", True, False)],
)
def test_the_loop_computes_in_the_precision_that_the_spec_or_the_device_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, able: bool, bfloat16: bool
) -> None:
    monkeypatch.setattr(finetune_module, "computes_in_bfloat16", lambda: able)
    look, kinds = Look(), set()
    model, training = small_model(), TRAINING.model_copy(update={"precision": precision})
    model.transformer.h[0].mlp.c_fc.register_forward_hook(lambda *call: kinds.add(call[-1].dtype))
    finetune(model, TWELVE, training, tmp_path, None, lambda *_: None, Progress({}), (0, 100), callbacks=[look])
    assert look.arguments.bf16 is bfloat16
    assert kinds == {torch.bfloat16 if bfloat16 else torch.float32}
    assert model.dtype == torch.float32


@pytest.mark.parametrize("method", ["Full", "LoRA"])
@pytest.mark.parametrize("again", [False, True])
def test_gradient_checkpointing_computes_each_layer_twice(tmp_path: Path, method: str, again: bool) -> None:
    model, calls = small_model(), Mock(return_value=None)
    model.transformer.h[0].mlp.register_forward_pre_hook(calls)
    model = model if method == "Full" else lora.attach(model, 4)
    training = TRAINING.model_copy(update={"gradient_checkpointing": again})
    finetune(model, TWELVE, training, tmp_path, None, lambda *_: None, Progress({}), (0, 100))
    assert calls.call_count == len(TWELVE) * (2 if again else 1)


def test_lora_learns_with_few_weights_and_ends_in_a_whole_model(tmp_path: Path) -> None:
    model = small_model()
    before, frozen = evaluate(model, TOKENIZER, TEXTS).loss, model.lm_head.weight.clone()
    names = set(model.state_dict())
    adapted = lora.attach(model, 4)
    assert sum(p.numel() for p in adapted.parameters() if p.requires_grad) < model.num_parameters() / 4
    training = TRAINING.model_copy(update={"learning_rate": "5e-2"})
    finetune(adapted, TWELVE, training, tmp_path, None, lambda *_: None, Progress({}), (0, 100))
    merged = lora.merge(adapted)
    assert set(merged.state_dict()) == names
    assert torch.equal(merged.lm_head.weight, frozen)
    assert evaluate(merged, TOKENIZER, TEXTS).loss < before


def test_a_stop_during_training_saves_that_step_and_is_not_taken_for_the_end(tmp_path: Path) -> None:
    published: list[int] = []

    class StopAtThree(Progress):
        def report(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
            if percentage == 25:
                os.kill(os.getpid(), signal.SIGTERM)

    training = TRAINING.model_copy(update={"checkpoint_interval_seconds": 9999})
    with pytest.raises(Interrupted):
        finetune(
            small_model(), TWELVE, training, tmp_path, None, lambda s, _: published.append(s), StopAtThree({}), (0, 100)
        )
    assert published == [4], "asked for during step 3, saved at the end of the next"


def test_a_stop_during_an_upload_ends_at_that_checkpoint(tmp_path: Path) -> None:
    published: list[int] = []

    def publish(step: int, _: Path) -> None:
        published.append(step)
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(tmp_path, publish)
    assert published == [1, 2, 3, 4, 5]


def test_storage_that_is_away_for_a_checkpoint_does_not_end_the_run(tmp_path: Path) -> None:
    asked: list[int] = []

    def away(step: int, _: Path) -> None:
        asked.append(step)
        if step in (3, 4):
            raise Failure(Reason.STORAGE_UNREACHABLE, "no answer")

    run(tmp_path / "periodic", away)
    assert asked == list(range(1, 13))

    def away_at_the_end(step: int, _: Path) -> None:
        if step == 12:
            raise Failure(Reason.STORAGE_UNREACHABLE, "no answer")

    with pytest.raises(Failure, match="no answer"):
        run(tmp_path / "end", away_at_the_end)


def test_a_model_trained_in_mixed_precision_is_scored_as_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = finetune_module._arguments

    def mixed(*these: Any) -> TrainingArguments:
        made = arguments(*these)
        made.bf16 = True
        return made

    monkeypatch.setattr(finetune_module, "_arguments", mixed)
    model = run(tmp_path, lambda *_: None)
    clean = small_model()
    clean.load_state_dict(model.state_dict())
    texts = [post.text for post in POSTS[:5]]
    assert evaluate(model, TOKENIZER, texts) == evaluate(clean, TOKENIZER, texts)


@pytest.mark.parametrize("method", ["Full", "LoRA"])
def test_early_stopping_scores_a_model_in_the_precision_of_its_final_figure(tmp_path: Path, method: str) -> None:
    model = small_model() if method == "Full" else lora.attach(small_model(), 4)
    changes = {"precision": "BFloat16", "early_stopping": EarlyStopping(patience=9)}
    training = TRAINING.model_copy(update=changes)

    def score() -> float:
        return evaluate(model, TOKENIZER, TEXTS[:5]).loss

    trained = finetune(model, TWELVE, training, tmp_path, None, lambda *_: None, Progress({}), (0, 100), score=score)
    told = {row["step"]: row["heldout_loss"] for row in trained.log if "heldout_loss" in row}
    assert score() == told[trained.kept]


def test_checkpoints_come_by_time_and_at_the_end(tmp_path: Path) -> None:
    now = 0.0

    class State:
        global_step, max_steps = 0, 100

    class Control:
        should_save = should_training_stop = False

    saving = Saving(60, StopRequest(), lambda *_: None, lambda *_: None, clock=lambda: now)
    saving.on_train_begin(None, State, Control)

    def asked(step: int, time: float) -> bool:
        nonlocal now
        now, State.global_step, Control.should_save = time, step, False
        saving.on_step_end(None, State, Control)
        return Control.should_save

    assert [asked(1, 59), asked(2, 60), asked(100, 61)] == [False, True, True]


def test_the_log_of_a_resumed_run_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune_module, "LOGGED", 12)
    training = TRAINING.model_copy(update={"checkpoint_interval_seconds": 0})

    def keep_the_fifth(step: int, folder: Path) -> None:
        if step == 5:
            shutil.copytree(folder, tmp_path / "fifth")

    finetune(small_model(), TWELVE, training, tmp_path / "first", None, keep_the_fifth, Progress({}), (0, 100))
    fifth = tmp_path / "fifth"
    trained = finetune(
        small_model(), TWELVE, TRAINING, tmp_path / "second", fifth, lambda *_: None, Progress({}), (0, 100)
    )
    assert [row["step"] for row in trained.log] == list(range(1, 13))
    assert all(row["time"] > 1.7e9 for row in trained.log)
    kept = json.loads((fifth / "trainer_state.json").read_text())["log_history"]
    assert kept[:5] == trained.log[:5], "a run that ends without results leaves its metrics there"
    assert trained.steps == 12


def test_a_checkpoint_that_was_handed_on_takes_no_room(tmp_path: Path) -> None:
    run(tmp_path, lambda _, folder: (folder / "trainer_state.json").stat() and None)
    assert list(tmp_path.glob("checkpoint-*")) == []


def test_a_loss_that_is_no_number_ends_the_run_at_once(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(Failure, match=r"at step 1\): lower training\.learningRate") as failure:
        finetune(model, TWELVE, TRAINING, tmp_path, None, lambda *_: None, Progress({}), (0, 100))
    assert failure.value.reason is Reason.DIVERGED


def test_training_tells_no_one_but_our_own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers' own callback would say 100 % whenever the loop ends, also when it was stopped."""
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(tmp_path / "token"))
    posted: list[object] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *call, **_: posted.append(call))
    run(tmp_path, lambda *_: None)
    assert posted == []


def test_a_special_token_that_a_post_spells_out_is_text() -> None:
    [ids] = encode(TOKENIZER, ["a gull <|endoftext|> flew"])
    assert TOKENIZER.eos_token_id not in ids
    assert TOKENIZER.decode(ids) == "a gull <|endoftext|> flew"


@given(st.text())
def test_every_text_survives_its_tokens(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert TOKENIZER.decode(encode(TOKENIZER, [text])[0]) == text


def test_every_token_of_a_text_longer_than_the_context_is_scored_once() -> None:
    long = " ".join(TEXTS)
    assert len(encode(TOKENIZER, [long])[0]) > 3 * 64
    assert evaluate(small_model(), TOKENIZER, [long]).tokens == len(encode(TOKENIZER, [long])[0]) + 1


def test_a_sample_is_one_line_without_control_characters() -> None:
    assert printable(" a\x1b[31m\ngull\0 \ufffdflew \U0001f426\u200d ") == "a[31m gull flew \U0001f426\u200d"
    assert printable("safe\u202e txt.exe\u2066 \u200fשלום") == "safe txt.exe \u200fשלום"


def drawing(*rounds: dict[str, str]) -> Callable[..., list[str]]:
    """Draws what each round has for a prompt."""
    left = iter(rounds)

    def draw(*call: Any) -> list[str]:
        texts = next(left)
        return [texts[prompt] for prompt in call[-1]]

    return draw


def test_a_sample_that_says_nothing_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = {"": "gull", "fog": ""}, {"fog": "fog came"}, {}
    monkeypatch.setattr("tweetmodel_trainer.evaluation.generate._draw", drawing(*rounds))
    samples = generate(small_model(), TOKENIZER, Generation(samples_per_prompt=1, prompts=("", "fog")), 1)
    assert [sample.text for sample in samples] == ["gull", "fog came"]


def test_a_sample_with_a_blocked_word_is_drawn_anew_and_then_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = {"": "A GULL!", "fog": "fog and gull"}, {"": "gulls", "fog": "the gull, again"}, {"fog": "gull"}
    monkeypatch.setattr("tweetmodel_trainer.evaluation.generate._draw", drawing(*rounds))
    wanted = Generation(samples_per_prompt=1, prompts=("", "fog"), blocked_words=("Gull",))
    assert [sample.text for sample in generate(small_model(), TOKENIZER, wanted, 1)] == ["gulls"]


@pytest.mark.parametrize(
    ("text", "word", "blocked"),
    [
        ("the gulls came", "gull", False),
        ("GULL!", "gull", True),
        ("Straße", "STRASSE", True),
        ("i like c++ a lot", "C++", True),
        ("i like c++17", "c++", False),
        ("#gull @gull", "gull", True),
    ],
)
def test_blocked_words_are_whole_words_in_any_case(text: str, word: str, blocked: bool) -> None:
    assert is_blocked(text, [word]) is blocked


def test_a_sample_does_not_depend_on_the_prompts_beside_it() -> None:
    """Prompts of unequal length are padded on the left; drawn by likelihood alone, each says what it says alone."""
    model, prompts = small_model(), ("", "gull number", "gull number 7 has taken sandwich")
    cold = Generation(samples_per_prompt=1, prompts=prompts, max_new_tokens=16, temperature="0.001", top_p="0.001")
    alone = [generate(model, TOKENIZER, cold.model_copy(update={"prompts": (p,)}), 1)[0] for p in prompts]
    assert generate(model, TOKENIZER, cold, 1) == alone


def test_the_loss_does_not_depend_on_how_posts_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    together = evaluate(model, TOKENIZER, TEXTS)
    monkeypatch.setattr("tweetmodel_trainer.evaluation.evaluate.BATCH_TOKENS", 1)
    alone = evaluate(model, TOKENIZER, TEXTS)
    assert together.tokens == alone.tokens == sum(len(ids) + 1 for ids in encode(TOKENIZER, TEXTS))
    assert together.loss == pytest.approx(alone.loss, rel=1e-5)


def test_a_model_that_knows_nothing_scores_the_logarithm_of_its_vocabulary() -> None:
    model = small_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    scores = evaluate(model, TOKENIZER, TEXTS)
    assert scores.loss == pytest.approx(math.log(len(TOKENIZER)), rel=1e-6)
    assert scores.perplexity == pytest.approx(len(TOKENIZER), rel=1e-5)
    assert scores.bits_per_byte == pytest.approx(
        math.log2(len(TOKENIZER)) * scores.tokens / sum(len(t) for t in TEXTS), rel=1e-6
    )


def test_samples_begin_with_their_prompt_and_come_again_with_the_seed() -> None:
    wanted = Generation(samples_per_prompt=3, prompts=("", "gull number"), max_new_tokens=16)
    model = small_model()
    first, again = (generate(model, TOKENIZER, wanted, 1) for _ in range(2))
    assert first == again
    assert [s.prompt for s in first] == [""] * 3 + ["gull number"] * 3
    assert all(s.text.startswith("gull number") for s in first[3:])


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"), [(1.0, 0.95, 50), (0.7, 0.5, 8), (1.4, 1.0, 50), (1.0, 0.001, 9)]
)
def test_tokens_are_drawn_as_transformers_draws_them(temperature: float, top_p: float, top_k: int) -> None:
    torch.manual_seed(0)
    scores, draws = torch.randn(1, 100) * 2, 20_000
    warped = TemperatureLogitsWarper(temperature)(None, scores)
    warped = TopPLogitsWarper(top_p)(None, TopKLogitsWarper(top_k)(None, warped))
    expected = warped.softmax(-1)[0]
    drawn = Draw(temperature, top_p, top_k)(None, scores.repeat(draws, 1)).argmax(-1)
    shares = torch.bincount(drawn, minlength=100) / draws
    assert not shares[expected == 0].any()
    deviations = (shares - expected).abs() / (expected * (1 - expected) / draws).sqrt().clamp(min=1e-9)
    assert deviations[expected > 0].max() < 5


@pytest.mark.parametrize(("padding", "drawn"), [(0, 5), (0, 8), (4, 8), (4, 12)])
def test_a_sample_may_end_once_it_has_ten_tokens_with_its_prompt_and_without_padding(padding: int, drawn: int) -> None:
    """As huggingtweets counted, whose min_length has <|endoftext|> and the prompt in it."""
    tokens = torch.zeros(2, 2 + drawn, dtype=torch.long)
    scores = LongEnough(3, torch.tensor([0, padding]))(tokens, torch.zeros(2, 8))
    assert [bool(row[3] == 0) for row in scores] == [2 + drawn >= 10, 2 + drawn - padding >= 10]
    assert not scores[:, [0, 1, 2, 4, 5, 6, 7]].any()


def test_a_model_in_a_hurry_ends_each_sample_as_early_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    model, end, said = small_model(), TOKENIZER.eos_token_id, []
    draw = model.generate

    def spied(*given: Any, **options: Any) -> torch.Tensor:
        drawn = draw(*given, **options)
        said.extend(int((row != end).sum()) for row in drawn)
        return drawn

    with torch.no_grad():
        model.transformer.ln_f.bias.copy_(1e6 * model.lm_head.weight[end])
    monkeypatch.setattr(model, "generate", spied)
    generate(model, TOKENIZER, Generation(samples_per_prompt=1, prompts=("", "gull number 7"), max_new_tokens=40), 1)
    assert set(said) == {9}, "the tenth is <|endoftext|>, before them"


def test_a_prompt_that_fills_the_context_is_survived() -> None:
    wanted = Generation(samples_per_prompt=1, prompts=("gull " * 50,), max_new_tokens=512)
    assert len(generate(small_model(), TOKENIZER, wanted, 1)) == 1
