"""What a user may say of the pods: where they run and as whom, by the names that pods have for it (core/v1).

Bounded on purpose: no command, no volume but the cache's claim, no host path, nothing that could take the trainer's
place.
"""

from typing import Annotated, Literal

from pydantic import Field

from tweetmodel_api.fields import LocalReference, Model, ObjectName, atomic, map_list, rule, rules

Labels = Annotated[
    dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=63)]], Field(max_length=32)
]

ClassName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class Toleration(Model):
    """Lets the pod onto nodes with a matching taint, as in a pod."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """Taint key; absent matches every key and needs the operator Exists."""

    operator: Literal["Equal", "Exists"] | None = None
    """How the value is compared; Equal when absent."""

    value: Annotated[str, Field(max_length=63)] | None = None
    """Taint value, for Equal."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; absent matches all."""

    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """How long a NoExecute taint is tolerated."""


class NodeSelectorRequirement(Model):
    """A condition on one label of a node."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """The label."""

    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How its value is compared."""

    values: (
        Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=32, json_schema_extra=atomic)]
        | None
    ) = None
    """What it is compared with; none for Exists and DoesNotExist, one for Gt and Lt."""


class NodeSelectorTerm(Model):
    """Conditions that must all hold."""

    match_expressions: Annotated[
        tuple[NodeSelectorRequirement, ...], Field(min_length=1, max_length=16, json_schema_extra=atomic)
    ]
    """Conditions on the node's labels."""


class NodeSelector(Model):
    """Nodes that are possible: those for which one of the terms holds."""

    node_selector_terms: Annotated[
        tuple[NodeSelectorTerm, ...], Field(min_length=1, max_length=16, json_schema_extra=atomic)
    ]
    """The terms."""


class PreferredSchedulingTerm(Model):
    """Conditions that speak for a node."""

    weight: Annotated[int, Field(ge=1, le=100)]
    """How much they speak for it."""

    preference: NodeSelectorTerm


class NodeAffinity(Model):
    """Which nodes are possible, and which are preferred, as in a pod."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None

    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PreferredSchedulingTerm, ...], Field(max_length=16, json_schema_extra=atomic)] | None
    ) = None
    """Nodes that are preferred among them."""


class Affinity(Model):
    """Nodes that the training pod needs or prefers."""

    node_affinity: NodeAffinity | None = None


class LabelSelectorRequirement(Model):
    """A condition on one label of a pod."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """The label."""

    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How its value is compared."""

    values: (
        Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=32, json_schema_extra=atomic)]
        | None
    ) = None
    """What it is compared with; none for Exists and DoesNotExist."""


class LabelSelector(Model):
    """The pods that are counted: those for which all of this holds, such as a label that podTemplate.labels gives.

    Absent counts none.
    """

    match_labels: Labels | None = None
    """Labels that they have."""

    match_expressions: (
        Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=16, json_schema_extra=atomic)] | None
    ) = None
    """Conditions on their labels."""


class TopologySpreadConstraint(Model):
    """How evenly pods are spread over zones, racks or nodes, as in a pod."""

    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """By how many pods two topologies may differ."""

    topology_key: Annotated[str, Field(min_length=1, max_length=317)]
    """The label of nodes whose values are the topologies, such as topology.kubernetes.io/zone."""

    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """Whether the pod waits where this can't be kept to."""

    label_selector: LabelSelector | None = None


class PodTemplate(Model):
    """How the pods of the Jobs look, where they run and as whom."""

    model_config = rules(
        rule(
            "!has(self.labels) || self.labels.all(k, !k.startsWith('tweetmodel.dev/') && "
            "!k.startsWith('app.kubernetes.io/'))",
            "podTemplate.labels can't set tweetmodel.dev/… or app.kubernetes.io/…: the operator finds pods by them",
        ),
        rule(
            "!has(self.labels) || !('kueue.x-k8s.io/queue-name' in self.labels)",
            "podTemplate.labels can't set kueue.x-k8s.io/queue-name, which would queue collecting too: use queueName",
        ),
        rule(
            "!has(self.annotations) || self.annotations.all(k, !k.startsWith('tweetmodel.dev/'))",
            "podTemplate.annotations can't set tweetmodel.dev/…: the operator hands the pod its plan in them",
        ),
    )

    labels: Labels | None = None
    """More labels of all Jobs and their pods, such as kueue.x-k8s.io/priority-class."""

    annotations: (
        Annotated[
            dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=4096)]], Field(max_length=32)
        ]
        | None
    ) = None
    """More annotations of all Jobs and their pods, such as those by which Kueue knows a topology."""

    image: Annotated[str, Field(pattern=r"^\S+$", max_length=512)] | None = None
    """The trainer image of all pods, if the operator's administrator allows it; the chart's when absent."""

    image_pull_secrets: (
        Annotated[tuple[LocalReference, ...], Field(max_length=8, json_schema_extra=map_list("name"))] | None
    ) = None
    """Secrets by which all pods' images are pulled, besides those of the ServiceAccount."""

    service_account_name: ObjectName | None = None
    """ServiceAccount of all pods, if the operator's administrator allows it; `default` when absent."""

    node_selector: Labels | None = None
    """Labels of the nodes that the training pod may run on."""

    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16, json_schema_extra=atomic)] | None = None
    """Taints that the training pod tolerates."""

    affinity: Affinity | None = None

    topology_spread_constraints: (
        Annotated[
            tuple[TopologySpreadConstraint, ...],
            Field(max_length=8, json_schema_extra=map_list("topologyKey", "whenUnsatisfiable")),
        ]
        | None
    ) = None
    """How the training pod is spread beside others."""

    priority_class_name: ClassName | None = None
    """PriorityClass of the training pod."""

    scheduler_name: ClassName | None = None
    """Scheduler of the training pod; Kubernetes' own when absent."""

    runtime_class_name: ClassName | None = None
    """RuntimeClass of the training pod, such as nvidia."""

    cache_claim_name: ObjectName | None = None
    """A PersistentVolumeClaim that keeps what training pods fetch of base models, so that each is fetched once. Any
    number of pods may share it: its access mode is ReadWriteMany where they run on several nodes."""
