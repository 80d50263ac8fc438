"""Defaults that an administrator sets for the TweetModels of a namespace or of the cluster.

The operator writes defaults into the spec once, before the first Job, as Kubernetes writes the default storage class
into a PersistentVolumeClaim: the spec shows the settings in force, and a later change of the defaults starts no new
training.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from tweetmodel_api.fields import Model
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.spec import BaseModelSource, QueueName, Resources, Storage
from tweetmodel_api.trackers import ReportTo

OBJECT_NAME = "default"
"""Name of the TweetModelDefaults that applies to its namespace."""


class DefaultsSpec(Model):
    """Defaults for fields omitted by the spec of a TweetModel."""

    storage: Storage | None = None

    base_model: BaseModelSource | None = None

    gpus: Annotated[int, Field(ge=0, le=1)] | None = None
    """1 trains on a GPU, 0 on the CPU. Larger numbers must fit globalBatchSize, so only a TweetModel itself can request
    them."""

    resources: Resources | None = None

    pod_template: PodTemplate | None = None

    queue_name: QueueName | None = None
    """LocalQueue of Kueue for train and sample Jobs."""

    report_to: ReportTo | None = None


DEFAULTABLE_FIELDS = tuple(DefaultsSpec.model_json_schema(by_alias=True)["properties"])
"""Names of these fields in a TweetModel's spec."""


def values_for(omitted: Iterable[str], *defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for omitted fields of a spec, each from the first of `defaults` with the field."""
    values = {name: next((given[name] for given in defaults if name in given), None) for name in omitted}
    return {name: value for name, value in values.items() if value is not None}
