"""The process of the operator: start-up without a cluster, and the configuration of kopf."""

import os
import subprocess
import sys
from pathlib import Path

import kopf
import pytest

from tweetmodel_api import GROUP
from tweetmodel_operator import main, names
from tweetmodel_operator.api_server import PAGE_SIZE


def ended_operator(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the operator until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "tweetmodel_operator"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_operator_without_a_cluster_ends_with_a_message(tmp_path: Path) -> None:
    ended = ended_operator(KUBECONFIG=str(tmp_path / "missing"), KUBERNETES_SERVICE_HOST="")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("tweetmodel-operator: no cluster is configured (")


def test_kopf_watches_the_operators_children_only_and_writes_nothing() -> None:
    settings = kopf.OperatorSettings()
    main._configure(settings)
    selectors = {
        (watched.group, watched.version, watched.any_name): selector
        for watched, selector in settings.watching.label_selectors.items()
    }
    assert selectors == {("batch", "v1", "jobs"): names.SELECTOR, ("", "v1", "pods"): names.SELECTOR}
    assert settings.watching.chunk_size == PAGE_SIZE
    assert settings.posting.enabled is False
    assert settings.persistence.finalizer == f"{GROUP}/kopf"
    assert isinstance(settings.persistence.diffbase_storage, main.NoDiffBaseStorage)


@pytest.mark.parametrize("method", ["fetch", "store"])
def test_no_essence_of_objects_is_stored(method: str) -> None:
    arguments = {"body": kopf.Body({}), "patch": kopf.Patch(), "essence": kopf.BodyEssence()}
    storage = main.NoDiffBaseStorage()
    if method == "fetch":
        assert storage.fetch(body=arguments["body"]) is None
        assert storage.build(body=arguments["body"]) == {}
    else:
        storage.store(**arguments)
        assert arguments["patch"] == {}
