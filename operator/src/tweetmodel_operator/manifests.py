"""Builds the manifests of child objects: pure functions of the request and the administrator's settings.

The plan is an annotation of the pod template, which the kubelet mounts as /plan/plan.json. A step thus takes a single
object and a single write, leaves no other object behind, and needs no permission on ConfigMaps.
"""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tweetmodel_api import API_VERSION, KIND
from tweetmodel_api.credentials import Credential
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import PERMANENT_EXIT_CODES, ExitCode
from tweetmodel_api.steps import STEP_KINDS
from tweetmodel_operator import names
from tweetmodel_operator.children import JOB, ChildKind
from tweetmodel_operator.decision import ChildRequest, JobRequest
from tweetmodel_operator.limits import MAX_PURGE_SECONDS
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.pod_credentials import credentials_for_pod
from tweetmodel_operator.policy import is_device
from tweetmodel_operator.settings import Settings

USER_ID = 65532
"""User and group of the trainer image, without root privileges."""

CACHE_PATH = "/cache"

PURGE_TTL_SECONDS = 3600
"""TTL of the purge Job, which has no owner."""


def build_job(request: JobRequest, settings: Settings, progress_ca: str = "") -> JsonObject:
    """Return the Job for one attempt of a step.

    Args:
        request: purpose of the Job.
        settings: settings of the administrator.
        progress_ca: CA certificate (PEM) of the progress server; empty without live progress.
    """
    plan = request.plan
    is_purge = plan.step == "purge"
    queue = {names.QUEUE_LABEL: plan.spec.queue_name} if _uses_gpu(plan) and plan.spec.queue_name else {}
    metadata: JsonObject = {
        "name": request.name,
        "namespace": plan.namespace,
        "labels": _labels(request) | queue,
        "annotations": (request.pod_template.annotations or {})
        | {names.POD_TEMPLATE_HASH_ANNOTATION: request.pod_template_hash},
    }
    if not is_purge:  # a foreground deletion of the TweetModel would delete an owned purge Job first
        metadata["ownerReferences"] = [_owner_reference(request)]
    spec: JsonObject = {
        "backoffLimit": settings.backoff_limit,
        "activeDeadlineSeconds": MAX_PURGE_SECONDS if is_purge else settings.active_deadline_seconds,
        # The default starts the next pod while the last pod still uploads: two writers.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": pod_failure_policy(),
        "template": _build_pod_template(request, settings, progress_ca),
    }
    if queue:
        spec["suspend"] = True  # until Kueue admits the Job
    if is_purge:
        spec["ttlSecondsAfterFinished"] = PURGE_TTL_SECONDS
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


class Builder(NamedTuple):
    """Builder of the objects for a type of requests."""

    child: ChildKind
    build: Callable[[JobRequest, Settings, str], JsonObject]


BUILDERS: dict[type[ChildRequest], Builder] = {JobRequest: Builder(JOB, build_job)}


def _labels(request: JobRequest) -> dict[str, str]:
    plan = request.plan
    own = names.job_labels(plan.name, plan.step, request.step_id, request.attempt)
    return (request.pod_template.labels or {}) | own


def _uses_gpu(plan: Plan) -> bool:
    return STEP_KINDS[plan.step].uses_spec_resources


def _shares_memory(plan: Plan) -> bool:
    """Return whether GPUs exchange gradients: NCCL uses /dev/shm, only 64 MiB by default."""
    return STEP_KINDS[plan.step].trains and plan.spec.gpus > 1


def _loads_base_model(plan: Plan) -> bool:
    return STEP_KINDS[plan.step].trains and plan.initial_model is None and plan.spec.base_model.scratch is None


def _cache_claim(request: JobRequest) -> str | None:
    """Return the claim for the cache, mounted only by pods with a base model to load."""
    return request.pod_template.cache_claim_name if _loads_base_model(request.plan) else None


