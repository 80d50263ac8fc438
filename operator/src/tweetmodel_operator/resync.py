"""Lists all objects periodically, to find changes that caused no watch event, and to detect missing permissions."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tweetmodel_api import KIND
from tweetmodel_operator import names
from tweetmodel_operator.api_server import METADATA_ONLY, ApiError, ApiServer, tweetmodels_path
from tweetmodel_operator.cache import Cache, key_of
from tweetmodel_operator.children import CHILD_KINDS
from tweetmodel_operator.observed import Key
from tweetmodel_operator.parse import JsonObject, resource_version

logger = logging.getLogger(__name__)

RESYNC_TIME_SHARE = 0.01
"""Maximum share of the operator's time for resyncs; with many TweetModels, the interval becomes longer than set."""
MAX_RESYNC_SECONDS = 300.0
ACCESS_RETRY_SECONDS = 5.0


@dataclass
class Resync:
    """Lists all objects from time to time, and wakes TweetModels with missed changes."""

    api: ApiServer
    cache: Cache
    namespaces: Sequence[str]
    """Namespaces to list; an empty name means all namespaces."""
    interval_seconds: float
    wake: Callable[[Key], None]
    list_error: str = field(default="", init=False)
    """Why the operator can't list a kind; empty if all kinds can be listed."""

    async def run(self) -> None:
        """List all objects at the interval, until canceled."""
        duration = 0.0
        while True:
            pause = max(self.interval_seconds, min(duration / RESYNC_TIME_SHARE, MAX_RESYNC_SECONDS))
            await asyncio.sleep(pause)
            started = time.monotonic()
            for namespace in self.namespaces:
                try:
                    await self.resync(namespace)
                except Exception as error:  # the next resync tries again
                    logger.warning("the resync of %s failed: %s", namespace or "the cluster", error)
            duration = time.monotonic() - started

    async def resync(self, namespace: str) -> None:
        """Compare the cache with lists, and read TweetModels with differences live."""
        missing = self.cache.cached_names(KIND, namespace)
        async for item in self.api.items(tweetmodels_path(namespace), METADATA_ONLY):
            key = Key(item["metadata"]["namespace"], item["metadata"]["name"])
            missing.discard((key, key.name))
            if not self.cache.has_version(key, resource_version(item)):
                self._read_live(key)
        if not self.cache.is_empty:
            for child in CHILD_KINDS:
                missing |= await self._resync_children(child.kind, child.path(namespace), namespace)
        for key, _ in missing:
            self._read_live(key)

    async def _resync_children(self, kind: str, path: str, namespace: str) -> set[tuple[Key, str]]:
        """Update the cache from a list, and return cached objects missing in the list."""
        missing = self.cache.cached_names(kind, namespace)
        async for item in self.api.items(path, labelSelector=names.SELECTOR):
            self.update_cache(kind, item)
            key = key_of(kind, item)
            if key:
                missing.discard((key, item["metadata"]["name"]))
        return missing

    def update_cache(self, kind: str, raw: JsonObject, event_type: str | None = None) -> None:
        """Update the cache from a watch event or a list (without type), and wake the TweetModel if necessary."""
        key = key_of(kind, raw)
        if key is None:
            return
        if event_type == "DELETED":
            is_changed = self.cache.remove(kind, raw)
        else:
            is_changed = self.cache.update(kind, raw, from_list=event_type is None)
        if is_changed:
            self.wake(key)

    def _read_live(self, key: Key) -> None:
        self.cache.invalidate(key)
        self.wake(key)

    async def check_access(self) -> None:
        """Check at the interval whether all kinds can be listed, until canceled.

        kopf retries forbidden lists forever, and its watch tasks keep running meanwhile.
        """
        while True:
            self.list_error = await self._find_list_error()
            await asyncio.sleep(ACCESS_RETRY_SECONDS if self.list_error else self.interval_seconds)

    async def _find_list_error(self) -> str:
        for namespace in self.namespaces:
            for path in (tweetmodels_path(namespace), *(child.path(namespace) for child in CHILD_KINDS)):
                try:
                    await self.api.get(path, limit="1")
                except ApiError as error:
                    logger.warning("can't list %s: %s", path, error)
                    return f"can't list {path} ({error}): check the RBAC rules of the chart"
        return ""
