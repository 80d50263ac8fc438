"""The rendered chart, and its agreement with the rest of the repository."""

import base64
import contextlib
import functools
import json
import shutil
import ssl
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tweetmodel_api.defaults import DEFAULTABLE_FIELDS
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator import names
from tweetmodel_operator.children import CHILD_KINDS
from tweetmodel_operator.settings import Settings, from_environment

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/tweetmodel-operator"
CRDS = sorted((ROOT / "crds").glob("*.yaml"))


@functools.cache
def helm(*arguments):
    program = shutil.which("helm")
    assert program, "helm is missing: `make` builds it and puts it on PATH"
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def render(*settings, release="tm"):
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    result = helm("template", release, str(CHART), "--namespace", "system", *arguments)
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def of_kind(kind, documents):
    return [document for document in documents if document["kind"] == kind]


def permanent(kind, documents):
    """Return the objects of a kind except hooks, which Helm deletes."""
    return [d for d in of_kind(kind, documents) if "helm.sh/hook" not in d["metadata"].get("annotations", {})]


def pod(*settings):
    [deployment] = of_kind("Deployment", render(*settings))
    return deployment["spec"]["template"]["spec"]


def environment(*settings):
    return {v["name"]: v["value"] for v in pod(*settings)["containers"][0]["env"] if "value" in v}


EVERYTHING = ("metrics.serviceMonitor.enabled=true", "watchNamespaces={a,b}")
ROLES_ONLY = ("watchNamespaces={a}", "progress.enabled=false", "rbac.aggregate=false", "crds.enabled=false")
"""Values without any object outside of namespaces."""


@pytest.mark.parametrize("settings", [(), EVERYTHING, ROLES_ONLY], ids=["default", "everything", "roles-only"])
def test_no_role_has_a_verb_on_secrets_or_a_wildcard(settings):
    roles = [document for document in render(*settings) if document["kind"] in ("Role", "ClusterRole")]
    assert roles
    for role in roles:
        assert "aggregationRule" not in role, "the role would contain the rules of others"
        for rule in role["rules"]:
            assert not any(resource.split("/")[0] in ("secrets", "*") for resource in rule["resources"])
            assert not any("*" in values for values in rule.values())


@pytest.mark.parametrize("settings", [(), EVERYTHING, ROLES_ONLY], ids=["default", "everything", "roles-only"])
def test_each_binding_grants_a_role_of_the_chart_to_the_operator(settings):
    """Otherwise a ClusterRole of the cluster, such as edit, could grant access to Secrets."""
    documents = render(*settings)
    roles = {(d["kind"], d["metadata"]["name"]) for d in documents if d["kind"] in ("Role", "ClusterRole")}
    account = {"kind": "ServiceAccount", "name": "tm-tweetmodel-operator", "namespace": "system"}
    for binding in of_kind("RoleBinding", documents) + of_kind("ClusterRoleBinding", documents):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        assert binding["subjects"] == [account]


def test_watched_namespaces_replace_the_cluster_wide_role():
    documents = render("watchNamespaces={a,b}", "rbac.aggregate=false")
    cluster_wide, *_ = of_kind("ClusterRole", render())
    assert all(role["rules"] == cluster_wide["rules"] for role in permanent("Role", documents))
    assert [role["metadata"]["namespace"] for role in permanent("Role", documents)] == ["a", "b"]
    assert [binding["metadata"]["namespace"] for binding in permanent("RoleBinding", documents)] == ["a", "b"]
    [cluster_role] = of_kind("ClusterRole", documents)
    assert cluster_role["rules"] == [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    ]
    assert environment("watchNamespaces={a,b}")["TWEETMODEL_WATCH_NAMESPACES"] == "a,b"


def test_the_operator_lists_events_of_jobs_and_creates_its_own():
    role, *_ = of_kind("ClusterRole", render())
    assert [(rule["apiGroups"], rule["verbs"]) for rule in role["rules"] if rule["resources"] == ["events"]] == [
        ([""], ["list"]),
        (["events.k8s.io"], ["create"]),
    ]


def labels_in(node):
    """Yield all labels and selectors in an object."""
    if isinstance(node, list):
        for item in node:
            yield from labels_in(item)
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("labels", "matchLabels", "selector") and isinstance(value, dict):
                yield from (label for label in value.values() if isinstance(label, str))
            yield from labels_in(value)


def test_the_role_has_exactly_the_verbs_of_the_child_kinds():
    role, *_ = of_kind("ClusterRole", render())
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    children = {(child.group, child.plural): set(child.verbs) for child in CHILD_KINDS}
    assert {kind: granted.get(kind) for kind in children} == children
    own = {"tweetmodels", "tweetmodels/status", "tweetmodels/finalizers", "tweetmodeldefaults", "events"}
    assert {kind for kind in granted if kind[1] not in own} == set(children)


