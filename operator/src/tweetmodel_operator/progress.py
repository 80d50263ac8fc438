"""The progress server: receives the progress of pods by the progress protocol of Kubeflow Trainer, over TLS.

KubeflowCallback of transformers implements the protocol: any Hugging Face trainer image can report progress. A report
is accepted if the token is the token of a pod, issued for this server, and the pod belongs to the active Job of the
TweetModel in the path. The reports stay in memory; the next reconcile writes the last report.
"""

import asyncio
import hashlib
import logging
import math
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tweetmodel_api.status import Metric, Progress
from tweetmodel_operator import metrics, names
from tweetmodel_operator.api_server import ApiError, ApiServer
from tweetmodel_operator.children import POD
from tweetmodel_operator.observed import Key
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.times import format_time

logger = logging.getLogger(__name__)

ROUTE = "/namespaces/{namespace}/tweetmodels/{name}/status"
MAX_BODY_BYTES = 64 * 1024
ACCEPTED_TOKEN_CACHE_SECONDS = 60.0
"""Lifetime of an accepted token in the cache."""
REJECTED_TOKEN_CACHE_SECONDS = 10.0
"""Lifetime of a rejected token in the cache."""
MAX_CONCURRENT_REVIEWS = 8
"""Maximum number of concurrent TokenReviews, so that invalid tokens cannot flood the API server."""
MAX_CACHED_TOKENS = 4096
MAX_METRICS = 32


class _WireModel(BaseModel):
    """A part of the protocol; unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")


class _Metric(_WireModel):
    name: str = Field(max_length=64)
    value: str = Field(max_length=32)


class _TrainerStatus(_WireModel):
    progress_percentage: int | None = Field(default=None, ge=0, le=100)
    estimated_remaining_seconds: int | None = Field(default=None, ge=0, le=10**9)
    metrics: list[_Metric] = Field(default=[], max_length=256)


class _Body(_WireModel):
    trainer_status: _TrainerStatus


class RequestRejected(Exception):
    """A progress report is rejected; `code` is the HTTP status, the text is the cause."""

    def __init__(self, code: int, cause: str) -> None:
        super().__init__(cause)
        self.code = code


@dataclass
class ProgressServer:
    """Receives progress for `active_jobs`, keeps the last report of each Job in `progress` and calls `wake`."""

    api: ApiServer
    active_jobs: dict[Key, str]
    progress: dict[str, Progress]
    wake: Callable[[Key], None]
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    _tokens: dict[str, tuple[float, str | RequestRejected]] = field(default_factory=dict)
    """By hash of the token: the end of the lifetime, and the Job of the pod or the cause of the rejection."""
    _reviews: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT_REVIEWS))

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_post(ROUTE, self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        key = Key(request.match_info["namespace"], request.match_info["name"])
        try:
            await self._receive(key, request)
            code, message = 200, "accepted"
        except RequestRejected as rejection:
            code, message = rejection.code, str(rejection)
        except ApiError as error:
            code, message = 503, f"the token could not be reviewed ({error}): try again later"
        metrics.PROGRESS_POSTS.labels(str(code)).inc()
        body = {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}
        return web.json_response(body | {"status": "Success" if code == 200 else "Failure"}, status=code)

    async def _receive(self, key: Key, request: web.Request) -> None:
        job = self.active_jobs.get(key)
        if job is None:
            raise RequestRejected(404, f"{key} has no active Job")
        await self._authorize(key, job, request.headers.get("Authorization", ""))
        progress = self._parse(await request.read())
        if self.active_jobs.get(key) != job:
            raise RequestRejected(404, f"Job {job} is not active anymore")
        self.progress[job] = progress
        self.wake(key)

    def _parse(self, body: bytes) -> Progress:
        try:
            status = _Body.model_validate_json(body).trainer_status
            return Progress(
                progress_percentage=status.progress_percentage,
                estimated_remaining_seconds=status.estimated_remaining_seconds,
                metrics=tuple(Metric(name=m.name, value=m.value) for m in status.metrics[:MAX_METRICS]),
                last_updated_time=format_time(self.now()),  # the clock of the pod may differ
            )
        except ValidationError as error:
            raise RequestRejected(400, f"not a trainerStatus: {error.errors()[0]['msg']}") from None

    async def _authorize(self, key: Key, job: str, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise RequestRejected(401, "a bearer token is required")
        reviewed = await self._review_cached(key, token)
        if isinstance(reviewed, RequestRejected):
            raise RequestRejected(reviewed.code, str(reviewed))
        if reviewed != f"{key.namespace}/{job}":
            raise RequestRejected(403, f"the pod does not belong to Job {job}")

    async def _review_cached(self, key: Key, token: str) -> str | RequestRejected:
        token_hash = hashlib.sha256(token.encode()).hexdigest()
        valid_until, reviewed = self._tokens.get(token_hash, (-math.inf, ""))
        if valid_until >= self.clock():
            return reviewed
        async with self._reviews:
            reviewed = await self._review(key, token)
        if len(self._tokens) >= MAX_CACHED_TOKENS:
            self._tokens.clear()
        lifetime = (
            REJECTED_TOKEN_CACHE_SECONDS if isinstance(reviewed, RequestRejected) else ACCEPTED_TOKEN_CACHE_SECONDS
        )
        self._tokens[token_hash] = (self.clock() + lifetime, reviewed)
        return reviewed

    async def _review(self, key: Key, token: str) -> str | RequestRejected:
        try:
            return await self._job_of_token(key, token)
        except RequestRejected as rejection:
            return rejection

    async def _job_of_token(self, key: Key, token: str) -> str:
        """Return namespace and name of the Job for the token of a pod."""
        user = await self._user_of_token(token)
        extra = user.get("extra", {})
        pod_name = next(iter(extra.get("authentication.kubernetes.io/pod-name", [])), "")
        pod_uid = next(iter(extra.get("authentication.kubernetes.io/pod-uid", [])), "")
        if not pod_name or not user["username"].startswith(f"system:serviceaccount:{key.namespace}:"):
            raise RequestRejected(403, "the token does not belong to a pod in this namespace")
        try:
            pod = await self.api.get(POD.path(key.namespace, pod_name))
        except ApiError as error:
            if error.code != 404:
                raise
            raise RequestRejected(403, "the pod of the token was deleted") from None
        if pod["metadata"]["uid"] != pod_uid:
            raise RequestRejected(403, "the pod of the token was deleted")
        owners = pod["metadata"].get("ownerReferences", [])
        owner = next((o["name"] for o in owners if o.get("controller") and o["kind"] == "Job"), "")
        return f"{key.namespace}/{owner}"

    async def _user_of_token(self, token: str) -> JsonObject:
        review = await self.api.create(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [names.AUDIENCE]},
            },
        )
        status = review.get("status", {})
        if not status.get("authenticated") or names.AUDIENCE not in status.get("audiences", []):
            raise RequestRejected(401, "the token is not valid for this server")
        user: JsonObject = status["user"]
        return user


def create_tls_context(directory: Path) -> ssl.SSLContext:
    """Return the TLS context of the server from tls.crt and tls.key in a folder.

    Raises:
        OSError: a file is missing or unreadable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    return context


def certificate_authority(directory: Path | None) -> str:
    """Return the CA certificate (PEM) for pods; empty without a progress server.

    Raises:
        OSError: the file is missing or unreadable.
    """
    if directory is None:
        return ""
    return (directory / "ca.crt").read_text()
