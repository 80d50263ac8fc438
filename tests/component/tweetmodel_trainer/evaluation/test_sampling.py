"""Tests of samples."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from small_models import TOKENIZER, small_model
from tweetmodel_api.spec import Generation
from tweetmodel_trainer.evaluation.sampling import MinLengthProcessor, TopKTopPSampler, draw_samples


def drawing(*rounds: dict[str, str]) -> Callable[..., list[str]]:
    """Return a replacement of `_draw_texts` that returns the text of each prompt, round by round."""
    left = iter(rounds)

    def draw(*call: Any) -> list[str]:
        texts = next(left)
        return [texts[prompt] for prompt in call[-1]]

    return draw


def test_empty_samples_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = {"": "gull", "fog": ""}, {"fog": "fog came"}, {}
    monkeypatch.setattr("tweetmodel_trainer.evaluation.sampling._draw_texts", drawing(*rounds))
    samples = draw_samples(small_model(), TOKENIZER, Generation(samples_per_prompt=1, prompts=("", "fog")), 1)
    assert [sample.text for sample in samples] == ["gull", "fog came"]


def test_samples_with_blocked_words_are_drawn_again_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = {"": "A GULL!", "fog": "fog and gull"}, {"": "gulls", "fog": "the gull, again"}, {"fog": "gull"}
    monkeypatch.setattr("tweetmodel_trainer.evaluation.sampling._draw_texts", drawing(*rounds))
    wanted = Generation(samples_per_prompt=1, prompts=("", "fog"), blocked_words=("Gull",))
    assert [sample.text for sample in draw_samples(small_model(), TOKENIZER, wanted, 1)] == ["gulls"]


def test_samples_do_not_depend_on_the_other_prompts() -> None:
    """Prompts of different lengths are padded on the left; without randomness the padding changes nothing."""
    model, prompts = small_model(), ("", "gull number", "gull number 7 has taken sandwich")
    cold = Generation(samples_per_prompt=1, prompts=prompts, max_new_tokens=16, temperature="0.001", top_p="0.001")
    alone = [draw_samples(model, TOKENIZER, cold.model_copy(update={"prompts": (p,)}), 1)[0] for p in prompts]
    assert draw_samples(model, TOKENIZER, cold, 1) == alone


def test_samples_begin_with_their_prompt_and_repeat_with_the_seed() -> None:
    wanted = Generation(samples_per_prompt=3, prompts=("", "gull number"), max_new_tokens=16)
    model = small_model()
    first, again = (draw_samples(model, TOKENIZER, wanted, 1) for _ in range(2))
    assert first == again
    assert [s.prompt for s in first] == [""] * 3 + ["gull number"] * 3
    assert all(s.text.startswith("gull number") for s in first[3:])


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"), [(1.0, 0.95, 50), (0.7, 0.5, 8), (1.4, 1.0, 50), (1.0, 0.001, 9)]
)
def test_the_distribution_of_tokens_equals_that_of_transformers(temperature: float, top_p: float, top_k: int) -> None:
    torch.manual_seed(0)
    scores, draws = torch.randn(1, 100) * 2, 20_000
    warped = TemperatureLogitsWarper(temperature)(None, scores)
    warped = TopPLogitsWarper(top_p)(None, TopKLogitsWarper(top_k)(None, warped))
    expected = warped.softmax(-1)[0]
    drawn = TopKTopPSampler(temperature, top_p, top_k)(None, scores.repeat(draws, 1)).argmax(-1)
    shares = torch.bincount(drawn, minlength=100) / draws
    assert not shares[expected == 0].any()
    deviations = (shares - expected).abs() / (expected * (1 - expected) / draws).sqrt().clamp(min=1e-9)
    assert deviations[expected > 0].max() < 5


@pytest.mark.parametrize(("padding", "drawn"), [(0, 5), (0, 8), (4, 8), (4, 12)])
def test_the_minimum_length_includes_the_prompt_but_no_padding(padding: int, drawn: int) -> None:
    """The minimum of huggingtweets, min_length, includes <|endoftext|> and the prompt."""
    tokens = torch.zeros(2, 2 + drawn, dtype=torch.long)
    scores = MinLengthProcessor(3, torch.tensor([0, padding]))(tokens, torch.zeros(2, 8))
    assert [bool(row[3] == 0) for row in scores] == [2 + drawn >= 10, 2 + drawn - padding >= 10]
    assert not scores[:, [0, 1, 2, 4, 5, 6, 7]].any()


def test_samples_are_not_shorter_than_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    model, end, lengths = small_model(), TOKENIZER.eos_token_id, []
    generate = model.generate

    def recorded(*given: Any, **options: Any) -> torch.Tensor:
        drawn = generate(*given, **options)
        lengths.extend(int((row != end).sum()) for row in drawn)
        return drawn

    with torch.no_grad():
        model.transformer.ln_f.bias.copy_(1e6 * model.lm_head.weight[end])
    monkeypatch.setattr(model, "generate", recorded)
    draw_samples(
        model, TOKENIZER, Generation(samples_per_prompt=1, prompts=("", "gull number 7"), max_new_tokens=40), 1
    )
    assert set(lengths) == {9}, "the tenth token is the <|endoftext|> at the beginning"


def test_a_prompt_may_fill_the_context() -> None:
    wanted = Generation(samples_per_prompt=1, prompts=("gull " * 50,), max_new_tokens=512)
    assert len(draw_samples(small_model(), TOKENIZER, wanted, 1)) == 1
