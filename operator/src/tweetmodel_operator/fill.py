"""Fills what a new TweetModel leaves out with what the administrator decided for its namespace or the cluster."""

from tweetmodel_api import API_VERSION, KIND
from tweetmodel_api.defaults import NAME, values_for
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, ApiServer, JsonObject, defaults_path, tweetmodel_path
from tweetmodel_operator.settings import Settings
from tweetmodel_operator.state import Observed


async def fill(api: ApiServer, observed: Observed, settings: Settings) -> bool:
    """Writes the defaults into the spec, under a field manager of their own; whether there were any.

    Raises:
        ApiError: the API server refused.
    """
    if not observed.unfilled:
        return False
    key = observed.key
    values = values_for(observed.unfilled, await _of_namespace(api, key.namespace), settings.defaults)
    if not values:
        return False
    metadata = {"name": key.name, "namespace": key.namespace, "uid": observed.uid}
    metadata["resourceVersion"] = observed.resource_version  # what a stale view takes for left out may be values_for
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": values}
    await api.apply(tweetmodel_path(key.namespace, key.name), body, names.DEFAULTS_MANAGER)
    return True


async def _of_namespace(api: ApiServer, namespace: str) -> JsonObject:
    try:
        found = await api.get(defaults_path(namespace, NAME))
    except ApiError as error:
        if error.code == 404:
            return {}
        raise
    spec: JsonObject = found["spec"]
    return spec
