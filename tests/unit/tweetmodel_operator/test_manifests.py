from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from golden_jobs import FULL, GOLDEN_JOBS, POD_TEMPLATE, SETTINGS, built, request
from makers import UID, spec
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import PERMANENT_EXIT_CODES, REASONS, ExitCode
from tweetmodel_api.status import ModelReference
from tweetmodel_operator import manifests, names
from tweetmodel_operator.decision import JobRequest

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("name", GOLDEN_JOBS)
def test_job_equals_golden_file(name: str) -> None:
    """`make generate` writes the golden files; review their diff."""
    assert GOLDEN_JOBS[name] == yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())


def test_only_the_train_pod_asks_for_a_gpu() -> None:
    def limits(step: str) -> dict[str, str]:
        container = built(step)["spec"]["template"]["spec"]["containers"][0]
        return container["resources"].get("limits", {})

    assert limits("train")["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in limits("collect")


def test_a_publish_pod_needs_no_gpu_and_no_queue() -> None:
    hub = {"huggingFace": {"secretRef": {"name": "hub"}}}
    job = built("publish", spec(queueName="gpus", publish=hub, podTemplate=POD_TEMPLATE))
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == SETTINGS.collect_resources
    assert "HF_TOKEN" in {variable["name"] for variable in container["env"]}
    assert "nodeSelector" not in job["spec"]["template"]["spec"]
    assert names.QUEUE_LABEL not in job["metadata"]["labels"]


def test_a_publish_pod_that_only_reports_gets_no_token_of_the_hub() -> None:
    pinned = request("publish", spec(publish={"huggingFace": {"secretRef": {"name": "hub"}}}), publish=False)
    container = manifests.build_job(pinned, SETTINGS)["spec"]["template"]["spec"]["containers"][0]
    assert "HF_TOKEN" not in {variable["name"] for variable in container["env"]}


def test_a_sample_pod_waits_in_the_queue_for_one_gpu() -> None:
    of = spec(queueName="gpus", gpus=4, training={"globalBatchSize": 4}, podTemplate=POD_TEMPLATE)
    job = built("sample", of)
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert (pod["nodeSelector"], job["metadata"]["labels"][names.QUEUE_LABEL]) == ({"gpu": "h200"}, "gpus")
    assert "/dev/shm" not in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]


def test_a_spec_without_gpus_asks_for_none() -> None:
    container = built("train", spec(gpus=0))["spec"]["template"]["spec"]["containers"][0]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]


def test_gpus_that_exchange_gradients_have_room_in_shared_memory() -> None:
    def mounts(**changes: Any) -> list[str]:
        pod = built("train", spec(**changes))["spec"]["template"]["spec"]
        assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in pod["containers"][0]["volumeMounts"]}
        return [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]

    assert "/dev/shm" in mounts(gpus=2, training={"globalBatchSize": 2})
    assert "/dev/shm" not in mounts()


def test_the_cache_is_there_for_a_pod_that_fetches_a_base_model_and_for_no_other() -> None:
    def is_mounted(of: JobRequest) -> bool:
        pod = manifests.build_job(of, SETTINGS)["spec"]["template"]["spec"]
        claims = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
        (container,) = pod["containers"]
        paths = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "cache"]
        assert paths == container["args"][6:] == ["/cache"] * len(claims)
        return bool(claims)

    assert is_mounted(request("train", FULL))
    for step in ("collect", "sample", "publish"):
        assert not is_mounted(request(step, FULL))
    warm = ModelReference(uri="s3://bucket/model", digest="e" * 64)
    assert not is_mounted(request("train", FULL, initial_model=warm))
    assert not is_mounted(request("train", spec(podTemplate=POD_TEMPLATE)))
    assert not is_mounted(request("train", FULL.model_copy(update={"pod_template": None})))


def test_a_gpu_that_was_not_asked_for_is_left_alone() -> None:
    def hidden(**changes: Any) -> bool:
        env = built("train", spec(**changes))["spec"]["template"]["spec"]["containers"][0]["env"]
        return {"name": "CUDA_VISIBLE_DEVICES", "value": ""} in env

    assert not hidden(gpus=1)
    assert not hidden(gpus=0, resources={"limits": {"nvidia.com/mig-1g.10gb": 1}})
    assert hidden(gpus=0)


