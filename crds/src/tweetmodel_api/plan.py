"""What the operator hands a pod, and what makes two runs the same run.

A pod is a pure function of its plan and S3. Identities are hashes of what the result depends on, with
defaults left out: so a field that a later version adds with a default does not start everything anew. Nor does
another way to write the same: decimals count by their values, and sources in any order.
"""

import hashlib
import json
from operator import attrgetter
from typing import Any, Literal

from pydantic import Field
from pydantic.main import IncEx

from tweetmodel_api.fields import Decimal, Identifier, Model, S3Uri
from tweetmodel_api.layout import Layout
from tweetmodel_api.spec import Cleaning, TweetModelSpec
from tweetmodel_api.status import Start

Stage = Literal["collect", "train", "purge"]


class DatasetReference(Model):
    """The data set that a run trains on."""

    uri: S3Uri
    digest: Identifier


class Plan(Model):
    """One stage of one run."""

    stage: Stage
    namespace: str
    name: str
    spec: TweetModelSpec
    run: Identifier | None = None
    """Absent while collecting: a run's identity needs the data set."""
    dataset: DatasetReference | None = None
    """Absent while collecting."""
    never: tuple[str, ...] = ()
    """Accounts that the administrator bars, beside those of spec.cleaning.never."""
    retry: str = ""
    """The retry that a person asked for last: another one has the sources read, whatever they are."""
    borrowed: dict[str, DatasetReference] = Field(default_factory=dict)
    """Data sets of other TweetModels that sources name, by their names."""
    known: Identifier | None = None
    """Digest of the data set that a model was trained on last: collecting counts what is new since."""
    learnt_from: tuple[Identifier, ...] = ()
    """Digests of the data sets of status.runs: collecting tells which of them are gone because of cleaning.forget."""
    start: Start | None = None
    """The model to start from; the base where absent."""
    beat: Decimal | None = None
    """Held-out loss of the present model: one that is no better is not published."""
    repeat: bool = False
    """The run is done: its report is to be repeated, and its model published where the spec asks for it."""

    @property
    def layout(self) -> Layout:
        """Where this TweetModel's folders lie."""
        return Layout(self.spec.storage.uri, self.namespace, self.name)

    @property
    def cleaning(self) -> Cleaning:
        """How posts are cleaned, by the spec and the administrator."""
        barred = {*self.spec.cleaning.never, *self.never}
        return self.spec.cleaning.model_copy(update={"never": tuple(sorted(barred))})


def collection_id(spec: TweetModelSpec, retry: str = "", due: str = "") -> str:
    """What a data set depends on: sources, cleaning, the split's seed, and the storage it lies in.

    `retry` is the value of the annotation by which a person asks for another look at the sources, `due` the time at
    which the schedule does.
    """
    cleaning = _said(spec.cleaning)
    return _identity(
        **({"retry": retry} if retry else {}),
        **({"due": due} if due else {}),
        **({"cleaning": cleaning} if cleaning else {}),
        sources=[_said(source, exclude={"weight"}) for source in sorted(spec.sources, key=attrgetter("handle"))],
        seed=spec.training.seed,
        storage=[spec.storage.uri, spec.storage.endpoint],
    )


def base_id(spec: TweetModelSpec) -> str:
    """What a base model is known by."""
    return _identity(base_model=_base_model(spec))


def _base_model(spec: TweetModelSpec) -> dict[str, object]:
    return _said(spec.base_model, exclude={"hub": {"secret_ref"}})


def run_id(spec: TweetModelSpec, dataset_digest: str, start: Start | None = None) -> str:
    """What a trained model and its samples depend on; `start` is the model it starts from, if that is not the base."""
    return _identity(
        **({"start": start.digest} if start else {}),
        **({"weights": spec.weights} if set(spec.weights.values()) != {1} else {}),
        base_model=_base_model(spec),
        training=_said(spec.training, exclude={"checkpoint_seconds"}),
        generation=_said(spec.generation),
        dataset=dataset_digest,
    )


_ANY_POD = {"labels", "annotations", "image", "image_pull_secrets", "service_account_name"}
"""What podTemplate says of the pods of both stages; the rest of it is the training pod's."""


def inputs_id(stage: Stage, spec: TweetModelSpec, retry: str, repeat: bool = False) -> str:
    """What a Job takes from the spec without changing the result: it is replaced when that changes.

    `retry` is the value of the annotation by which a person asks for another attempt, `repeat` the plan's.
    """
    train, hub = stage == "train", spec.base_model.hub
    template: dict[str, Any] = {"storage": True, "pod_template": True if train else _ANY_POD}
    if train:
        template |= {"gpus": True, "resources": True, "queue_name": True}
    return _identity(
        template={name: value for name, value in _said(spec, include=template).items() if value != {}},
        checkpoint_seconds=spec.training.checkpoint_seconds if train else None,
        **({"publish": publish_id(spec)} if train and spec.publish else {}),
        **({"pinned": True} if repeat else {}),
        **({"report_to": _said(spec.report_to)} if train and spec.report_to else {}),
        **({"base_token": hub.secret_ref.name} if train and hub and hub.secret_ref else {}),
        retry=retry,
    )


def publish_id(spec: TweetModelSpec) -> str | None:
    """What a publication depends on besides the model; None where nothing is to be published."""
    return _identity(publish=_said(spec.publish)) if spec.publish else None


def _said(model: Model, *, include: IncEx | None = None, exclude: IncEx | None = None) -> dict[str, Any]:
    """What a model says besides its defaults."""
    return model.model_dump(mode="json", exclude_defaults=True, include=include, exclude=exclude)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _identity(**parts: object) -> str:
    return hashlib.sha256(_CANONICAL.encode(parts).encode()).hexdigest()[:16]


def short_hash(*parts: object) -> str:
    """Ten hexadecimal digits that are a pure function of the parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:10]