@pytest.mark.parametrize("release", ["voices-production-eu-central-1-cluster-two", "x" * 53], ids=["long", "longest"])
def test_names_with_a_long_release_name_are_not_too_long(release):
    documents = render(*EVERYTHING, "networkPolicy.enabled=true", "crds.enabled=false", release=release)
    for document in documents:
        name, namespaced = document["metadata"]["name"], "namespace" in document["metadata"]
        assert len(name) <= (63 if namespaced else 253)
        assert all(len(label) <= 63 for label in labels_in(document))


def test_an_operator_of_some_namespaces_needs_roles_only():
    documents = render(*ROLES_ONLY)
    kinds = {document["kind"] for document in documents}
    assert not any(kind.startswith(("Cluster", "Custom")) for kind in kinds)
    assert "Secret" not in kinds
    [deployment] = of_kind("Deployment", documents)
    spec = deployment["spec"]["template"]["spec"]
    assert "tls" not in json.dumps([spec["volumes"], spec["containers"][0]["volumeMounts"]])
    variables = {variable["name"] for variable in spec["containers"][0]["env"]}
    assert not variables & {"TWEETMODEL_PROGRESS_URL", "TWEETMODEL_TLS_DIRECTORY"}


def test_the_operator_keeps_to_the_restricted_pod_security_standard():
    spec = pod()
    [container] = spec["containers"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    "typo",
    [
        *("imge.tag=1", "image.tga=1", "jobs.backoffLimit=many", "train.resources.limit.cpu=1", "image.digest=latest"),
        *("defaults.gpus=2", "defaults.gpu=1"),
        # A value that null removes would be read as another value.
        *("defaults=null", "trainer.env=null", "trainer.allowed.gpus=null", "jobs.backoffLimit=null"),
        *("collect.resources=null", "image.repository=null", "crds.keep=null"),
    ],
)
def test_a_mistake_in_the_values_is_rejected(typo):
    result = helm("template", str(CHART), "--set", typo)
    assert result.returncode != 0
    assert "don't meet the specifications of the schema" in result.stderr


def test_the_schema_has_exactly_the_values_of_the_chart():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == values.keys()  # Helm passes `global` to every subchart
    assert tuple(schema["properties"]["defaults"]["properties"]) == DEFAULTABLE_FIELDS


def test_the_crds_are_the_generated_ones_and_remain_after_the_release():
    generated = {crd["metadata"]["name"]: crd for crd in map(yaml.safe_load, map(Path.read_text, CRDS))}
    rendered = {crd["metadata"]["name"]: crd for crd in of_kind("CustomResourceDefinition", render())}
    assert {name: crd["spec"] for name, crd in rendered.items()} == {
        name: crd["spec"] for name, crd in generated.items()
    }
    assert all(crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for crd in rendered.values())
    removable = of_kind("CustomResourceDefinition", render("crds.keep=false"))
    assert len(removable) == len(CRDS)
    assert not any("annotations" in crd["metadata"] for crd in removable)
    assert not of_kind("CustomResourceDefinition", render("crds.enabled=false"))


def test_chart_and_packages_have_the_same_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    packages = [tomllib.loads(path.read_text()) for path in sorted(ROOT.glob("*/pyproject.toml"))]
    assert len(packages) == 3
    versions = {package["project"]["version"] for package in packages}
    assert versions == {chart["version"]} == {chart["appVersion"]}


def test_the_values_of_the_chart_are_the_defaults_of_the_operator():
    rendered, defaults = from_environment(environment()), Settings()
    names_of_settings = {name.removeprefix("TWEETMODEL_").lower() for name in environment()}
    of_the_chart = {"trainer_image", "progress_url", "tls_directory", "log_format"}
    assert names_of_settings <= vars(defaults).keys()
    compared = names_of_settings - of_the_chart
    assert {name: vars(rendered)[name] for name in compared} == {name: vars(defaults)[name] for name in compared}


def test_the_limits_of_the_administrator_reach_the_operator():
    limits = ("trainer.allowed.baseModels={openai-community/*}", "trainer.allowed.gpus=0", "trainer.allowed.epochs=10")
    read = from_environment(environment(*limits))
    assert (read.allowed_base_models, read.max_gpus, read.max_epochs) == (("openai-community/*",), 0, 10)
    assert from_environment({"TWEETMODEL_ALLOWED_BASE_MODELS": "[]"}).allowed_base_models == ()


