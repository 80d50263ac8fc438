"""What an administrator may decide for the TweetModels of a namespace or of the cluster, so that theirs can be short.

A default is filled into the spec once, before the first Job, as a PersistentVolumeClaim gets its storage class: who
looks sees what is in force, and a default that changes later trains nothing anew.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from tweetmodel_api.fields import Model
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.spec import BaseModelSource, QueueName, Resources, Storage
from tweetmodel_api.trackers import ReportTo

NAME = "default"
"""The TweetModelDefaults of a namespace that counts."""


class DefaultsSpec(Model):
    """Fields of a TweetModel's spec, each for those that leave it out."""

    storage: Storage | None = None

    base_model: BaseModelSource | None = None

    gpus: Annotated[int, Field(ge=0, le=1)] | None = None
    """1 trains on a GPU, 0 on the CPU; more must fit a TweetModel's own batchSize, so they are for it to ask for."""

    resources: Resources | None = None

    pod_template: PodTemplate | None = None

    queue_name: QueueName | None = None
    """The LocalQueue of Kueue that the training Job waits in."""

    report_to: ReportTo | None = None


FIELDS = tuple(DefaultsSpec.model_json_schema(by_alias=True)["properties"])
"""Their names in a TweetModel's spec."""


def filled(absent: Iterable[str], *defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the fields that a spec leaves out, each from the first of `defaults` that has one."""
    found = {name: next((given[name] for given in defaults if name in given), None) for name in absent}
    return {name: value for name, value in found.items() if value is not None}