def test_the_users_resources_replace_the_administrators() -> None:
    container = built("train", spec(resources={"requests": {"cpu": 2}}, gpus=0))["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["resources"] == {"requests": {"cpu": "2"}}


def test_collecting_does_not_go_where_training_is_sent() -> None:
    pods = {step: built(step, spec(podTemplate=POD_TEMPLATE))["spec"]["template"] for step in ("collect", "train")}
    scheduling = {"nodeSelector", "tolerations", "affinity", "priorityClassName", "schedulerName", "runtimeClassName"}
    scheduling.add("topologySpreadConstraints")
    assert scheduling <= pods["train"]["spec"].keys()
    assert not scheduling & pods["collect"]["spec"].keys()
    for pod in pods.values():
        assert pod["spec"]["serviceAccountName"] == "trainer"
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["metadata"]["labels"]["team"] == "voices"


def test_what_the_tweetmodel_says_of_placement_replaces_what_the_administrator_says() -> None:
    settings = replace(
        SETTINGS,
        collect_placement={"nodeSelector": {"pool": "cpu"}},
        train_placement={"nodeSelector": {"pool": "gpu"}, "schedulerName": "bin-packer"},
    )
    of = spec(podTemplate={"nodeSelector": {"gpu": "h200"}})
    train, collect = (built(step, of, settings)["spec"]["template"]["spec"] for step in ("train", "collect"))
    assert (train["nodeSelector"], train["schedulerName"]) == ({"gpu": "h200"}, "bin-packer")
    assert collect["nodeSelector"] == {"pool": "cpu"}


def test_every_pod_gets_the_administrators_environment_and_pull_secrets() -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    settings = replace(SETTINGS, trainer_env=(proxy,), trainer_image_pull_secrets=("company", "registry"))
    for step in ("collect", "train"):
        pod = built(step, spec(podTemplate={"imagePullSecrets": [{"name": "registry"}]}), settings)["spec"]["template"]
        assert proxy in pod["spec"]["containers"][0]["env"]
        assert pod["spec"]["imagePullSecrets"] == [{"name": "company"}, {"name": "registry"}]


@pytest.mark.parametrize("step", ["collect", "train"])
def test_a_job_has_the_labels_and_annotations_of_its_pods(step: str) -> None:
    """Kueue reads kueue.x-k8s.io/priority-class on the Job."""
    more = {"kueue.x-k8s.io/priority-class": "low"}
    job = built(step, spec(podTemplate={"labels": more, "annotations": {"who": "ada"}}))
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert more.items() <= metadata["labels"].items()
        assert metadata["annotations"]["who"] == "ada"


def test_the_labels_and_annotations_by_which_jobs_and_pods_are_found_stay() -> None:
    theirs = {
        "labels": {names.NAME_LABEL: "other", names.STEP_LABEL: "collect", names.QUEUE_LABEL: "other"},
        "annotations": {names.POD_TEMPLATE_HASH_ANNOTATION: "other", names.PLAN_ANNOTATION: "other"},
    }
    plain, job = (built("train", spec(queueName="gpus", **more)) for more in ({}, {"podTemplate": theirs}))
    template = job["spec"]["template"]["metadata"]
    assert job["metadata"]["labels"] == plain["metadata"]["labels"]
    assert job["metadata"]["annotations"][names.POD_TEMPLATE_HASH_ANNOTATION] != "other"
    assert template["annotations"][names.PLAN_ANNOTATION] != "other"
    assert plain["spec"]["template"]["metadata"]["labels"].items() <= template["labels"].items()


def test_a_queue_holds_the_training_job_alone() -> None:
    collect, train = (built(step, spec(queueName="gpus")) for step in ("collect", "train"))
    assert train["metadata"]["labels"][names.QUEUE_LABEL] == "gpus"
    assert train["spec"]["suspend"] is True
    assert names.QUEUE_LABEL not in collect["metadata"]["labels"]
    assert "suspend" not in collect["spec"]


@pytest.mark.parametrize("step", ["collect", "train"])
def test_the_pod_keeps_to_the_restricted_pod_security_standard(step: str) -> None:
    pod = built(step)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {
        "downwardAPI",
        "emptyDir",
        "projected",
    }


@pytest.mark.parametrize("step", ["collect", "train"])
def test_the_pod_gets_no_token_for_the_api_server(step: str) -> None:
    pod = built(step)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    audiences = [
        source["serviceAccountToken"]["audience"]
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    assert audiences == [names.AUDIENCE]


def test_without_a_progress_server_the_pod_gets_no_token_at_all() -> None:
    pod = built("train", settings=replace(SETTINGS, progress_url=""))["spec"]["template"]["spec"]
    assert not any("projected" in volume for volume in pod["volumes"])
    assert not any(e["name"].startswith("KUBEFLOW") for e in pod["containers"][0]["env"])


def test_the_plan_can_be_read_back_by_the_trainer() -> None:
    annotations = built("train")["spec"]["template"]["metadata"]["annotations"]
    assert Plan.model_validate_json(annotations[names.PLAN_ANNOTATION]) == request("train", spec()).plan


def test_as_many_annotations_as_the_crd_takes_leave_room_for_the_plan() -> None:
    most = {f"team.example/{number}": "x" * 4096 for number in range(32)}
    annotations = built("train", spec(podTemplate={"annotations": most}))["spec"]["template"]["metadata"]["annotations"]
    assert most.items() <= annotations.items()
    assert sum(len(key) + len(value) for key, value in annotations.items()) < 256 * 1024


def test_credentials_are_mounted_by_name_and_never_read() -> None:
    env = {e["name"]: e for e in built("train")["spec"]["template"]["spec"]["containers"][0]["env"]}
    reference = {"secretKeyRef": {"name": "s3", "key": "accessKeyID"}}
    assert env["AWS_ACCESS_KEY_ID"]["valueFrom"] == reference


def test_the_train_pod_alone_gets_the_token_of_the_hub() -> None:
    publishing = spec(publish={"huggingFace": {"secretRef": {"name": "hub"}}})

    def token(step: str) -> list[dict[str, Any]]:
        env = built(step, publishing)["spec"]["template"]["spec"]["containers"][0]["env"]
        return [e["valueFrom"]["secretKeyRef"] for e in env if e["name"] == "HF_TOKEN"]

    assert token("train") == [{"name": "hub", "key": "token"}]
    assert token("collect") == []


def test_the_pod_that_fetches_the_base_model_alone_gets_its_token() -> None:
    gated = spec(baseModel={"hub": {"name": "ada/gated", "secretRef": {"name": "them"}}})

    def token(step: str, **plan: Any) -> list[dict[str, Any]]:
        env = manifests.build_job(request(step, gated, **plan), SETTINGS)["spec"]["template"]["spec"]["containers"][0][
            "env"
        ]
        return [e["valueFrom"]["secretKeyRef"] for e in env if e["name"] == "BASE_MODEL_TOKEN"]

    assert token("train") == [{"name": "them", "key": "token"}]
    assert token("collect") == token("publish") == token("sample") == []


def test_the_train_pod_alone_gets_the_keys_of_trackers() -> None:
    secret = {"secretRef": {"name": "them"}}
    to = {
        "wandb": secret,
        "mlflow": {"trackingURI": "http://mlflow:5000", **secret},
        "trackio": {"space": "ada/trackio", **secret},
        "tensorBoard": {},
    }

    def keys(step: str) -> dict[str, Any]:
        env = built(step, spec(reportTo=to))["spec"]["template"]["spec"]["containers"][0]["env"]
        references = {e["name"]: e["valueFrom"].get("secretKeyRef") for e in env if "valueFrom" in e}
        return {name: reference for name, reference in references.items() if reference and reference["name"] == "them"}

    assert keys("train") == {
        "WANDB_API_KEY": {"name": "them", "key": "apiKey"},
        "MLFLOW_TRACKING_USERNAME": {"name": "them", "key": "username", "optional": True},
        "MLFLOW_TRACKING_PASSWORD": {"name": "them", "key": "password", "optional": True},
        "MLFLOW_TRACKING_TOKEN": {"name": "them", "key": "token", "optional": True},
        "TRACKIO_TOKEN": {"name": "them", "key": "token"},
    }
    assert keys("collect") == {}


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"xAPI": {"secretRef": {"name": "them"}, "budgetUSD": "5"}}, "bearerToken"),
        ({"huggingFace": {"dataset": "ada/tweets", "secretRef": {"name": "them"}}}, "token"),
    ],
)
def test_the_collect_pod_alone_gets_the_token_of_a_source(source: dict[str, Any], key: str) -> None:
    def token(step: str) -> list[dict[str, Any]]:
        of = spec(sources=[{"handle": "ada", **source}])
        env = built(step, of)["spec"]["template"]["spec"]["containers"][0]["env"]
        return [e["valueFrom"]["secretKeyRef"] for e in env if e["name"] == "SOURCE_TOKEN_ada"]

    assert token("collect") == [{"name": "them", "key": key}]
    assert token("train") == []


