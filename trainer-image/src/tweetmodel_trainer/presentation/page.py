"""The model page: one HTML file that asks for nothing from outside and runs no script.

Every value is escaped by the template engine. Behind that stands a Content-Security-Policy that allows the style
sheet by its hash and nothing else, so even text that got through could neither run nor call home.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tweetmodel_trainer.evaluation.memorization import ranked
from tweetmodel_trainer.evaluation.sample import Sample
from tweetmodel_trainer.evaluation.scores import total
from tweetmodel_trainer.presentation.loss_chart import curve
from tweetmodel_trainer.presentation.run_summary import COLUMNS, About

SHARED_CHARACTERS = 238
"""Of a tweet that is shared, as huggingtweets cut it: room is left to say who wrote it."""


def page(about: About) -> str:
    """The whole index.html."""
    style = (files("tweetmodel_trainer.presentation") / "templates" / "page.css").read_text()
    before, after = total(about.assessment.before.values()), total(about.assessment.after.values())
    kept, drawn = (about.kept, after.loss), about.assessment.samples
    samples = [sample for sample in ranked(drawn, len(drawn)) if sample.copy != "exact"]
    return _TEMPLATE.render(
        about=about,
        columns=COLUMNS,
        before=before,
        after=after,
        copies=sum(sample.copy == "exact" for sample in drawn),
        parameters=short_number(about.parameters),
        featured=samples[0] if samples else None,
        groups=by_prompt(about.generation.prompts, samples[1:]),
        curve=Markup(curve(about.losses, before.loss, kept, about.held_out_losses)),  # numbers alone
        style=Markup(style),  # ours
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        share=lambda sample: share_link(sample, about.handles),
    )


def short_number(value: int) -> str:
    """124 M for 124,439,808."""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def by_prompt(prompts: Sequence[str], samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    """The samples of each prompt that has any, in the prompts' order."""
    groups = ((prompt, [sample for sample in samples if sample.prompt == prompt]) for prompt in dict.fromkeys(prompts))
    return [(prompt, found) for prompt, found in groups if found]


def share_link(sample: Sample, handles: Sequence[str]) -> str:
    """X's form for a new post with this tweet in it; handles without @, so nobody is called."""
    text = sample.text
    if len(text) > SHARED_CHARACTERS:
        text = text[: SHARED_CHARACTERS - 1].rsplit(" ", 1)[0] + "…"
    told = f"{text}\n\nMade up by a model of {', '.join(handles[:2])}{' …' if len(handles) > 2 else ''}"
    return f"https://x.com/intent/post?text={quote(told, safe='')}"


_TEMPLATE = Environment(
    loader=PackageLoader("tweetmodel_trainer.presentation"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("page.html")
