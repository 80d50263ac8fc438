"""`python -m tweetmodel_operator.release NAMESPACE DEPLOYMENT`: what Helm runs before the operator is uninstalled.

Ends the operator, so that nobody sets finalizers again, then takes ours off every TweetModel: none hangs when it is
deleted later, with no operator there to purge its folder.
"""

import argparse
import asyncio
import logging
import os

from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, ApiServer, JsonObject, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.settings import from_environment

logger = logging.getLogger(__name__)

TRIES = 60
"""Seconds that the operator may take to end."""


async def release(api: ApiServer, deployment: str, namespaces: tuple[str, ...]) -> None:
    """Ends the operator and lets go of what it holds.

    Args:
        api: of the cluster.
        deployment: path of the operator's Deployment.
        namespaces: that it served; empty: all.

    Raises:
        ApiError: the API server refused.
        TimeoutError: the operator does not end.
    """
    await _end(api, deployment)
    for namespace in namespaces or ("",):
        try:
            async for tweetmodel in api.items(tweetmodels_path(namespace)):
                if names.FINALIZER in tweetmodel["metadata"].get("finalizers", []):
                    await _let_go(api, tweetmodel["metadata"])
        except ApiError as error:
            if error.code != 404:  # no CRD, no TweetModels
                raise


async def _end(api: ApiServer, deployment: str) -> None:
    """Deletes the Deployment and waits until its pods are gone."""
    for _ in range(TRIES):
        try:
            await api.delete(deployment)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        await asyncio.sleep(1)
    raise TimeoutError(f"{deployment} does not end")


async def _let_go(api: ApiServer, metadata: JsonObject) -> None:
    kept = [name for name in metadata["finalizers"] if name != names.FINALIZER]
    precondition = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    path = tweetmodel_path(metadata["namespace"], metadata["name"])
    try:
        await api.merge(path, {"metadata": precondition | {"finalizers": kept}})
    except ApiError as error:
        if error.code != 404:
            raise
    logger.info("%s/%s is held no longer", metadata["namespace"], metadata["name"])


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="tweetmodel_operator.release")
    parser.add_argument("namespace")
    parser.add_argument("deployment")
    options = parser.parse_args()
    api = await ApiServer.connect()
    try:
        path = f"/apis/apps/v1/namespaces/{options.namespace}/deployments/{options.deployment}"
        await release(api, path, from_environment(os.environ).watch_namespaces)
    finally:
        await api.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(_main())
