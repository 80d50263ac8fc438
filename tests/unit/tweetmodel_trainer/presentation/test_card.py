"""Tests of the model card: metadata for the Hub, tables, and escaping of hostile texts."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from markdown_it.token import Token

import hostile
from finished import finished_run
from tweetmodel_api.spec import BaseModelSource, ScratchModel, Training
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.evaluation.sample import SamplingSettings, printable
from tweetmodel_trainer.evaluation.scores import ScoreComparison
from tweetmodel_trainer.presentation.card import render_card
from tweetmodel_trainer.presentation.run_summary import DATA_ROWS

MAX_PROMPT_CHARACTERS = 280

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inlines(markdown: str) -> list[Token]:
    return [child for token in GITHUB.parse(markdown) for child in (token.children or [])]


def test_metadata_describes_the_model() -> None:
    data = ModelCard(render_card(finished_run(prompts=("", "I'm", "My dream is"), handles=("bob", "Ada")))).data
    assert (data.language, data.license, data.base_model) == ("en", "mit", "openai-community/gpt2")
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-generation")
    assert data.tags == ["huggingtweets", "tweetmodel", "Ada", "bob"]
    assert data.widget == [{"text": "I'm"}, {"text": "My dream is"}]
    assert data.model_name == "Tweets like @Ada and @bob"
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    assert results == {"loss": 3.0, "perplexity": 20.0855, "bits_per_byte": 1.082}


def test_unknown_metadata_is_left_out() -> None:
    scratch = BaseModelSource(scratch=ScratchModel())
    text = render_card(finished_run(base_model=scratch, base_license=None, language=None, texts=()))
    front = yaml.safe_load(text.split("---\n")[1])
    assert not {"language", "license", "base_model"} & set(front)
    assert front["widget"] == [{"text": "My dream is"}]
    assert "The model has no base model" in text


def test_an_account_without_held_out_posts_has_dashes() -> None:
    summary = finished_run(handles=("ada", "bob"))
    scores = summary.evaluation.scores
    scores = ScoreComparison({"ada": scores.before["ada"]}, {"ada": scores.after["ada"]})
    text = render_card(replace(summary, evaluation=replace(summary.evaluation, scores=scores)))
    assert re.search(r"\| @bob \| – \| – \| – \| – \| \d+ \|", text)


def test_the_example_stays_within_the_limits_of_the_model() -> None:
    text = render_card(finished_run(sampling=SamplingSettings(temperature=0.001, top_p=0.95, max_new_tokens=64)))
    assert "max_new_tokens=64" in text
    assert "temperature=0.001" in text


def test_the_block_size_is_the_one_used() -> None:
    assert "| Block size | 256 tokens |" in render_card(finished_run(block_size=256))


def test_a_warm_start_is_described() -> None:
    phrase = "through the earlier model"
    assert phrase not in render_card(finished_run())
    assert f"{phrase} cdcdcdcdcdcdcdcd" in render_card(finished_run(initial_model="cd" * 32))


def test_the_data_table_has_a_column_for_each_account() -> None:
    text = render_card(finished_run(handles=("bob", "ada")))
    assert "| Posts | @ada | @bob |\n| --- | ---: | ---: |\n| Downloaded | 3,249 | 3,249 |\n" in text
    assert "| Kept | 2,633 | 2,633 |\n" in text


def test_the_data_table_accounts_for_every_post() -> None:
    counted = {name for name, value in asdict(Counts()).items() if type(value) is int}
    assert {field for _, field in DATA_ROWS} == counted
    dropped = {name: n for n, name in enumerate(sorted(counted - {"downloaded", "kept", "characters", "unlabeled"}), 1)}
    counts = Counts(downloaded=100 + sum(dropped.values()), kept=100, characters=6000, **dropped)
    rows = dict(finished_run(accounts={"ada": counts}).data_table)
    assert rows["Downloaded"][0] - sum(n for name, [n] in rows.items() if name.endswith("(dropped)")) == rows["Kept"][0]
    assert "Duplicates (dropped)" not in dict(finished_run().data_table), "rules without dropped posts have no row"


def test_the_data_table_counts_tokens() -> None:
    assert "| Training tokens | 900 |\n| Held-out tokens | 100 |\n" in render_card(finished_run())


def test_the_training_table_contains_all_settings() -> None:
    training = Training(
        method="LoRA", lora_rank=8, global_batch_size=8, gradient_accumulation_steps=4, early_stopping={"patience": 2}
    )
    summary = finished_run(
        handles=("bob", "ada"), settings=training, weights={"ada": 3, "bob": 1}, precision="float32", kept_step=130
    )
    for row in (
        "| Method | LoRA, rank 8 |",
        "| Gradient accumulation steps | 4 |",
        "| Early stopping | patience 2, selected on the held-out posts that the evaluation uses, so the evaluation is "
        "optimistic. Early stopping kept the weights of step 130 of 390, which had the lowest held-out loss. |",
        "| Precision | float32 |",
        "| Weights of the accounts | @ada 3, @bob 1 |",
        "| GPUs | 1 |",
    ):
        assert row in render_card(summary)
    assert not {"Early stopping", "Gradient accumulation steps", "Weights of the accounts"} & set(
        dict(finished_run().training_table)
    )


def test_accounts_are_compared_with_the_model() -> None:
    text = render_card(finished_run(handles=("bob", "Ada")))
    assert "| @Ada | 6.000 | 3.000 | 20.09 | 1.082 | 27 | 33% | 0% |" in text
    assert "| The model | 6.000 | 3.000 | 20.09 | 1.082 | 26 | 0% | 0% |" in text
    assert "| The model |" not in render_card(finished_run())


def test_all_tables_are_valid_markdown() -> None:
    for handles, tables in (("ada",), 5), (("ada", "bob"), 6):
        text = render_card(finished_run(handles=handles))
        kinds = [token.type for token in GITHUB.parse(text.split("---\n", 2)[2])]
        assert kinds.count("table_open") == tables
        assert not any("|" in child.content for child in inlines(text.split("---\n", 2)[2]))


def test_hostile_texts_are_escaped_in_card_and_metadata() -> None:
    for text in (printable(text)[:MAX_PROMPT_CHARACTERS] for text in hostile.POSTS):
        made = render_card(finished_run(texts=[text], prompts=(text,)))
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


def test_the_card_does_not_show_the_training_losses(tmp_path: Path) -> None:
    assert render_card(finished_run()) == render_card(finished_run(log=({"step": 1, "loss": 9.9},)))
