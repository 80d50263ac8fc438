"""`python -m tweetmodel_operator.uninstall NAMESPACE DEPLOYMENT`: prepares the uninstallation, as a Helm hook.

Deletes the operator's Deployment, the writer of finalizers, then removes the operator's finalizer from all
TweetModels. With the finalizer, a later deletion of a TweetModel would wait forever for the purge.
"""

import argparse
import asyncio
import logging
import os

from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, ApiServer, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.settings import from_environment

logger = logging.getLogger(__name__)

MAX_SHUTDOWN_SECONDS = 60


async def prepare_uninstall(api: ApiServer, deployment: str, namespaces: tuple[str, ...]) -> None:
    """Stop the operator and remove its finalizers.

    Args:
        api: client of the cluster.
        deployment: path of the operator's Deployment.
        namespaces: namespaces watched by the operator; empty means all.

    Raises:
        ApiError: the API server rejected a request, or is unreachable.
        TimeoutError: the operator does not stop.
    """
    await _stop_operator(api, deployment)
    for namespace in namespaces or ("",):
        try:
            async for tweetmodel in api.items(tweetmodels_path(namespace)):
                if names.FINALIZER in tweetmodel["metadata"].get("finalizers", []):
                    await _remove_finalizer(api, tweetmodel)
        except ApiError as error:
            if error.code != 404:  # the CRD is not installed
                raise


async def _stop_operator(api: ApiServer, deployment: str) -> None:
    """Delete the Deployment and wait until no pod is left."""
    for _ in range(MAX_SHUTDOWN_SECONDS):
        try:
            await api.delete(deployment)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        await asyncio.sleep(1)
    raise TimeoutError(
        f"the operator did not stop within {MAX_SHUTDOWN_SECONDS} s ({deployment} still exists): "
        "delete its pods, then run the uninstallation again"
    )


async def _remove_finalizer(api: ApiServer, tweetmodel: JsonObject) -> None:
    """Remove the finalizer from the newest version of a TweetModel, unless the TweetModel is gone."""
    path = tweetmodel_path(tweetmodel["metadata"]["namespace"], tweetmodel["metadata"]["name"])
    while True:
        metadata = tweetmodel["metadata"]
        finalizers = [name for name in metadata.get("finalizers", []) if name != names.FINALIZER]
        precondition = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        try:
            await api.merge(path, {"metadata": precondition | {"finalizers": finalizers}})
            break
        except ApiError as error:
            if error.code == 404:
                return
            if error.code != 409:
                raise
            tweetmodel = await api.get(path)
    logger.info("removed the finalizer of %s/%s", metadata["namespace"], metadata["name"])


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="tweetmodel_operator.uninstall")
    parser.add_argument("namespace")
    parser.add_argument("deployment")
    options = parser.parse_args()
    api = await ApiServer.connect()
    try:
        path = f"/apis/apps/v1/namespaces/{options.namespace}/deployments/{options.deployment}"
        await prepare_uninstall(api, path, from_environment(os.environ).watch_namespaces)
    finally:
        await api.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(_main())
