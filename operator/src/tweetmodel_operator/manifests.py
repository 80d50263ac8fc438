"""What a Job looks like: a pure function of the request and the administrator's settings.

The plan rides in an annotation of the pod template, which the kubelet mounts as /plan/plan.json: one
object and one write per stage, nothing to leave behind, and no right on ConfigMaps.
"""

import json
from collections.abc import Mapping
from typing import Any

from tweetmodel_api import API_VERSION, KIND, credentials
from tweetmodel_api.credentials import Credential, SecretKeys
from tweetmodel_api.plan import Plan
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.reasons import PERMANENT, ExitCode
from tweetmodel_operator import names
from tweetmodel_operator.decide.deletion import PURGE_SECONDS
from tweetmodel_operator.policy import is_of_a_device
from tweetmodel_operator.settings import Settings
from tweetmodel_operator.state import JobRequest

JsonObject = dict[str, Any]

USER = 65532
"""Uid and gid of the trainer image's user: no root, no name needed."""


CACHE = "/cache"

PURGE_TTL_SECONDS = 3600
"""Of the one Job that nobody owns."""


def job(request: JobRequest, settings: Settings, progress_ca: str = "") -> JsonObject:
    """The Job for one attempt at one stage.

    Args:
        request: what it is for.
        settings: the administrator's.
        progress_ca: certificate, PEM, by which pods know the progress server; empty: no live progress.
    """
    plan, chosen = request.plan, request.plan.spec.pod_template or PodTemplate()
    purge = plan.step == "purge"
    queue = {names.QUEUE: plan.spec.queue_name} if _trains(plan) and plan.spec.queue_name else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": request.name,
            "namespace": plan.namespace,
            "labels": _labels(request, chosen) | queue,
            "annotations": (chosen.annotations or {}) | {names.POD_TEMPLATE_HASH: request.inputs},
            # A purge without: whoever deletes the TweetModel in the foreground would delete its Jobs first.
            **({} if purge else {"ownerReferences": [_owner(request)]}),
        },
        "spec": {
            **({"suspend": True} if queue else {}),  # until Kueue has room
            **({"ttlSecondsAfterFinished": PURGE_TTL_SECONDS} if purge else {}),
            "backoffLimit": settings.backoff_limit,
            "activeDeadlineSeconds": PURGE_SECONDS if purge else settings.active_deadline_seconds,
            # The default starts the next pod while the last one still uploads: two writers.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": pod_failure_policy(),
            "template": _pod_template(request, chosen, settings, progress_ca),
        },
    }


def _labels(request: JobRequest, chosen: PodTemplate) -> dict[str, str]:
    """Of a Job and its pods."""
    ours = names.job_labels(request.plan.name, request.plan.step, request.id, request.attempt)
    return (chosen.labels or {}) | ours


def _trains(plan: Plan) -> bool:
    return plan.step == "train" and not plan.report_only


def _shares_memory(plan: Plan) -> bool:
    """Whether GPUs exchange gradients: NCCL does so by /dev/shm, where a container has 64 MiB."""
    return _trains(plan) and plan.spec.gpus > 1


def _fetches_base(plan: Plan) -> bool:
    return _trains(plan) and plan.initial_model is None and plan.spec.base_model.scratch is None


def _cache_claim(plan: Plan) -> str | None:
    """The claim that the pod's cache is in: only one that fetches a base model waits for a volume."""
    template = plan.spec.pod_template
    return template.cache_claim_name if template and _fetches_base(plan) else None


def _owner(request: JobRequest) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": request.plan.name,
        "uid": request.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_failure_policy() -> JsonObject:
    """First match wins: permanent errors end the Job, a stop that was asked for costs no retry, the rest counts.

    A pod that is deleted carries no DisruptionTarget (kubernetes 1.34), hence the rule for its exit code.
    """
    return {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {
                    "containerName": names.CONTAINER,
                    "operator": "In",
                    "values": [int(code) for code in PERMANENT],
                },
            },
            {
                "action": "Ignore",
                "onExitCodes": {
                    "containerName": names.CONTAINER,
                    "operator": "In",
                    "values": [int(ExitCode.INTERRUPTED)],
                },
            },
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def _told(plan: Plan, settings: Settings) -> Plan:
    """What a pod is told: all but podTemplate, whose annotations would count twice against the 256 KiB for all."""
    barred = settings.barred if plan.step == "collect" else ()
    return plan.model_copy(
        update={"excluded_accounts": barred, "spec": plan.spec.model_copy(update={"pod_template": None})}
    )


def _pod_template(request: JobRequest, chosen: PodTemplate, settings: Settings, progress_ca: str) -> JsonObject:
    plan = request.plan
    live = bool(settings.progress_url and progress_ca)
    annotations = {
        **(chosen.annotations or {}),
        names.PLAN: json.dumps(_told(plan, settings).to_json_object(), ensure_ascii=False, separators=(",", ":")),
    }
    if live:
        annotations[names.PROGRESS_CA] = progress_ca
    spec: JsonObject = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": settings.termination_grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            # The default goes through all files of a volume each time a pod starts.
            **({"fsGroupChangePolicy": "OnRootMismatch"} if _cache_claim(plan) else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(request, settings, live)],
        "volumes": _volumes(plan, live),
        **_identity(chosen, settings),
        **(_placement(chosen, settings) if _trains(plan) else settings.collect_placement),
    }
    return {
        "metadata": {"labels": _labels(request, chosen), "annotations": annotations},
        "spec": spec,
    }


