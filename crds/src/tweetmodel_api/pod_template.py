"""Fields of the pods that a user may set: placement, identity and metadata, by their names in core/v1.

Fields that could replace the trainer are left out on purpose: command, volumes other than the cache, and host paths.
"""

from typing import Annotated, Literal

from pydantic import Field

from tweetmodel_api.fields import (
    LocalReference,
    Model,
    ObjectName,
    cel_rule,
    list_type_atomic,
    list_type_map,
    with_cel_rules,
)

Labels = Annotated[
    dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=63)]], Field(max_length=32)
]

ClassName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class Toleration(Model):
    """Allows the pod on nodes with a matching taint, as in a pod."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """Key of the taint. Without a key, the operator Exists matches all taints."""

    operator: Literal["Equal", "Exists"] | None = None
    """Comparison of the value; default Equal."""

    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint, for Equal."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; default: all effects."""

    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Seconds for which a NoExecute taint is tolerated."""


class NodeSelectorRequirement(Model):
    """A requirement on one label of a node."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """Key of the label."""

    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """Comparison of the value."""

    values: (
        Annotated[
            tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=32, json_schema_extra=list_type_atomic)
        ]
        | None
    ) = None
    """Values to compare with: none for Exists and DoesNotExist, one for Gt and Lt."""


class NodeSelectorTerm(Model):
    """Requirements that must all be met."""

    match_expressions: Annotated[
        tuple[NodeSelectorRequirement, ...], Field(min_length=1, max_length=16, json_schema_extra=list_type_atomic)
    ]
    """Requirements on the labels of the node."""


class NodeSelector(Model):
    """Selects the nodes that match at least one of the terms."""

    node_selector_terms: Annotated[
        tuple[NodeSelectorTerm, ...], Field(min_length=1, max_length=16, json_schema_extra=list_type_atomic)
    ]
    """Terms, of which one must match."""


class PreferredSchedulingTerm(Model):
    """A preference for some nodes."""

    weight: Annotated[int, Field(ge=1, le=100)]
    """Weight of the preference."""

    preference: NodeSelectorTerm


class NodeAffinity(Model):
    """Required and preferred nodes, as in a pod."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None

    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PreferredSchedulingTerm, ...], Field(max_length=16, json_schema_extra=list_type_atomic)] | None
    ) = None
    """Preferences among the possible nodes."""


class Affinity(Model):
    """Node affinity of train and sample pods."""

    node_affinity: NodeAffinity | None = None


class LabelSelectorRequirement(Model):
    """A requirement on one label of a pod."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """Key of the label."""

    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """Comparison of the value."""

    values: (
        Annotated[
            tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=32, json_schema_extra=list_type_atomic)
        ]
        | None
    ) = None
    """Values to compare with: none for Exists and DoesNotExist."""


class LabelSelector(Model):
    """Selects the pods to count, for example by a label of podTemplate.labels; without a selector no pod counts."""

    match_labels: Labels | None = None
    """Required labels of the pods."""

    match_expressions: (
        Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=16, json_schema_extra=list_type_atomic)] | None
    ) = None
    """Requirements on the labels of the pods."""


class TopologySpreadConstraint(Model):
    """Spreads pods over zones, racks or nodes, as in a pod."""

    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Maximum difference of the number of pods between two topology domains."""

    topology_key: Annotated[str, Field(min_length=1, max_length=317)]
    """Node label whose values are the topology domains, such as topology.kubernetes.io/zone."""

    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """DoNotSchedule keeps the pod pending while the constraint can't be met; ScheduleAnyway does not."""

    label_selector: LabelSelector | None = None


class PodTemplate(Model):
    """Metadata, placement and identity of the pods of the Jobs."""

    model_config = with_cel_rules(
        cel_rule(
            "!has(self.labels) || self.labels.all(k, !k.startsWith('tweetmodel.dev/') && "
            "!k.startsWith('app.kubernetes.io/'))",
            "podTemplate.labels can't set tweetmodel.dev/… or app.kubernetes.io/… (the operator selects pods by these "
            "labels): remove them",
        ),
        cel_rule(
            "!has(self.labels) || !('kueue.x-k8s.io/queue-name' in self.labels)",
            "podTemplate.labels can't set kueue.x-k8s.io/queue-name (collect Jobs would be queued too): use queueName",
        ),
        cel_rule(
            "!has(self.annotations) || self.annotations.all(k, !k.startsWith('tweetmodel.dev/'))",
            "podTemplate.annotations can't set tweetmodel.dev/…: the operator passes the plan to the pod in "
            "these annotations",
        ),
    )

    labels: Labels | None = None
    """Additional labels of all Jobs and their pods, such as kueue.x-k8s.io/priority-class."""

    annotations: (
        Annotated[
            dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=4096)]], Field(max_length=32)
        ]
        | None
    ) = None
    """Additional annotations of all Jobs and their pods, such as those of Kueue's topology-aware scheduling."""

    image: Annotated[str, Field(pattern=r"^\S+$", max_length=512)] | None = None
    """Trainer image of all pods, if the operator's administrator allows the image; default: the image of the chart."""

    image_pull_secrets: (
        Annotated[tuple[LocalReference, ...], Field(max_length=8, json_schema_extra=list_type_map("name"))] | None
    ) = None
    """Image pull Secrets of all pods, in addition to those of the ServiceAccount."""

    service_account_name: ObjectName | None = None
    """ServiceAccount of all pods, if the operator's administrator allows the account; default: `default`."""

    node_selector: Labels | None = None
    """Required labels of the nodes of train and sample pods."""

    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16, json_schema_extra=list_type_atomic)] | None = (
        None
    )
    """Tolerations of train and sample pods."""

    affinity: Affinity | None = None

    topology_spread_constraints: (
        Annotated[
            tuple[TopologySpreadConstraint, ...],
            Field(max_length=8, json_schema_extra=list_type_map("topologyKey", "whenUnsatisfiable")),
        ]
        | None
    ) = None
    """Topology spread constraints of train and sample pods."""

    priority_class_name: ClassName | None = None
    """PriorityClass of train and sample pods."""

    scheduler_name: ClassName | None = None
    """Scheduler of train and sample pods; default: the default scheduler of the cluster."""

    runtime_class_name: ClassName | None = None
    """RuntimeClass of train and sample pods, such as nvidia."""

    cache_claim_name: ObjectName | None = None
    """PersistentVolumeClaim for a cache of base models, so that each base model is downloaded once. Any number of pods
    may share the claim; with pods on several nodes the claim needs the access mode ReadWriteMany."""
