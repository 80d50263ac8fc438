"""The one door to S3. A folder there exists when its MANIFEST.json does: it is written last and verified.

boto3's default checksums break services that are not AWS (boto/boto3#4392), so with an endpoint of one's own
they are sent only where required; our own SHA-256 in the manifest holds in every case.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from mimetypes import guess_type
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import boto3
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as aws
from botocore.config import Config
from pydantic import ValidationError
from s3transfer.exceptions import S3DownloadFailedError

from tweetmodel_api.credentials import STORAGE
from tweetmodel_api.layout import MANIFEST, FileEntry, Manifest
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models.cache import NO_CACHE, Cache

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef

logger = logging.getLogger(__name__)

MAX_READS = 2
"""What is not what it should be is read once more: it may have been spoilt on its way."""

_DENIED = {
    "403",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "XAdminUserNotFound",  # versitygw
    "Forbidden",
}
_TRANSIENT = {408, 409, 425, 429}
"""Answers below 500 after which the same request may succeed."""
_NO_KEY = {"404", "NoSuchKey", "NotFound"}
_UNREACHABLE = (
    aws.EndpointConnectionError,
    aws.ConnectionClosedError,
    aws.ConnectTimeoutError,
    aws.ReadTimeoutError,
    aws.ProxyConnectionError,
    aws.SSLError,
    aws.IncompleteReadError,
    aws.ResponseStreamingError,
    aws.FlexibleChecksumError,  # a body that was spoilt on its way
    RetriesExceededError,  # a body that broke off each time
    S3DownloadFailedError,  # an object that was overwritten while it was read
)


class IncompleteFolder(Exception):
    """A folder that is not what its manifest says: it does not count."""


class Storage:
    """S3 as spec.storage names it. Its methods raise Failure with a sentence that names URI and endpoint.

    Raises:
        Failure: AccessDenied where a key can't be one, InvalidStorage where endpoint or region can't be used.
    """

    def __init__(self, spec: Spec) -> None:
        _check_keys()
        foreign = spec.endpoint is not None
        self._where = spec.endpoint or f"AWS S3 in {spec.region}"
        self._transfer = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=64 << 20)
        checksums: Literal["when_required", "when_supported"] = "when_required" if foreign else "when_supported"
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={"addressing_style": "path"} if foreign else {},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
        )
        try:
            self._client: S3Client = boto3.Session().client(
                "s3", endpoint_url=spec.endpoint, region_name=spec.region, config=config
            )
        except ValueError as error:
            raise Failure(Reason.INVALID_STORAGE, f"spec.storage can't be used: {error}.") from None

    def check_bucket(self, uri: str) -> None:
        """Finds out early whether the bucket is there and may be read.

        Raises:
            Failure: BucketMissing, AccessDenied, StorageUnreachable or InvalidStorage.
        """
        bucket, prefix = _split(uri)
        with self._translate_errors(uri, Reason.BUCKET_MISSING):
            self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)

    def download(self, uri: str, path: Path, missing: Reason = Reason.SOURCE_MISSING) -> None:
        """Copies one object to a file.

        Raises:
            Failure: `missing` where it does not exist, else as `check_bucket`.
        """
        if not _object(uri)[1].strip("/"):
            raise Failure(missing, f"{uri} names a bucket and no object in it: add the object's key.")
        size = self._head(uri, missing)["ContentLength"]
        self._copy(uri, path, missing)
        if path.stat().st_size != size:  # a body may be cut off and be said to be whole
            raise self._corrupt(uri)

    def etag(self, uri: str) -> str:
        """The ETag of an object: another one where its content is another; empty where the service tells none.

        Raises:
            Failure: SourceMissing where there is no such object, else as `check_bucket`.
        """
        return self._head(uri, Reason.SOURCE_MISSING).get("ETag", "")

    def etags(self, uri: str) -> dict[str, str]:
        """ETags of the objects below a folder, by their paths relative to it; empty ones where the service tells none.

        Raises:
            Failure: as `check_bucket`.
        """
        return {path: item.get("ETag", "") for path, item in self._list_objects(uri).items()}

    def _head(self, uri: str, missing: Reason) -> "HeadObjectOutputTypeDef":
        bucket, key = _object(uri)
        with self._translate_errors(uri, missing):
            return self._client.head_object(Bucket=bucket, Key=key)

    def _copy(self, uri: str, path: Path, missing: Reason) -> None:
        bucket, key = _object(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._translate_errors(uri, missing):
            self._client.download_file(bucket, key, str(path), Config=self._transfer)

    def publish(self, folder: Path, uri: str, *, replace: bool = False) -> Manifest:
        """Uploads every file of a folder, then the manifest that makes it exist.

        What a failed attempt left there goes first, so that old and new are never mixed. What is there already counts
        by its content, what was written by its size: to read each checkpoint back would take as long as to write it.

        Args:
            folder: on disk.
            uri: where it goes.
            replace: whether other content takes the place of a folder that is complete; else that one stays.

        Returns:
            The manifest of the folder that is there now.
        """
        manifest = _manifest_of(folder)
        found = self.manifest(uri)
        if found and (found == manifest or not replace) and self._checksums_match(uri, found, folder.parent):
            return found
        if self.names(uri):
            self.delete(uri)
        bucket, prefix = _split(uri)
        with self._translate_errors(uri, Reason.BUCKET_MISSING):
            for entry in manifest.files:
                kind = {"ContentType": guess_type(entry.path)[0] or "application/octet-stream"}  # a page opens by it
                self._client.upload_file(
                    str(folder / entry.path), bucket, prefix + entry.path, ExtraArgs=kind, Config=self._transfer
                )
            if not self.sizes_match(uri, manifest):
                raise self._corrupt(uri)
            body = manifest.model_dump_json(by_alias=True, indent=1).encode()
            self._client.put_object(Bucket=bucket, Key=prefix + MANIFEST, Body=body)
        if self.manifest(uri) != manifest:
            raise self._corrupt(uri)
        logger.info("published %d files to %s", len(manifest.files), uri)
        return manifest

    def write(self, uri: str, body: bytes) -> None:
        """Writes one object, whole or not at all.

        Raises:
            Failure: as `check_bucket`.
        """
        bucket, key = _object(uri)
        with self._translate_errors(uri, Reason.BUCKET_MISSING):
            self._client.put_object(Bucket=bucket, Key=key, Body=body)

    def manifest(self, uri: str) -> Manifest | None:
        """The manifest of a folder, or None where it does not exist or can't be read as one."""
        bucket, prefix = _split(uri)
        for _ in range(MAX_READS):
            try:
                with self._translate_errors(uri, Reason.SOURCE_MISSING):
                    body = self._client.get_object(Bucket=bucket, Key=prefix + MANIFEST)["Body"].read()
                return Manifest.model_validate_json(body)
            except ValidationError:
                continue
            except Failure as failure:
                if failure.reason is Reason.SOURCE_MISSING:
                    break
                raise
        return None

    def _checksums_match(self, uri: str, manifest: Manifest, workdir: Path) -> bool:
        """Whether every file that a folder's manifest names is there, by its content."""
        if not self.sizes_match(uri, manifest):
            return False
        with TemporaryDirectory(dir=workdir) as folder:
            try:
                return self.fetch(uri, Path(folder)) == manifest
            except IncompleteFolder:
                return False

    def sizes_match(self, uri: str, manifest: Manifest) -> bool:
        """Whether every file that a folder's manifest names is there, by its size."""
        there = {path: item["Size"] for path, item in self._list_objects(uri).items()}
        return all(there.get(entry.path) == entry.size for entry in manifest.files)

    def fetch(self, uri: str, folder: Path, cache: Cache = NO_CACHE) -> Manifest:
        """Downloads a folder, but for files that the cache has, and verifies every file.

        Raises:
            IncompleteFolder: there is no manifest, or a file is missing or not what the manifest says.
            Failure: as `check_bucket`.
        """
        for _ in range(MAX_READS):
            manifest = self.manifest(uri)
            if manifest is None:
                raise IncompleteFolder(f"{uri} has no manifest")
            wrong = next((e.path for e in manifest.files if not self._fetch(e, uri, folder, cache)), None)
            if wrong is None:
                return manifest
        raise IncompleteFolder(f"{uri}/{wrong} is not what its manifest says")

    def _fetch(self, entry: FileEntry, uri: str, folder: Path, cache: Cache) -> bool:
        """Downloads a file that the cache has not; whether it is there and what the manifest says."""
        path = folder / entry.path
        if cache.take(entry.sha256, path):
            return True
        try:
            self._copy(f"{uri}/{entry.path}", path, Reason.SOURCE_MISSING)
        except Failure as failure:
            if failure.reason is Reason.SOURCE_MISSING:
                return False
            raise
        good = path.stat().st_size == entry.size and _sha256(path) == entry.sha256
        if good:
            cache.keep(entry.sha256, path)
        return good

    def names(self, uri: str) -> list[str]:
        """Paths of the objects below a folder, relative to it, sorted."""
        return sorted(self._list_objects(uri))

    def _list_objects(self, uri: str) -> "dict[str, ObjectTypeDef]":
        """What a list says of each object below a folder, by its path relative to it."""
        bucket, prefix = _split(uri)
        with self._translate_errors(uri, Reason.BUCKET_MISSING):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return {item["Key"][len(prefix) :]: item for page in pages for item in page.get("Contents", [])}

    def delete(self, uri: str, *, keep: str = "") -> None:
        """Deletes a folder, but for one name, its manifest first, so that no half of it counts."""
        bucket, prefix = _split(uri)
        names = [name for name in self.names(uri) if name != keep]
        with self._translate_errors(uri, Reason.BUCKET_MISSING):
            for name in sorted(names, key=lambda name: name != MANIFEST):
                self._client.delete_object(Bucket=bucket, Key=prefix + name)

    @contextmanager
    def _translate_errors(self, uri: str, missing: Reason) -> Iterator[None]:
        """Turns what boto3 raises into a Failure; the one place that knows botocore's words."""
        try:
            yield
        except aws.ClientError as error:
            raise self._client_error(error, uri, missing) from None
        except S3UploadFailedError as error:  # upload_file keeps the cause in its context
            cause = error.__context__
            if isinstance(cause, aws.ClientError):
                raise self._client_error(cause, uri, missing) from None
            raise self._unreachable(uri, error) from None
        except _UNREACHABLE as error:
            raise self._unreachable(uri, error) from None
        except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError):
            sentence = f"no credentials for {self._where} were found: name a Secret in spec.storage.secretRef."
            raise Failure(Reason.INVALID_STORAGE, sentence) from None
        except (aws.ParamValidationError, aws.InvalidRegionError) as error:
            sentence = f"{uri} can't be used at {self._where} ({' '.join(str(error).split())}): correct it."
            raise Failure(Reason.INVALID_STORAGE, sentence) from None
        except aws.BotoCoreError as error:  # its text may quote a request with its signature
            sentence = f"{uri} can't be used at {self._where} ({type(error).__name__}): correct spec.storage."
            raise Failure(Reason.INVALID_STORAGE, sentence) from None

    def _client_error(self, error: aws.ClientError, uri: str, missing: Reason) -> Failure:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        bucket = _split(uri)[0]
        if code == "NoSuchBucket" or (code in _NO_KEY and not self._has_bucket(bucket)):
            return Failure(
                Reason.BUCKET_MISSING,
                f"the bucket {bucket} does not exist at {self._where}: create it, or correct the URI {uri}.",
            )
        if code in _NO_KEY:
            return Failure(missing, f"{uri} does not exist at {self._where}: upload it, or correct the URI.")
        if code == "RequestTimeTooSkewed":
            sentence = f"{self._where} refuses {uri}, because its clock and the node's differ: set the clocks."
            return Failure(Reason.STORAGE_UNREACHABLE, sentence)
        if code in _DENIED or status in (401, 403):
            return Failure(
                Reason.ACCESS_DENIED,
                f"{self._where} refuses {uri} ({code}): correct the Secret's keys, or give their owner access.",
            )
        if status >= 500 or status in _TRANSIENT or code in ("SlowDown", "RequestTimeout"):
            return Failure(Reason.STORAGE_UNREACHABLE, f"{self._where} can't serve {uri} now ({code}).")
        return Failure(Reason.INVALID_STORAGE, f"{self._where} does not take {uri}: {error}")

    def _unreachable(self, uri: str, error: Exception) -> Failure:
        return Failure(
            Reason.STORAGE_UNREACHABLE,
            f"{self._where} does not answer for {uri} ({type(error).__name__}): check spec.storage.endpoint and the "
            "network between the pod and it.",
        )

    def _corrupt(self, uri: str) -> Failure:
        sentence = f"{self._where} gives back something else than what {uri} holds: check it, and the network."
        return Failure(Reason.STORAGE_UNREACHABLE, sentence)

    def _has_bucket(self, bucket: str) -> bool:
        try:
            self._client.head_bucket(Bucket=bucket)
        except aws.ClientError as error:
            return str(error.response.get("Error", {}).get("Code", "")) not in {"404", "NoSuchBucket", "NotFound"}
        except aws.BotoCoreError:  # nobody can say: the key is the likelier mistake
            return True
        return True


def _check_keys() -> None:
    """Refuses what a Secret made by `echo KEY | base64` holds, in words that do not quote it."""
    for credential in STORAGE:
        value = os.environ.get(credential.variable, "")
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            sentence = (
                f"the Secret's {credential.key} has a line break, a space or another such character: write it without."
            )
            raise Failure(Reason.ACCESS_DENIED, sentence)


def _object(uri: str) -> tuple[str, str]:
    """An object's bucket and key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _split(uri: str) -> tuple[str, str]:
    """A folder's bucket, and the prefix that its keys begin with."""
    bucket, path = _object(uri)
    path = path.strip("/")
    return bucket, f"{path}/" if path else ""


def _manifest_of(folder: Path) -> Manifest:
    """What a folder on disk holds."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return Manifest.of(
        FileEntry(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=_sha256(path))
        for path in files
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
