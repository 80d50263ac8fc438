"""Writes the administrator's defaults for a namespace or the cluster into omitted fields of a new TweetModel."""

from tweetmodel_api import API_VERSION, KIND
from tweetmodel_api.defaults import NAME, values_for
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, ApiServer, defaults_path, tweetmodel_path
from tweetmodel_operator.observed import Observed
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.settings import Settings


async def apply_defaults(api: ApiServer, observed: Observed, settings: Settings) -> bool:
    """Write the defaults into the spec, under a field manager of their own, and return whether there were any.

    Raises:
        ApiError: the API server rejected a request, or is unreachable.
    """
    if not observed.defaultable_fields:
        return False
    key = observed.key
    values = values_for(observed.defaultable_fields, await _namespace_defaults(api, key.namespace), settings.defaults)
    if not values:
        return False
    metadata = {"name": key.name, "namespace": key.namespace, "uid": observed.uid}
    metadata["resourceVersion"] = observed.resource_version  # the cache may lag behind a field that was set since
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": values}
    await api.apply(tweetmodel_path(key.namespace, key.name), body, names.DEFAULTS_MANAGER)
    return True


async def _namespace_defaults(api: ApiServer, namespace: str) -> JsonObject:
    try:
        found = await api.get(defaults_path(namespace, NAME))
    except ApiError as error:
        if error.code == 404:
            return {}
        raise
    spec: JsonObject = found["spec"]
    return spec