def test_every_permanent_exit_code_ends_the_job_and_no_temporary_one_does() -> None:
    (fail, stopped, disrupted) = manifests.pod_failure_policy()["rules"]
    ending = set(fail["onExitCodes"]["values"])
    assert ending == {int(code) for code in PERMANENT_EXIT_CODES}
    assert not ending & {int(ExitCode.TEMPORARY), int(ExitCode.BUG), int(ExitCode.INTERRUPTED)}
    assert (stopped["action"], disrupted["action"]) == ("Ignore", "Ignore")
    assert {f.exit_code for f in REASONS.values() if f.exit_code} == {c for c in ExitCode if c}


def test_names_fit_a_label() -> None:
    longest = names.job_name("a" * 40, UID, "collect", "f" * 16, 999)
    assert len(longest) <= 63


def test_who_the_administrator_bars_is_told_to_the_pod_that_collects() -> None:
    settings = replace(SETTINGS, excluded_accounts=("@Bob", "eve"))

    def told(step: str) -> Plan:
        annotations = built(step, settings=settings)["spec"]["template"]["metadata"]["annotations"]
        return Plan.model_validate_json(annotations[names.PLAN_ANNOTATION])

    assert told("collect").excluded_accounts == ("bob", "eve")
    assert told("train").excluded_accounts == ()
