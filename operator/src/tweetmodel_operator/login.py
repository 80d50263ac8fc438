"""kopf's login, over a session of ours: its lists and watches are counted like the operator's own requests.

The credentials are those that kopf finds by itself. Equal ones get one and the same session, since kopf knows by that
what was refused before, and gives up on it.
"""

from types import SimpleNamespace

import aiohttp
import kopf

from tweetmodel_operator import metrics


class Logins:
    """Makes the session of the present credentials."""

    def __init__(self) -> None:
        self._last: tuple[kopf.ConnectionInfo, kopf.AiohttpSession] | None = None

    def session(self, info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
        """The session for these credentials; kopf closes it when they are refused."""
        if self._last is None or self._last[0] != info:
            self._last = info, _session(info)
        return self._last[1]


def _session(info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
    """As kopf makes it (kopf/_cogs/clients/auth.py), but counted."""
    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(_answered)
    trace.on_request_exception.append(_unanswered)
    made = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        proxy=info.proxy_url,
        trust_env=info.trust_env,
        trace_configs=[trace],
    )
    return kopf.AiohttpSession(
        server=info.server, priority=info.priority, default_namespace=info.default_namespace, aiohttp_session=made
    )


async def _answered(_: aiohttp.ClientSession, __: SimpleNamespace, told: aiohttp.TraceRequestEndParams) -> None:
    metrics.API_REQUESTS.labels(told.method.upper(), str(told.response.status)).inc()
    if told.response.ok and "watch" in told.url.query:  # lists go on where watches are refused
        metrics.heard(told.url.name)


async def _unanswered(_: aiohttp.ClientSession, __: SimpleNamespace, told: aiohttp.TraceRequestExceptionParams) -> None:
    metrics.API_REQUESTS.labels(told.method.upper(), "none").inc()