def _container(request: JobRequest, settings: Settings, live: bool) -> JsonObject:
    plan = request.plan
    mounts = [
        {"name": "plan", "mountPath": "/plan", "readOnly": True},
        {"name": "work", "mountPath": "/work"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    if _shares_memory(plan):
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    if _cache_claim(plan):
        mounts.append({"name": "cache", "mountPath": CACHE})
    if live:
        mounts.append({"name": "progress", "mountPath": "/var/run/tweetmodel", "readOnly": True})
    return {
        "name": names.CONTAINER,
        "image": (plan.spec.pod_template and plan.spec.pod_template.image) or settings.trainer_image,
        "imagePullPolicy": settings.trainer_image_pull_policy,
        "args": [
            *(plan.step, "--plan", "/plan/plan.json", "--workdir", "/work"),
            *(("--cache", CACHE) if _cache_claim(plan) else ()),
        ],
        "env": _environment(request, settings, live),
        "resources": _resources(plan, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _environment(request: JobRequest, settings: Settings, live: bool) -> list[JsonObject]:
    plan = request.plan
    env: list[JsonObject] = [
        {"name": "HOME", "value": "/work"},
        {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        # A GPU that a runtime shows to every pod is not its own.
        *([] if _has_a_device(plan, settings) else [{"name": "CUDA_VISIBLE_DEVICES", "value": ""}]),
        *map(dict, settings.trainer_env),
    ]
    env += [_key(credential, secret) for credential, secret in _credentials(plan)]
    if live:  # the names that Kubeflow Trainer's progress protocol has for them
        path = f"/namespaces/{plan.namespace}/tweetmodels/{plan.name}/status"
        env += [
            {"name": "KUBEFLOW_TRAINER_SERVER_URL", "value": settings.progress_url.rstrip("/") + path},
            {"name": "KUBEFLOW_TRAINER_SERVER_CA_CERT", "value": "/var/run/tweetmodel/ca.crt"},
            {"name": "KUBEFLOW_TRAINER_SERVER_TOKEN", "value": "/var/run/tweetmodel/token"},
        ]
    return env


def _credentials(plan: Plan) -> SecretKeys:
    """What a pod may read and write with: no key but those it needs."""
    spec = plan.spec
    if spec.storage.secret_ref:
        yield from ((credential, spec.storage.secret_ref.name) for credential in credentials.STORAGE)
    if plan.step == "train" and spec.publish:
        yield credentials.PUBLISH, spec.publish.hugging_face.secret_ref.name
    if _fetches_base(plan) and spec.base_model.hub and spec.base_model.hub.secret_ref:
        yield credentials.BASE_MODEL, spec.base_model.hub.secret_ref.name
    if _trains(plan) and spec.report_to:
        yield from credentials.of_trackers(spec.report_to)
    if plan.step == "collect":
        for source in spec.sources:
            yield from credentials.of_source(source)


def _key(credential: Credential, secret: str) -> JsonObject:
    """A credential as a container has it."""
    optional = {"optional": True} if credential.optional else {}
    reference = {"name": secret, "key": credential.key, **optional}
    return {"name": credential.variable, "valueFrom": {"secretKeyRef": reference}}


def _volumes(plan: Plan, live: bool) -> list[JsonObject]:
    volumes: list[JsonObject] = [
        {"name": "plan", "downwardAPI": {"items": [_from_annotation("plan.json", names.PLAN)]}},
        {"name": "work", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if _shares_memory(plan):
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}})
    if claim := _cache_claim(plan):
        volumes.append({"name": "cache", "persistentVolumeClaim": {"claimName": claim}})
    if live:
        token = {"audience": names.AUDIENCE, "expirationSeconds": 3600, "path": "token"}
        ca = {"items": [_from_annotation("ca.crt", names.PROGRESS_CA)]}
        sources = [{"serviceAccountToken": token}, {"downwardAPI": ca}]
        volumes.append({"name": "progress", "projected": {"sources": sources}})
    return volumes


def _from_annotation(path: str, annotation: str) -> JsonObject:
    return {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}


def _resources(plan: Plan, settings: Settings) -> JsonObject:
    spec = plan.spec
    if not _trains(plan):
        return _plain(settings.collect_resources)
    chosen = spec.resources.model_dump(exclude_none=True) if spec.resources else settings.train_resources
    resources = _plain(chosen)
    if spec.gpus:  # an extended resource is asked for by its limit; requests then equal it
        resources.setdefault("limits", {})[settings.gpu_resource] = str(spec.gpus)
    return resources


def _has_a_device(plan: Plan, settings: Settings) -> bool:
    return any(map(is_of_a_device, _resources(plan, settings).get("limits", {})))


def _plain(resources: Mapping[str, Mapping[str, object]]) -> JsonObject:
    return {kind: {name: str(quantity) for name, quantity in amounts.items()} for kind, amounts in resources.items()}


def _identity(chosen: PodTemplate, settings: Settings) -> JsonObject:
    """As whom a pod of either stage runs, and as whom its image is pulled."""
    secrets = dict.fromkeys([*settings.trainer_image_pull_secrets, *(s.name for s in chosen.image_pull_secrets or ())])
    identity: JsonObject = {}
    if chosen.service_account_name:
        identity["serviceAccountName"] = chosen.service_account_name
    if secrets:
        identity["imagePullSecrets"] = [{"name": name} for name in secrets]
    return identity


_PLACEMENT = {
    "node_selector",
    "tolerations",
    "affinity",
    "topology_spread_constraints",
    "priority_class_name",
    "scheduler_name",
    "runtime_class_name",
}


def _placement(chosen: PodTemplate, settings: Settings) -> JsonObject:
    """Where a training pod runs: what the TweetModel says, else what the administrator does."""
    said = chosen.model_dump(mode="json", by_alias=True, exclude_none=True, include=_PLACEMENT)
    return {**settings.train_placement, **said}
