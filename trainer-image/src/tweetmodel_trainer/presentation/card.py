"""Renders the model card: a README.md with metadata for the Hugging Face Hub.

All inserted values are literal text: the template engine escapes them for Markdown, so a tweet can neither hide a link
nor break a table, and a YAML library writes the metadata.
"""

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tweetmodel_trainer.evaluation.evaluation_report import MAX_DECIMAL
from tweetmodel_trainer.evaluation.memorization import rank_samples
from tweetmodel_trainer.presentation.markdown import escape_markdown
from tweetmodel_trainer.presentation.run_summary import ACCOUNT_COLUMNS, RunSummary

MAX_SAMPLES = 10
DEFAULT_PROMPT = "My dream is"
"""Prompt of the widget on the Hub, as in huggingtweets."""
LOCAL_MODEL = 'model="../model")  # the model folder of this run, or the name of the model on the Hub'
"""End of the call in the example; on the Hub, the name of the repository replaces it."""


def render_card(summary: RunSummary) -> str:
    """Return the content of README.md."""
    body = _TEMPLATE.render(
        summary=summary,
        columns=ACCOUNT_COLUMNS,
        local_model=Markup(LOCAL_MODEL),
        before=summary.evaluation.scores.total_before,
        after=summary.evaluation.scores.total_after,
        samples=rank_samples(summary.evaluation.samples, MAX_SAMPLES),
    )
    return str(ModelCard(f"---\n{_metadata(summary).to_yaml()}\n---\n\n{body}"))


def _metadata(summary: RunSummary) -> ModelCardData:
    prompts = [prompt for prompt in summary.generation.prompts if prompt.strip()] or [DEFAULT_PROMPT]
    hub = summary.training.base_model.hub
    return ModelCardData(
        language=summary.language,
        license=summary.training.base_license,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["huggingtweets", "tweetmodel", *summary.handles],
        base_model=hub.name if hub else None,
        widget=[{"text": prompt} for prompt in prompts],
        model_name=f"Tweets like {summary.authors}",
        eval_results=_eval_results(summary),
    )


def _eval_results(summary: RunSummary) -> list[EvalResult]:
    scores = summary.evaluation.scores.total_after
    metrics = {
        "loss": scores.loss,
        "perplexity": min(scores.perplexity, MAX_DECIMAL),
        "bits_per_byte": scores.bits_per_byte,
    }
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type="tweetmodel",
            dataset_name=f"held-out posts of {summary.authors}",
            dataset_revision=summary.training.dataset_digest,
            metric_type=name,
            metric_name=name.replace("_", " "),
            metric_value=round(value, 4),
        )
        for name, value in metrics.items()
    ]


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else escape_markdown(str(value))


_ENVIRONMENT = Environment(  # `finalize` escapes Markdown; the result is not HTML
    loader=PackageLoader("tweetmodel_trainer.presentation"),
    undefined=StrictUndefined,
    finalize=_finalize,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATE = _ENVIRONMENT.get_template("card.md")
