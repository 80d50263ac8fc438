"""Makes the summary of a finished run: `finished_run(texts=("a tweet",))`."""

from collections.abc import Sequence
from dataclasses import replace

from tweetmodel_api.spec import BaseModelSource, Generation, HubModel, Training
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.evaluation.evaluation_report import build_evaluation_report
from tweetmodel_trainer.evaluation.sample import Sample, SamplingSettings
from tweetmodel_trainer.evaluation.scores import ScoreComparison, Scores
from tweetmodel_trainer.presentation.run_summary import RunSummary
from tweetmodel_trainer.training.result import TrainingResult

POSTS = ["a gull took my sandwich and flew off to the north", "the kettle is on", "fog again, @bob"]
TEXTS = ("The fog has opinions about my knitting.", "Ships, please go around.", POSTS[1])


def training_result(handles: Sequence[str] = ("ada",), **changes: object) -> TrainingResult:
    """Return the result of training GPT-2 on the posts of some accounts."""
    result = TrainingResult(
        dataset_digest="cd" * 32,
        base_model=BaseModelSource(hub=HubModel(name="openai-community/gpt2")),
        base_commit="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        base_license="mit",
        settings=Training(),
        weights=dict.fromkeys(handles, 1),
        gpus=1,
        parameters=124_439_808,
        block_size=1024,
        precision="bfloat16",
        scores=ScoreComparison(
            before={handle: Scores(600.0, 100, 400) for handle in handles},
            after={handle: Scores(300.0, 100, 400) for handle in handles},
        ),
        tokens=dict.fromkeys(handles, 900),
        optimizer_steps=390,
        planned_steps=390,
        kept_step=390,
        log=({"step": 1, "loss": 4.1}, {"step": 200, "loss": 3.4}, {"step": 390, "loss": 3.1}),
        software={"transformers": "5.23.0", "torch": "2.15.0"},
    )
    return result.model_copy(update=changes)


def finished_run(
    texts: Sequence[str] = TEXTS, prompts: Sequence[str] = ("",), handles: Sequence[str] = ("ada",), **changes: object
) -> RunSummary:
    """Return the summary of a run whose model wrote these texts, in turns for these prompts.

    Args:
        texts: samples without their prompts.
        prompts: prompts of the samples.
        handles: accounts of the data set.
        changes: fields of RunSummary or TrainingResult with other values.
    """
    result_changes = {name: changes.pop(name) for name in TrainingResult.model_fields if name in changes}
    result = training_result(handles, **result_changes)
    samples = [Sample(p, p + text) for text, p in zip(texts, prompts * len(texts), strict=False)]
    posts, held_out = dict.fromkeys(handles, POSTS), ["the tide is late"]
    summary = RunSummary(
        run="ab" * 8,
        accounts={handle: Counts(3249, 610, 6, 2633, 200_000) for handle in handles},
        train_posts=2370,
        held_out_posts=263,
        language="en",
        training=result,
        generation=Generation(prompts=tuple(prompts)),
        sampling=SamplingSettings(temperature=1.0, top_p=0.95, max_new_tokens=160),
        evaluation=build_evaluation_report(result.scores, result.tokens, samples, posts, held_out),
    )
    return replace(summary, **changes)  # type: ignore[arg-type]
