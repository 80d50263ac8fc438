"""Writes the administrator's defaults for a namespace or the cluster into omitted fields of a new TweetModel."""

from tweetmodel_api.defaults import OBJECT_NAME, values_for
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, ApiServer, defaults_path, tweetmodel_path
from tweetmodel_operator.observed import Observed
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.settings import Settings


async def apply_defaults(api: ApiServer, observed: Observed, settings: Settings) -> bool:
    """Write the defaults into the spec, under a field manager of their own, and return whether there were any.

    A merge patch keeps defaults of an earlier reconcile; server-side apply would remove fields that a later body omits.

    Raises:
        ApiError: the API server rejected a request, or is unreachable.
    """
    if not observed.defaultable_fields:
        return False
    key = observed.key
    values = values_for(observed.defaultable_fields, await _namespace_defaults(api, key.namespace), settings.defaults)
    if not values:
        return False
    # The cache may lag behind a field that was set since: the version turns such a write into a conflict.
    precondition = {"uid": observed.uid, "resourceVersion": observed.resource_version}
    body = {"metadata": precondition, "spec": values}
    await api.merge(tweetmodel_path(key.namespace, key.name), body, names.DEFAULTS_MANAGER)
    return True


async def _namespace_defaults(api: ApiServer, namespace: str) -> JsonObject:
    try:
        found = await api.get(defaults_path(namespace, OBJECT_NAME))
    except ApiError as error:
        if error.code == 404:
            return {}
        raise
    spec: JsonObject = found["spec"]
    return spec
