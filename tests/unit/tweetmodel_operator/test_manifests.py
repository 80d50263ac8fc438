"""Manifests of Jobs: resources, placement, identity, credentials and metadata of the pods."""

from dataclasses import replace
from typing import Any

import pytest

from golden_files import GPT2, POD_TEMPLATE, SETTINGS
from makers import job_request, spec
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import PERMANENT_EXIT_CODES, REASONS, ExitCode
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import ModelReference
from tweetmodel_api.steps import STEP_KINDS
from tweetmodel_operator import names
from tweetmodel_operator.decision import JobRequest
from tweetmodel_operator.limits import MAX_PURGE_SECONDS
from tweetmodel_operator.manifests import PURGE_TTL_SECONDS, build_job, pod_failure_policy
from tweetmodel_operator.settings import Settings

FULL = spec(podTemplate=POD_TEMPLATE, queueName="gpus", baseModel=GPT2)
HUB = {"huggingFace": {"secretRef": {"name": "hub"}}}
WARM = ModelReference(uri="s3://bucket/model", digest="e" * 64)


def built(step: str, of: TweetModelSpec | None = None, settings: Settings = SETTINGS, ca: str = "CA") -> dict[str, Any]:
    return build_job(job_request(step, of or spec()), settings, ca)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of the pod template."""
    return job["spec"]["template"]["spec"]


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod_of(job)["containers"]
    return container


def secret_keys(job: dict[str, Any], secret: str = "") -> dict[str, dict[str, Any]]:
    """Return the references to keys of a Secret, or of all Secrets, by variable."""
    sources = {variable["name"]: variable.get("valueFrom", {}) for variable in container_of(job)["env"]}
    references = {name: source["secretKeyRef"] for name, source in sources.items() if "secretKeyRef" in source}
    return {name: reference for name, reference in references.items() if secret in ("", reference["name"])}


# Resources and placement


@pytest.mark.parametrize(
    ("step", "gpus", "expected"),
    [
        ("train", 4, "4"),
        ("train", 0, None),
        ("sample", 4, "1"),
        ("sample", 0, None),
        ("collect", 4, None),
        ("publish", 4, None),
        ("purge", 4, None),
    ],
)
def test_only_train_and_sample_pods_request_gpus(step: str, gpus: int, expected: str | None) -> None:
    job = built(step, spec(gpus=gpus, training={"globalBatchSize": 4}))
    assert container_of(job)["resources"].get("limits", {}).get("nvidia.com/gpu") == expected


def test_a_publish_pod_needs_no_gpu_and_no_queue() -> None:
    job = built("publish", spec(queueName="gpus", publish=HUB, podTemplate=POD_TEMPLATE))
    assert container_of(job)["resources"] == SETTINGS.collect_resources
    assert "HF_TOKEN" in secret_keys(job)
    assert "nodeSelector" not in pod_of(job)
    assert names.QUEUE_LABEL not in job["metadata"]["labels"]


def test_a_sample_pod_waits_in_the_queue_for_one_gpu() -> None:
    of = spec(queueName="gpus", gpus=4, training={"globalBatchSize": 4}, podTemplate=POD_TEMPLATE)
    job = built("sample", of)
    assert container_of(job)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert (pod_of(job)["nodeSelector"], job["metadata"]["labels"][names.QUEUE_LABEL]) == ({"gpu": "h200"}, "gpus")
    assert "/dev/shm" not in [mount["mountPath"] for mount in container_of(job)["volumeMounts"]]


@pytest.mark.parametrize(("gpus", "is_mounted"), [(2, True), (1, False)])
def test_gpus_that_exchange_gradients_have_shared_memory(gpus: int, is_mounted: bool) -> None:
    job = built("train", spec(gpus=gpus, training={"globalBatchSize": 2}))
    mounts = container_of(job)["volumeMounts"]
    assert {volume["name"] for volume in pod_of(job)["volumes"]} == {mount["name"] for mount in mounts}
    assert ("/dev/shm" in [mount["mountPath"] for mount in mounts]) is is_mounted


@pytest.mark.parametrize(
    ("request_of_job", "is_mounted"),
    [
        (job_request("train", FULL), True),
        (job_request("collect", FULL), False),
        (job_request("sample", FULL), False),
        (job_request("publish", FULL), False),
        (job_request("train", FULL, initial_model=WARM), False),
        (job_request("train", spec(podTemplate=POD_TEMPLATE)), False),
        (job_request("train", FULL.model_copy(update={"pod_template": None})), False),
    ],
    ids=["train", "collect", "sample", "publish", "warm-start", "from-scratch", "without-claim"],
)
def test_the_cache_is_mounted_only_by_pods_that_load_a_base_model(request_of_job: JobRequest, is_mounted: bool) -> None:
    job = build_job(request_of_job, SETTINGS)
    claims = [volume for volume in pod_of(job)["volumes"] if "persistentVolumeClaim" in volume]
    paths = [mount["mountPath"] for mount in container_of(job)["volumeMounts"] if mount["name"] == "cache"]
    assert paths == container_of(job)["args"][6:] == ["/cache"] * len(claims)
    assert bool(claims) is is_mounted


@pytest.mark.parametrize(
    ("fields", "is_hidden"),
    [
        ({"gpus": 1}, False),
        ({"gpus": 0, "resources": {"limits": {"nvidia.com/mig-1g.10gb": 1}}}, False),
        ({"gpus": 0}, True),
    ],
    ids=["gpu", "gpu-partition", "cpu"],
)
def test_gpus_are_hidden_from_pods_that_request_none(fields: dict[str, Any], is_hidden: bool) -> None:
    hidden = {"name": "CUDA_VISIBLE_DEVICES", "value": ""}
    assert (hidden in container_of(built("train", spec(**fields)))["env"]) is is_hidden


def test_resources_of_the_spec_replace_those_of_the_administrator() -> None:
    job = built("train", spec(resources={"requests": {"cpu": 2}}, gpus=0))
    assert container_of(job)["resources"] == {"requests": {"cpu": "2"}}


def test_the_placement_of_the_spec_applies_to_pods_with_a_gpu_only() -> None:
    pods = {step: built(step, spec(podTemplate=POD_TEMPLATE))["spec"]["template"] for step in ("collect", "train")}
    scheduling = {"nodeSelector", "tolerations", "affinity", "priorityClassName", "schedulerName", "runtimeClassName"}
    scheduling.add("topologySpreadConstraints")
    assert scheduling <= pods["train"]["spec"].keys()
    assert not scheduling & pods["collect"]["spec"].keys()
    for pod in pods.values():
        assert pod["spec"]["serviceAccountName"] == "trainer"
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["metadata"]["labels"]["team"] == "voices"


def test_the_placement_of_the_spec_replaces_that_of_the_administrator() -> None:
    settings = replace(
        SETTINGS,
        collect_placement={"nodeSelector": {"pool": "cpu"}},
        train_placement={"nodeSelector": {"pool": "gpu"}, "schedulerName": "bin-packer"},
    )
    of = spec(podTemplate={"nodeSelector": {"gpu": "h200"}})
    train, collect = (pod_of(built(step, of, settings)) for step in ("train", "collect"))
    assert (train["nodeSelector"], train["schedulerName"]) == ({"gpu": "h200"}, "bin-packer")
    assert collect["nodeSelector"] == {"pool": "cpu"}


def test_a_queue_suspends_the_training_job_only() -> None:
    collect, train = (built(step, spec(queueName="gpus")) for step in ("collect", "train"))
    assert train["metadata"]["labels"][names.QUEUE_LABEL] == "gpus"
    assert train["spec"]["suspend"] is True
    assert names.QUEUE_LABEL not in collect["metadata"]["labels"]
    assert "suspend" not in collect["spec"]


# Metadata


@pytest.mark.parametrize("step", ["collect", "train"])
def test_pods_have_the_environment_and_pull_secrets_of_the_administrator(step: str) -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    settings = replace(SETTINGS, trainer_env=(proxy,), trainer_image_pull_secrets=("company", "registry"))
    job = built(step, spec(podTemplate={"imagePullSecrets": [{"name": "registry"}]}), settings)
    assert proxy in container_of(job)["env"]
    assert pod_of(job)["imagePullSecrets"] == [{"name": "company"}, {"name": "registry"}]


@pytest.mark.parametrize("step", ["collect", "train"])
def test_a_job_has_the_labels_and_annotations_of_its_pods(step: str) -> None:
    """Kueue reads kueue.x-k8s.io/priority-class on the Job."""
    labels = {"kueue.x-k8s.io/priority-class": "low"}
    job = built(step, spec(podTemplate={"labels": labels, "annotations": {"who": "ada"}}))
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert labels.items() <= metadata["labels"].items()
        assert metadata["annotations"]["who"] == "ada"


def test_labels_and_annotations_of_the_operator_can_not_be_replaced() -> None:
    template = {
        "labels": {names.NAME_LABEL: "other", names.STEP_LABEL: "collect", names.QUEUE_LABEL: "other"},
        "annotations": {names.POD_TEMPLATE_HASH_ANNOTATION: "other", names.PLAN_ANNOTATION: "other"},
    }
    plain, job = (built("train", spec(queueName="gpus", **more)) for more in ({}, {"podTemplate": template}))
    metadata = job["spec"]["template"]["metadata"]
    assert job["metadata"]["labels"] == plain["metadata"]["labels"]
    assert job["metadata"]["annotations"][names.POD_TEMPLATE_HASH_ANNOTATION] != "other"
    assert metadata["annotations"][names.PLAN_ANNOTATION] != "other"
    assert plain["spec"]["template"]["metadata"]["labels"].items() <= metadata["labels"].items()


def test_the_largest_allowed_annotations_leave_room_for_the_plan() -> None:
    largest = {f"team.example/{number}": "x" * 4096 for number in range(32)}
    job = built("train", spec(podTemplate={"annotations": largest}))
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert largest.items() <= annotations.items()
    assert sum(len(key) + len(value) for key, value in annotations.items()) < 256 * 1024


# The Job


def test_every_permanent_exit_code_fails_the_job_and_no_temporary_one() -> None:
    (fail, stopped, disrupted) = pod_failure_policy()["rules"]
    failing = set(fail["onExitCodes"]["values"])
    assert failing == {int(code) for code in PERMANENT_EXIT_CODES}
    assert not failing & {int(ExitCode.TEMPORARY), int(ExitCode.BUG), int(ExitCode.INTERRUPTED)}
    assert (stopped["action"], disrupted["action"]) == ("Ignore", "Ignore")
    assert {info.exit_code for info in REASONS.values() if info.exit_code} == {code for code in ExitCode if code}


def test_a_purge_has_no_owner_and_limits_of_its_own() -> None:
    purge, train = built("purge"), built("train")
    assert "ownerReferences" not in purge["metadata"]
    assert purge["spec"]["activeDeadlineSeconds"] == MAX_PURGE_SECONDS
    assert purge["spec"]["ttlSecondsAfterFinished"] == PURGE_TTL_SECONDS
    assert train["metadata"]["ownerReferences"][0]["controller"] is True
    assert train["spec"]["activeDeadlineSeconds"] == SETTINGS.active_deadline_seconds
    assert "ttlSecondsAfterFinished" not in train["spec"]


@pytest.mark.parametrize("step", STEP_KINDS)
def test_pods_keep_to_the_restricted_pod_security_standard(step: str) -> None:
    pod = pod_of(built(step))
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"downwardAPI", "emptyDir", "projected"}


# Tokens and credentials


@pytest.mark.parametrize("step", STEP_KINDS)
def test_a_pod_gets_no_token_for_the_api_server(step: str) -> None:
    pod = pod_of(built(step))
    assert pod["automountServiceAccountToken"] is False
    audiences = [
        source["serviceAccountToken"]["audience"]
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    assert audiences == [names.AUDIENCE]


@pytest.mark.parametrize(
    ("settings", "ca"), [(replace(SETTINGS, progress_url=""), "CA"), (SETTINGS, "")], ids=["without-url", "without-ca"]
)
def test_without_a_progress_server_a_pod_gets_no_token(settings: Settings, ca: str) -> None:
    job = built("train", settings=settings, ca=ca)
    assert not any("projected" in volume for volume in pod_of(job)["volumes"])
    assert not any(variable["name"].startswith("KUBEFLOW") for variable in container_of(job)["env"])


def test_credentials_are_passed_by_reference() -> None:
    assert secret_keys(built("train"))["AWS_ACCESS_KEY_ID"] == {"name": "s3", "key": "accessKeyID"}


def test_only_the_train_pod_gets_the_hub_token_of_the_training() -> None:
    publishing = spec(publish=HUB)
    assert secret_keys(built("train", publishing), "hub") == {"HF_TOKEN": {"name": "hub", "key": "token"}}
    assert secret_keys(built("collect", publishing), "hub") == {}


def test_a_publish_pod_that_only_reports_gets_no_hub_token() -> None:
    pinned = job_request("publish", spec(publish=HUB), publish=False)
    assert "HF_TOKEN" not in secret_keys(build_job(pinned, SETTINGS))


@pytest.mark.parametrize("step", STEP_KINDS)
def test_only_the_pod_that_loads_the_base_model_gets_its_token(step: str) -> None:
    gated = spec(baseModel={"hub": {"name": "ada/gated", "secretRef": {"name": "them"}}})
    expected = {"BASE_MODEL_TOKEN": {"name": "them", "key": "token"}} if step == "train" else {}
    assert secret_keys(built(step, gated), "them") == expected


def test_only_the_train_pod_gets_the_keys_of_trackers() -> None:
    secret = {"secretRef": {"name": "them"}}
    trackers = {
        "wandb": secret,
        "mlflow": {"trackingURI": "http://mlflow:5000", **secret},
        "trackio": {"space": "ada/trackio", **secret},
        "tensorBoard": {},
    }
    assert secret_keys(built("train", spec(reportTo=trackers)), "them") == {
        "WANDB_API_KEY": {"name": "them", "key": "apiKey"},
        "MLFLOW_TRACKING_USERNAME": {"name": "them", "key": "username", "optional": True},
        "MLFLOW_TRACKING_PASSWORD": {"name": "them", "key": "password", "optional": True},
        "MLFLOW_TRACKING_TOKEN": {"name": "them", "key": "token", "optional": True},
        "TRACKIO_TOKEN": {"name": "them", "key": "token"},
    }
    assert secret_keys(built("collect", spec(reportTo=trackers)), "them") == {}


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"xAPI": {"secretRef": {"name": "them"}, "budgetUSD": "5"}}, "bearerToken"),
        ({"huggingFace": {"dataset": "ada/tweets", "secretRef": {"name": "them"}}}, "token"),
    ],
    ids=["x-api", "hub"],
)
def test_only_the_collect_pod_gets_the_token_of_a_source(source: dict[str, Any], key: str) -> None:
    of = spec(sources=[{"handle": "ada", **source}])
    assert secret_keys(built("collect", of), "them") == {"SOURCE_TOKEN_ada": {"name": "them", "key": key}}
    assert secret_keys(built("train", of), "them") == {}


# The plan


def plan_in(job: dict[str, Any]) -> Plan:
    return Plan.model_validate_json(job["spec"]["template"]["metadata"]["annotations"][names.PLAN_ANNOTATION])


def test_the_trainer_can_read_the_plan() -> None:
    assert plan_in(built("train")) == job_request("train", spec()).plan


def test_the_plan_does_not_repeat_the_pod_template() -> None:
    assert plan_in(built("train", FULL)).spec == FULL.model_copy(update={"pod_template": None})


def test_only_the_collect_pod_receives_the_accounts_that_the_administrator_excludes() -> None:
    settings = replace(SETTINGS, excluded_accounts=("@Bob", "eve"))
    assert plan_in(built("collect", settings=settings)).excluded_accounts == ("bob", "eve")
    assert plan_in(built("train", settings=settings)).excluded_accounts == ()
