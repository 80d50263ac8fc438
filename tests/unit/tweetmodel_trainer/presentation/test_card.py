"""The model card: what the Hub reads of it, and that hostile texts stay text."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

import hostile
from finished import about
from tweetmodel_api.spec import BaseModelSource, ScratchModel, Training
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.evaluation.generate import printable
from tweetmodel_trainer.evaluation.sample import Sampling
from tweetmodel_trainer.presentation.card import card, literal
from tweetmodel_trainer.presentation.run_summary import ROWS

MOST_OF_A_PROMPT = 280

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inlines(markdown: str) -> list[Token]:
    return [child for token in GITHUB.parse(markdown) for child in (token.children or [])]


def test_the_hub_reads_what_the_model_is_made_of() -> None:
    data = ModelCard(card(about(prompts=("", "I'm", "My dream is"), handles=("bob", "Ada")))).data
    assert (data.language, data.license, data.base_model) == ("en", "mit", "openai-community/gpt2")
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-generation")
    assert data.tags == ["huggingtweets", "tweetmodel", "Ada", "bob"]
    assert data.widget == [{"text": "I'm"}, {"text": "My dream is"}]
    assert data.model_name == "Tweets like @Ada and @bob"
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    assert results == {"loss": 3.0, "perplexity": 20.0855, "bits_per_byte": 1.082}


def test_what_is_not_known_is_left_out() -> None:
    scratch = BaseModelSource(scratch=ScratchModel())
    text = card(about(base=scratch, base_licence=None, language=None, texts=()))
    front = yaml.safe_load(text.split("---\n")[1])
    assert not {"language", "license", "base_model"} & set(front)
    assert front["widget"] == [{"text": "My dream is"}]
    assert "It started from no other model" in text


def test_an_account_of_which_nothing_was_held_out_has_dashes_for_its_losses() -> None:
    told = about(handles=("ada", "bob"))
    scored = {name: {"ada": getattr(told.assessment, name)["ada"]} for name in ("before", "after")}
    text = card(replace(told, assessment=replace(told.assessment, **scored)))
    assert re.search(r"\| @bob \| – \| – \| – \| – \| \d+ \|", text)


def test_the_example_asks_for_no_more_than_the_model_can_do() -> None:
    text = card(about(sampling=Sampling(temperature=0.001, top_p=0.95, longest=64)))
    assert "max_new_tokens=48" in text
    assert "temperature=0.001" in text


def test_the_block_size_is_the_one_that_was_used() -> None:
    assert "| Block size | 256 tokens |" in card(about(block_size=256))


def test_a_warm_start_is_not_hidden() -> None:
    said = "by way of the earlier model"
    assert said not in card(about())
    assert f"{said} cdcdcdcdcdcdcdcd" in card(about(start="cd" * 32))


def test_the_data_table_has_a_column_for_each_account() -> None:
    text = card(about(handles=("bob", "ada")))
    assert "| Posts | @ada | @bob |\n| --- | ---: | ---: |\n| Downloaded | 3,249 | 3,249 |\n" in text
    assert "| Kept | 2,633 | 2,633 |\n" in text


def test_every_post_is_accounted_for() -> None:
    counted = {name for name, value in asdict(Counts()).items() if type(value) is int}
    assert {field for _, field in ROWS} == counted
    dropped = {name: n for n, name in enumerate(sorted(counted - {"downloaded", "kept", "characters", "unlabeled"}), 1)}
    counts = Counts(downloaded=100 + sum(dropped.values()), kept=100, characters=6000, **dropped)
    rows = dict(about(accounts={"ada": counts}).data)
    assert rows["Downloaded"][0] - sum(n for name, [n] in rows.items() if name.endswith("left out")) == rows["Kept"][0]
    assert "Duplicates, left out" not in dict(about().data), "there were none"


def test_the_data_table_counts_tokens() -> None:
    assert "| Tokens to learn from | 900 |\n| Tokens held out | 100 |\n" in card(about())


def test_the_training_table_tells_all_that_the_result_depends_on() -> None:
    training = Training(
        method="LoRA", lora_rank=8, global_batch_size=8, gradient_accumulation_steps=4, early_stopping={"patience": 2}
    )
    told = about(handles=("bob", "ada"), training=training, weights={"ada": 3, "bob": 1}, bfloat16=False, remark=" So.")
    for row in (
        "| Method | LoRA of rank 8 |",
        "| Gradient accumulation | 4 parts |",
        "| Early stopping | patience 2, judged by the held-out posts that it is evaluated on too. So. |",
        "| Precision | float32 |",
        "| Weights of the accounts | @ada 3, @bob 1 |",
        "| GPUs | 1 |",
    ):
        assert row in card(told)
    assert not {"Early stopping", "Gradient accumulation", "Weights of the accounts"} & set(dict(about().recipe))


def test_authors_of_a_mix_are_told_beside_the_model() -> None:
    text = card(about(handles=("bob", "Ada")))
    assert "| @Ada | 6.000 | 3.000 | 20.09 | 1.082 | 27 | 33% | 0% |" in text
    assert "| The model | 6.000 | 3.000 | 20.09 | 1.082 | 26 | 0% | 0% |" in text
    assert "| The model |" not in card(about())


def test_every_table_of_the_card_is_one() -> None:
    for handles, tables in (("ada",), 5), (("ada", "bob"), 6):
        text = card(about(handles=handles))
        kinds = [token.type for token in GITHUB.parse(text.split("---\n", 2)[2])]
        assert kinds.count("table_open") == tables
        assert not any("|" in child.content for child in inlines(text.split("---\n", 2)[2]))


def test_hostile_texts_stay_text_in_card_and_front_matter() -> None:
    for text in (printable(text)[:MOST_OF_A_PROMPT] for text in hostile.POSTS):
        made = card(about(texts=[text], prompts=(text,)))
        data = ModelCard(made).data
        assert data.license == "mit"
        assert data.widget == [{"text": text}]
        body = made.removeprefix("---\n").split("\n---\n", 1)[1]
        kinds = {token.type for token in inlines(body)}
        assert kinds <= {"text", "strong_open", "strong_close", "image", "link_open", "link_close", "softbreak"}
        links = {value for token in inlines(body) for value in token.attrs.values()}
        assert links == {"predictions.png", "", "https://huggingface.co/openai-community/gpt2"}
        assert not [token for token in GITHUB.parse(body) if token.type == "html_block"]
        shown = {"".join(c.content for c in t.children or []) for t in GITHUB.parse(body) if t.type == "inline"}
        assert " ".join((text + text).split()) in shown


@given(st.text())
def test_escaped_text_reads_as_it_was_in_a_table(text: str) -> None:
    text = printable(text.encode("utf-8", "ignore").decode())
    tokens = GITHUB.parse(f"| a | b |\n| --- | --- |\n| {literal(text)} | end |\n")
    cells = ["".join(child.content for child in token.children or []) for token in tokens if token.type == "inline"]
    assert cells == ["a", "b", text, "end"]


@pytest.mark.parametrize("text", ["plain words, and more.", "I don't like it - at all"])
def test_plain_text_is_left_as_it_is(text: str) -> None:
    assert literal(text) == text


def test_the_card_is_a_function_of_the_run_alone(tmp_path: Path) -> None:
    assert card(about()) == card(about(losses=((1, 9.9),)))
