"""Login of kopf with a session that counts requests, so that the metrics include kopf's lists and watches.

kopf finds the credentials. Equal credentials share a session: kopf identifies rejected credentials by their session,
and must not retry them forever.
"""

from types import SimpleNamespace

import aiohttp
import kopf

from tweetmodel_operator import metrics


class Sessions:
    """Creates the session for the present credentials."""

    def __init__(self) -> None:
        self._last: tuple[kopf.ConnectionInfo, kopf.AiohttpSession] | None = None

    def session(self, info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
        """Return the session for these credentials; kopf closes the session if they are rejected."""
        if self._last is None or self._last[0] != info:
            self._last = info, _create_session(info)
        return self._last[1]


def _create_session(info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
    """Create a session like kopf's (kopf/_cogs/clients/auth.py), with counters."""
    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(_count_response)
    trace.on_request_exception.append(_count_failure)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        proxy=info.proxy_url,
        trust_env=info.trust_env,
        trace_configs=[trace],
    )
    return kopf.AiohttpSession(
        server=info.server, priority=info.priority, default_namespace=info.default_namespace, aiohttp_session=session
    )


async def _count_response(_: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
    metrics.API_REQUESTS.labels(params.method.upper(), str(params.response.status)).inc()
    if params.response.ok and "watch" in params.url.query:  # lists succeed even where watches are forbidden
        metrics.record_watch_event(params.url.name)


async def _count_failure(
    _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
) -> None:
    metrics.API_REQUESTS.labels(params.method.upper(), "none").inc()