def test_a_hook_stops_the_operator_and_removes_its_finalizers_before_the_uninstallation():
    documents = render("watchNamespaces={a,b}")
    hooks = [d for d in documents if d["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-delete"]
    assert [d["kind"] for d in hooks] == ["Role", "RoleBinding", "Job"]
    role, _, job = hooks
    [deployment] = of_kind("Deployment", documents)
    assert role["rules"][0]["resourceNames"] == [deployment["metadata"]["name"]]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["system", deployment["metadata"]["name"]]
    assert container["image"] == deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert job["spec"]["template"]["spec"]["automountServiceAccountToken"], "the Job needs the API server"
    labels = job["spec"]["template"]["metadata"]["labels"].items()
    assert not deployment["spec"]["selector"]["matchLabels"].items() <= labels


def test_the_hook_has_placement_and_environment_of_the_operator():
    proxy = ("extraEnv[0].name=HTTPS_PROXY", "extraEnv[0].value=http://proxy")
    placement = ("affinity.nodeAffinity.x=y", "priorityClassName=high", "nodeSelector.a=b", "commonLabels.team=voices")
    documents = render(*proxy, *placement)
    [job], [deployment] = of_kind("Job", documents), of_kind("Deployment", documents)
    hook, operator = (document["spec"]["template"]["spec"] for document in (job, deployment))
    for field in ("affinity", "priorityClassName", "nodeSelector", "securityContext", "serviceAccountName"):
        assert hook[field] == operator[field]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in hook["containers"][0]["env"]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "voices"
    assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_the_operator_has_the_labels_of_the_chart_and_of_the_values():
    [deployment] = of_kind("Deployment", render("podLabels.team=voices", "podLabels.app\\.kubernetes\\.io/name=other"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "voices"
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_network_policy_allows_pods_of_jobs_and_readers_of_metrics():
    assert not of_kind("NetworkPolicy", render())
    [policy] = of_kind("NetworkPolicy", render("networkPolicy.enabled=true"))
    [deployment] = of_kind("Deployment", render())
    assert policy["spec"]["podSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
    progress, metrics = policy["spec"]["ingress"]
    [pods] = progress["from"]
    assert pods["namespaceSelector"] == {}
    assert pods["podSelector"]["matchLabels"].items() <= names.job_labels("ada", "train", "a" * 16, 1).items()
    assert [rule["ports"][0]["port"] for rule in (progress, metrics)] == ["progress", "metrics"]
    assert "from" not in metrics
    [policy] = of_kind("NetworkPolicy", render("networkPolicy.enabled=true", "progress.enabled=false"))
    assert len(policy["spec"]["ingress"]) == 1


def test_the_operator_receives_the_name_of_its_pod():
    [instance] = [v for v in pod()["containers"][0]["env"] if v["name"] == "TWEETMODEL_INSTANCE"]
    assert instance["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_termination_grace_period_is_that_of_the_values():
    assert from_environment(environment("jobs.terminationGracePeriodSeconds=600")).termination_grace_seconds == 600


def test_artifact_hub_shows_the_crds_and_a_valid_example():
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    listed = {(crd["kind"], crd["name"], crd["version"]) for crd in yaml.safe_load(annotations["artifacthub.io/crds"])}
    crds = [yaml.safe_load(path.read_text())["spec"] for path in CRDS]
    assert listed == {
        (crd["names"]["kind"], f"{crd['names']['plural']}.{crd['group']}", crd["versions"][0]["name"]) for crd in crds
    }
    [example] = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    assert TweetModelSpec.model_validate(example["spec"])


def test_large_numbers_stay_integers():
    assert environment("jobs.ttlSecondsAfterFinished=10000000")["TWEETMODEL_TTL_SECONDS"] == "10000000"


def test_a_digest_pins_the_image():
    digest = "sha256:" + "0" * 64
    image = pod(f"image.digest={digest}", "image.tag=1.2")["containers"][0]["image"]
    assert image == f"tweetmodel-operator:1.2@{digest}"


def shake_hands(server, client, host):
    """Perform a TLS handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()


def test_pods_trust_the_certificate_of_the_progress_server_by_its_host(tmp_path):
    documents = render()
    [service], [secret] = of_kind("Service", documents), of_kind("Secret", documents)
    host = f"{service['metadata']['name']}.system.svc"
    assert environment()["TWEETMODEL_PROGRESS_URL"] == f"https://{host}:8443"
    for name, content in secret["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(content))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    client = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # Python's default from 3.13 on
    shake_hands(server, client, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client, "elsewhere.system.svc")


def test_an_existing_tls_secret_is_used():
    assert not of_kind("Secret", render("progress.tls.existingSecret=mine"))
    assert pod("progress.tls.existingSecret=mine")["volumes"][0]["secret"] == {"secretName": "mine"}


def test_the_notes_show_a_valid_tweetmodel(tmp_path):
    chart = shutil.copytree(CHART, tmp_path / "chart")  # helm renders notes for an installation only
    (chart / "templates/shown.yaml").write_text(
        'notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}'
    )
    result = helm("template", str(chart), "--show-only", "templates/shown.yaml")
    assert result.returncode == 0, result.stderr
    notes = yaml.safe_load(result.stdout)["notes"]
    [command] = [line for line in notes.splitlines() if line.startswith("zip ")]
    assert command in (ROOT / "README.md").read_text(), "both show how to upload only the posts"
    _, tweetmodel = yaml.safe_load_all(notes.split("<<'YAML'\n")[1].split("\nYAML\n")[0])
    assert TweetModelSpec.model_validate(tweetmodel["spec"]).storage.secret_ref
