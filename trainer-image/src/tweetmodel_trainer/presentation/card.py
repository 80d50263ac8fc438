"""The model card: README.md as the Hugging Face Hub reads it, front matter first.

Whatever is inserted is taken literally: the template's `finalize` escapes every value as Markdown text, so a
tweet can neither hide a link behind words nor end a table, and the front matter is written by a YAML writer.
"""

import re

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tweetmodel_trainer.evaluation.assessment import LARGEST
from tweetmodel_trainer.evaluation.memorization import ranked
from tweetmodel_trainer.evaluation.scores import total
from tweetmodel_trainer.presentation.run_summary import COLUMNS, About

SAMPLES_SHOWN = 10
WIDGET = "My dream is"
"""The prompt that huggingtweets offered."""
HERE = 'model=".")  # the folder with this file, or its name on the Hub'
"""How the card's example ends its call; a copy on the Hub says its name instead."""

_MARKS = re.compile(r"[\\`*_{}\[\]<>()#+!|~$^=]")


def card(about: About) -> str:
    """The whole README.md."""
    body = _TEMPLATE.render(
        about=about,
        columns=COLUMNS,
        here=Markup(HERE),
        before=total(about.assessment.before.values()),
        after=total(about.assessment.after.values()),
        samples=ranked(about.assessment.samples, SAMPLES_SHOWN),
    )
    return str(ModelCard(f"---\n{_metadata(about).to_yaml()}\n---\n\n{body}"))


def literal(text: str) -> str:
    """Text that Markdown shows as it is, wherever in a line or table it stands (CommonMark 0.31, section 2.4)."""
    line = " ".join(text.split()).replace("&", "&amp;")
    return _MARKS.sub(lambda mark: {"<": "&lt;", ">": "&gt;"}.get(mark[0], f"\\{mark[0]}"), line)


def _metadata(about: About) -> ModelCardData:
    prompts = [prompt for prompt in about.generation.prompts if prompt.strip()] or [WIDGET]
    return ModelCardData(
        language=about.language,
        license=about.base_licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["huggingtweets", "tweetmodel", *about.handles],
        base_model=about.base.hub.name if about.base.hub else None,
        widget=[{"text": prompt} for prompt in prompts],
        model_name=f"Tweets like {about.who}",
        eval_results=_results(about),
    )


def _results(about: About) -> list[EvalResult]:
    scores = total(about.assessment.after.values())
    figures = {
        "loss": scores.loss,
        "perplexity": min(scores.perplexity, LARGEST),
        "bits_per_byte": scores.bits_per_byte,
    }
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type="tweetmodel",
            dataset_name=f"held-out posts of {about.who}",
            dataset_revision=about.dataset_digest,
            metric_type=name,
            metric_name=name.replace("_", " "),
            metric_value=round(value, 4),
        )
        for name, value in figures.items()
    ]


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else literal(str(value))


_ENVIRONMENT = Environment(  # Markdown is escaped by `finalize`, not as HTML
    loader=PackageLoader("tweetmodel_trainer.presentation"),
    undefined=StrictUndefined,
    finalize=_finalize,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATE = _ENVIRONMENT.get_template("card.md")
