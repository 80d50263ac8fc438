"""Jobs whose manifests are golden files: `make generate` writes them, and the tests compare them."""

from typing import Any

from makers import DIGEST, KEY, UID, spec
from tweetmodel_api.identities import collection_id, pod_template_hash, run_id
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator import manifests, names
from tweetmodel_operator.decision import JobRequest
from tweetmodel_operator.settings import Settings

POD_TEMPLATE = {
    "labels": {"team": "voices"},
    "annotations": {"kueue.x-k8s.io/podset-preferred-topology": "rack"},
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccountName": "trainer",
    "nodeSelector": {"gpu": "h200"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]
            }
        }
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"team": "voices"}},
        }
    ],
    "priorityClassName": "low",
    "schedulerName": "bin-packer",
    "runtimeClassName": "nvidia",
    "cacheClaimName": "base-models",
}
FULL = spec(
    podTemplate=POD_TEMPLATE, queueName="gpus", baseModel={"hub": {"name": "openai-community/gpt2", "revision": "main"}}
)
SETTINGS = Settings(trainer_image="registry/trainer:1", progress_url="https://operator.system.svc:8443")


def request(step: str, of: TweetModelSpec, **plan: Any) -> JobRequest:
    """The request for the first Job of a step; `plan` changes fields of the plan."""
    is_run_step = step in ("train", "sample", "publish")
    step_id = run_id(of, DIGEST) if is_run_step else collection_id(of)
    dataset = DatasetReference(uri="s3://bucket/models/default/ada/datasets/dd", digest=DIGEST)
    publish = is_run_step and of.publish is not None
    facts = {"run": step_id, "dataset": dataset, "publish": publish} if is_run_step else {}
    return JobRequest(
        name=names.job_name(KEY.name, UID, step, step_id, 1),
        uid=UID,
        step_id=step_id,
        attempt=1,
        pod_template_hash=pod_template_hash(step, of, "", publish=publish),
        plan=Plan(step=step, namespace=KEY.namespace, name=KEY.name, spec=of).model_copy(update=facts | plan),
        pod_template=of.pod_template or PodTemplate(),
    )


def built(step: str, of: TweetModelSpec | None = None, settings: Settings = SETTINGS, ca: str = "CA") -> dict[str, Any]:
    return manifests.build_job(request(step, of or spec()), settings, ca)


GOLDEN_JOBS = {f"job-{step}": built(step, FULL) for step in ("collect", "train")}
"""Jobs, by name of their golden file."""
