"""Makes a finished run to tell of: `about(texts=("a tweet",))`."""

from collections.abc import Sequence
from dataclasses import replace

from tweetmodel_api.spec import BaseModelSource, Generation, HubModel, Training
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.evaluation.assessment import assess
from tweetmodel_trainer.evaluation.sample import Sample, Sampling
from tweetmodel_trainer.evaluation.scores import Scores
from tweetmodel_trainer.presentation.run_summary import About

POSTS = ["a gull took my sandwich and flew off to the north", "the kettle is on", "fog again, @bob"]
TEXTS = ("The fog has opinions about my knitting.", "Ships, please go around.", POSTS[1])


def about(
    texts: Sequence[str] = TEXTS, prompts: Sequence[str] = ("",), handles: Sequence[str] = ("ada",), **changes: object
) -> About:
    """A run whose model wrote these texts, by turns for these prompts, which each text is made to begin with."""
    samples = [Sample(p, p + text) for text, p in zip(texts, prompts * len(texts), strict=False)]
    before = {handle: Scores(600.0, 100, 400) for handle in handles}
    after = {handle: Scores(300.0, 100, 400) for handle in handles}
    read = dict.fromkeys(handles, POSTS), ["the tide is late"], dict.fromkeys(handles, 900)
    told = About(
        accounts={handle: Counts(3249, 610, 6, 2633, 200_000) for handle in handles},
        trained_on=2370,
        held_out=263,
        language="en",
        base=BaseModelSource(hub=HubModel(name="openai-community/gpt2")),
        base_licence="mit",
        base_commit="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        parameters=124_439_808,
        training=Training(),
        generation=Generation(prompts=tuple(prompts)),
        sampling=Sampling(temperature=1.0, top_p=0.95, longest=160),
        steps=390,
        kept=390,
        held_out_losses=(),
        losses=((1, 4.1), (200, 3.4), (390, 3.1)),
        gpus=1,
        weights=dict.fromkeys(handles, 1),
        block_size=1024,
        bfloat16=True,
        remark="",
        assessment=assess(before, after, samples, *read),
        run="ab" * 8,
        dataset_digest="cd" * 32,
        start=None,
        versions={"transformers": "5.23.0", "torch": "2.15.0"},
    )
    return replace(told, **changes)  # type: ignore[arg-type]