def _gpus(plan: Plan) -> int:
    """Return the number of GPUs of the pod; the sample step uses a single GPU."""
    kind = STEP_KINDS[plan.step]
    if not kind.uses_spec_resources:
        return 0
    return plan.spec.gpus if kind.trains else min(plan.spec.gpus, 1)


def _owner_reference(request: JobRequest) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": request.plan.name,
        "uid": request.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_failure_policy() -> JsonObject:
    """Return the podFailurePolicy: a permanent error fails the Job, and a requested termination is not counted.

    The first matching rule applies; other failures count against backoffLimit. The rule for exit code 143 is needed
    because a deleted pod has no DisruptionTarget condition (Kubernetes 1.34).
    """
    return {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {
                    "containerName": names.CONTAINER,
                    "operator": "In",
                    "values": [int(code) for code in PERMANENT_EXIT_CODES],
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


def _plan_of_pod(plan: Plan, settings: Settings) -> Plan:
    """Return the plan for the pod, without podTemplate: the annotations would count twice against 256 KiB."""
    excluded = settings.excluded_handles if STEP_KINDS[plan.step].reads_sources else ()
    spec = plan.spec.model_copy(update={"pod_template": None})
    return plan.model_copy(update={"excluded_accounts": excluded, "spec": spec})


def _build_pod_template(request: JobRequest, settings: Settings, progress_ca: str) -> JsonObject:
    plan, template = request.plan, request.pod_template
    has_progress = bool(settings.progress_url and progress_ca)
    plan_json = json.dumps(_plan_of_pod(plan, settings).to_json_object(), ensure_ascii=False, separators=(",", ":"))
    annotations = {**(template.annotations or {}), names.PLAN_ANNOTATION: plan_json}
    if has_progress:
        annotations[names.PROGRESS_CA_ANNOTATION] = progress_ca
    placement = _placement(request, settings) if _uses_gpu(plan) else settings.collect_placement
    spec: JsonObject = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": settings.termination_grace_seconds,
        "securityContext": _pod_security_context(request),
        "containers": [_container(request, settings, has_progress)],
        "volumes": _volumes(request, has_progress),
        **_identity(request, settings),
        **placement,
    }
    return {"metadata": {"labels": _labels(request), "annotations": annotations}, "spec": spec}


def _pod_security_context(request: JobRequest) -> JsonObject:
    context: JsonObject = {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if _cache_claim(request):  # the default changes the owner of all files of the volume at each start of a pod
        context["fsGroupChangePolicy"] = "OnRootMismatch"
    return context


def _container(request: JobRequest, settings: Settings, has_progress: bool) -> JsonObject:
    plan = request.plan
    args = [plan.step, "--plan", "/plan/plan.json", "--workdir", "/work"]
    if _cache_claim(request):
        args += ["--cache", CACHE_PATH]
    return {
        "name": names.CONTAINER,
        "image": request.pod_template.image or settings.trainer_image,
        "imagePullPolicy": settings.trainer_image_pull_policy,
        "args": args,
        "env": _environment(request, settings, has_progress),
        "resources": _resources(plan, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": _volume_mounts(request, has_progress),
    }


def _volume_mounts(request: JobRequest, has_progress: bool) -> list[JsonObject]:
    mounts: list[JsonObject] = [
        {"name": "plan", "mountPath": "/plan", "readOnly": True},
        {"name": "work", "mountPath": "/work"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    if _shares_memory(request.plan):
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    if _cache_claim(request):
        mounts.append({"name": "cache", "mountPath": CACHE_PATH})
    if has_progress:
        mounts.append({"name": "progress", "mountPath": "/var/run/tweetmodel", "readOnly": True})
    return mounts


def _environment(request: JobRequest, settings: Settings, has_progress: bool) -> list[JsonObject]:
    plan = request.plan
    env: list[JsonObject] = [
        {"name": "HOME", "value": "/work"},
        {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
    ]
    if not any(map(is_device, _resources(plan, settings).get("limits", {}))):
        # Some container runtimes expose all GPUs of the node to every pod.
        env.append({"name": "CUDA_VISIBLE_DEVICES", "value": ""})
    env += map(dict, settings.trainer_env)
    credentials = credentials_for_pod(
        plan.step, plan.spec, publish=plan.publish, loads_base_model=_loads_base_model(plan)
    )
    env += [_secret_variable(credential, secret) for credential, secret in credentials]
    if has_progress:  # variable names of Kubeflow Trainer's progress protocol
        path = f"/namespaces/{plan.namespace}/tweetmodels/{plan.name}/status"
        env += [
            {"name": "KUBEFLOW_TRAINER_SERVER_URL", "value": settings.progress_url.rstrip("/") + path},
            {"name": "KUBEFLOW_TRAINER_SERVER_CA_CERT", "value": "/var/run/tweetmodel/ca.crt"},
            {"name": "KUBEFLOW_TRAINER_SERVER_TOKEN", "value": "/var/run/tweetmodel/token"},
        ]
    return env


def _secret_variable(credential: Credential, secret: str) -> JsonObject:
    optional = {"optional": True} if credential.optional else {}
    reference = {"name": secret, "key": credential.key, **optional}
    return {"name": credential.variable, "valueFrom": {"secretKeyRef": reference}}


def _volumes(request: JobRequest, has_progress: bool) -> list[JsonObject]:
    volumes: list[JsonObject] = [
        {"name": "plan", "downwardAPI": {"items": [_file_from_annotation("plan.json", names.PLAN_ANNOTATION)]}},
        {"name": "work", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if _shares_memory(request.plan):
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}})
    if claim := _cache_claim(request):
        volumes.append({"name": "cache", "persistentVolumeClaim": {"claimName": claim}})
    if has_progress:
        token = {"audience": names.AUDIENCE, "expirationSeconds": 3600, "path": "token"}
        ca = {"items": [_file_from_annotation("ca.crt", names.PROGRESS_CA_ANNOTATION)]}
        sources = [{"serviceAccountToken": token}, {"downwardAPI": ca}]
        volumes.append({"name": "progress", "projected": {"sources": sources}})
    return volumes


def _file_from_annotation(path: str, annotation: str) -> JsonObject:
    return {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}


def _resources(plan: Plan, settings: Settings) -> JsonObject:
    spec = plan.spec
    if not _uses_gpu(plan):
        return _with_text_quantities(settings.collect_resources)
    chosen = spec.resources.model_dump(exclude_none=True) if spec.resources else settings.train_resources
    resources = _with_text_quantities(chosen)
    if gpus := _gpus(plan):  # for an extended resource the limit is sufficient: the request equals the limit
        resources.setdefault("limits", {})[settings.gpu_resource] = str(gpus)
    return resources


def _with_text_quantities(resources: Mapping[str, Mapping[str, object]]) -> JsonObject:
    return {kind: {name: str(quantity) for name, quantity in amounts.items()} for kind, amounts in resources.items()}


def _identity(request: JobRequest, settings: Settings) -> JsonObject:
    """Return ServiceAccount and image pull Secrets of the pod."""
    template = request.pod_template
    own_secrets = (reference.name for reference in template.image_pull_secrets or ())
    secrets = dict.fromkeys([*settings.trainer_image_pull_secrets, *own_secrets])
    identity: JsonObject = {}
    if template.service_account_name:
        identity["serviceAccountName"] = template.service_account_name
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


def _placement(request: JobRequest, settings: Settings) -> JsonObject:
    """Return the placement of a pod with GPUs: fields of the TweetModel replace the administrator's fields."""
    own = request.pod_template.model_dump(mode="json", by_alias=True, exclude_none=True, include=_PLACEMENT)
    return {**settings.train_placement, **own}
