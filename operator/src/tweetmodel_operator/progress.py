"""Where pods tell how far they are: the progress protocol of Kubeflow Trainer, over TLS.

transformers' own KubeflowCallback speaks it, so any Hugging Face trainer image can report. A post counts
when its token is a pod's, made for our audience, and that pod belongs to the Job at work for the
TweetModel in the path. Posts are kept in memory and coalesced: the reconcile that they wake writes them.
"""

import asyncio
import hashlib
import logging
import math
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tweetmodel_api.status import Metric, Progress
from tweetmodel_operator import metrics, names
from tweetmodel_operator.api_server import ApiError, ApiServer, pods_path
from tweetmodel_operator.state import Key

logger = logging.getLogger(__name__)

ROUTE = "/namespaces/{namespace}/tweetmodels/{name}/status"
MOST_BYTES = 64 * 1024
TRUST_SECONDS = 60.0
MISTRUST_SECONDS = 10.0
REVIEWS = 8
"""TokenReviews at a time: whoever sends tokens that are no good must not keep the API server busy."""
MOST_TRUSTED = 4096
SHOWN_METRICS = 32


class _Wire(BaseModel):
    """The protocol's body; fields it may grow are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")


class _Metric(_Wire):
    name: str = Field(max_length=64)
    value: str = Field(max_length=32)


class _TrainerStatus(_Wire):
    progress_percentage: int | None = Field(default=None, ge=0, le=100)
    estimated_remaining_seconds: int | None = Field(default=None, ge=0, le=10**9)
    metrics: list[_Metric] = Field(default=[], max_length=256)


class _Post(_Wire):
    trainer_status: _TrainerStatus


class Refused(Exception):
    """The post does not count; `code` is the HTTP status, the text says why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass
class ProgressServer:
    """Takes posts for `jobs`, keeps the last of each in `posted` and calls `wake`."""

    api: ApiServer
    jobs: dict[Key, str]
    posted: dict[str, Progress]
    wake: Callable[[Key], None]
    now: Callable[[], str]
    clock: Callable[[], float] = time.monotonic
    _trusted: dict[str, tuple[float, str | Refused]] = field(default_factory=dict)
    """Hash of a token -> until when it is trusted, and the Job of its pod; or why it is not, for a shorter while."""
    _reviews: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REVIEWS))

    def application(self) -> web.Application:
        """The aiohttp application that serves the protocol."""
        application = web.Application(client_max_size=MOST_BYTES)
        application.router.add_post(ROUTE, self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        key = Key(request.match_info["namespace"], request.match_info["name"])
        try:
            await self._take(key, request)
            code, message = 200, "taken"
        except Refused as refusal:
            code, message = refusal.code, str(refusal)
        except ApiError as error:
            code, message = 503, f"the token could not be reviewed: {error}"
        metrics.PROGRESS_POSTS.labels(str(code)).inc()
        body = {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}
        return web.json_response(body | {"status": "Success" if code == 200 else "Failure"}, status=code)

    async def _take(self, key: Key, request: web.Request) -> None:
        job = self.jobs.get(key)
        if job is None:
            raise Refused(404, f"no Job is at work for {key}")
        await self._authorize(key, job, request.headers.get("Authorization", ""))
        try:
            post = _Post.model_validate_json(await request.read()).trainer_status
            progress = Progress(
                progress_percentage=post.progress_percentage,
                estimated_remaining_seconds=post.estimated_remaining_seconds,
                metrics=tuple(Metric(name=m.name, value=m.value) for m in post.metrics[:SHOWN_METRICS]),
                last_updated_time=self.now(),  # ours: the pod's clock may differ
            )
        except ValidationError as error:
            raise Refused(400, f"not a trainerStatus: {error.errors()[0]['msg']}") from None
        self.posted[job] = progress
        self.wake(key)

    async def _authorize(self, key: Key, job: str, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise Refused(401, "a bearer token is needed")
        fingerprint = hashlib.sha256(token.encode()).hexdigest()
        until, trusted_job = self._trusted.get(fingerprint, (-math.inf, ""))
        if until < self.clock():
            async with self._reviews:
                trusted_job = await self._reviewed(key, token)
            if len(self._trusted) >= MOST_TRUSTED:
                self._trusted.clear()
            keep = MISTRUST_SECONDS if isinstance(trusted_job, Refused) else TRUST_SECONDS
            self._trusted[fingerprint] = (self.clock() + keep, trusted_job)
        if isinstance(trusted_job, Refused):
            raise Refused(trusted_job.code, str(trusted_job))
        if trusted_job != f"{key.namespace}/{job}":
            raise Refused(403, f"the pod does not belong to Job {job}")

    async def _reviewed(self, key: Key, token: str) -> str | Refused:
        try:
            return await self._job_of(key, token)
        except Refused as refusal:
            return refusal

    async def _job_of(self, key: Key, token: str) -> str:
        """Namespace and name of the Job whose pod holds the token."""
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
            raise Refused(401, "the token is not valid for this server")
        user = status["user"]
        extra = user.get("extra", {})
        pod_name = next(iter(extra.get("authentication.kubernetes.io/pod-name", [])), "")
        pod_uid = next(iter(extra.get("authentication.kubernetes.io/pod-uid", [])), "")
        if not pod_name or not user["username"].startswith(f"system:serviceaccount:{key.namespace}:"):
            raise Refused(403, "the token is not of a pod in this namespace")
        try:
            pod = await self.api.get(pods_path(key.namespace, pod_name))
        except ApiError as error:
            raise Refused(403, f"the token's pod can't be read: {error}") from None
        owners = pod["metadata"].get("ownerReferences", [])
        if pod["metadata"]["uid"] != pod_uid:
            raise Refused(403, "the token's pod is gone")
        owner = next((o["name"] for o in owners if o.get("controller") and o["kind"] == "Job"), "")
        return f"{key.namespace}/{owner}"


def tls(directory: Path) -> ssl.SSLContext:
    """The server's TLS context from tls.crt and tls.key in a folder.

    Raises:
        OSError: a file is missing or unreadable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    return context


def certificate_authority(directory: Path | None) -> str:
    """The certificate, PEM, that pods are to trust; empty where there is no progress server."""
    if directory is None:
        return ""
    return (directory / "ca.crt").read_text()
