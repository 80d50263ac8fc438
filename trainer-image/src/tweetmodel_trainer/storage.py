"""The client of S3. A folder exists once its MANIFEST.json exists; writers write the manifest last, readers verify it.

The default checksums of boto3 break services other than AWS (boto/boto3#4392), so with an endpoint in the spec
checksums are sent only where required. The SHA-256 in the manifest protects the data in any case.
"""

import hashlib
import logging
import os
from mimetypes import guess_type
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as aws
from botocore.config import Config
from pydantic import ValidationError

from tweetmodel_api.credentials import STORAGE
from tweetmodel_api.layout import MANIFEST, FileEntry, Manifest
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.model_cache import NO_CACHE, Cache
from tweetmodel_trainer.storage_errors import StorageErrors, bucket_is_missing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef

logger = logging.getLogger(__name__)

MAX_READS = 2
"""Number of attempts to read data that matches its manifest; the first may be corrupted in transit."""


class IncompleteFolder(Exception):
    """A folder does not exist, or does not match the manifest."""


class Storage:
    """The S3 service of spec.storage. Failures name the URI and the service."""

    def __init__(self, spec: Spec) -> None:
        """Create a client, without a request.

        Raises:
            Failure: AccessDenied if a key has invalid characters; InvalidStorage if endpoint or region are invalid.
        """
        _check_keys()
        is_aws = spec.endpoint is None
        checksums: Literal["when_required", "when_supported"] = "when_supported" if is_aws else "when_required"
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={} if is_aws else {"addressing_style": "path"},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
        )
        try:
            self._client: S3Client = boto3.Session().client(
                "s3", endpoint_url=spec.endpoint, region_name=spec.region, config=config
            )
        except ValueError as error:
            raise Failure(Reason.INVALID_STORAGE, f"spec.storage can't be used ({error}): correct it.") from None
        self._errors = StorageErrors(spec.endpoint or f"AWS S3 in {spec.region}", self._bucket_exists)
        self._transfer = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=64 << 20)

    def check_bucket(self, uri: str) -> None:
        """Check early for a readable bucket.

        Raises:
            Failure: BucketMissing, AccessDenied, StorageUnreachable or InvalidStorage.
        """
        bucket, prefix = _split_folder(uri)
        with self._errors.translate(uri, Reason.BUCKET_MISSING):
            self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)

    def download_object(self, uri: str, path: Path, missing: Reason = Reason.SOURCE_MISSING) -> None:
        """Download an object to a file.

        Args:
            uri: URI of the object.
            path: file to write.
            missing: reason of the failure if the object does not exist.

        Raises:
            Failure: `missing`, or as `check_bucket`.
        """
        if not _split_object(uri)[1].strip("/"):
            raise Failure(missing, f"{uri} names a bucket without an object: add the key of the object.")
        size = self._head(uri, missing)["ContentLength"]
        self._download(uri, path, missing)
        if path.stat().st_size != size:  # the Content-Length of a truncated body may match the body
            raise self._errors.corrupt(uri)

    def etag(self, uri: str) -> str:
        """Return the ETag of an object, a version of the content; empty if the service sends none.

        Raises:
            Failure: SourceMissing if the object does not exist, or as `check_bucket`.
        """
        return self._head(uri, Reason.SOURCE_MISSING).get("ETag", "")

    def etags(self, uri: str) -> dict[str, str]:
        """Return the ETags of the objects in a folder, by relative path; empty ETags if the service sends none.

        Raises:
            Failure: as `check_bucket`.
        """
        return {path: item.get("ETag", "") for path, item in self._list_objects(uri).items()}

    def _head(self, uri: str, missing: Reason) -> "HeadObjectOutputTypeDef":
        bucket, key = _split_object(uri)
        with self._errors.translate(uri, missing):
            return self._client.head_object(Bucket=bucket, Key=key)

    def _download(self, uri: str, path: Path, missing: Reason) -> None:
        bucket, key = _split_object(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors.translate(uri, missing):
            self._client.download_file(bucket, key, str(path), Config=self._transfer)

    def upload_folder(self, folder: Path, uri: str, *, replace: bool = False) -> Manifest:
        """Upload every file of a folder, then the manifest.

        Remains of a failed attempt are deleted first, so old and new files never mix. An existing folder is verified by
        checksums. The upload is verified by sizes only: to read every checkpoint back would double the time.

        Args:
            folder: folder on disk.
            uri: URI of the folder in storage.
            replace: True to replace a complete folder with other content; by default the complete folder is kept.

        Returns:
            The manifest of the folder in storage.

        Raises:
            Failure: as `check_bucket`.
        """
        manifest = _manifest_of(folder)
        stored = self.manifest(uri)
        may_keep = stored is not None and (stored == manifest or not replace)
        if stored and may_keep and self._checksums_match(uri, stored, folder.parent):
            return stored
        if self.names(uri):
            self.delete(uri)
        self._upload(manifest, folder, uri)
        logger.info("uploaded %d files to %s", len(manifest.files), uri)
        return manifest

    def _upload(self, manifest: Manifest, folder: Path, uri: str) -> None:
        bucket, prefix = _split_folder(uri)
        with self._errors.translate(uri, Reason.BUCKET_MISSING):
            for entry in manifest.files:
                content_type = guess_type(entry.path)[0] or "application/octet-stream"
                arguments = {"ContentType": content_type}  # browsers need the type to open a page
                path, key = str(folder / entry.path), prefix + entry.path
                self._client.upload_file(path, bucket, key, ExtraArgs=arguments, Config=self._transfer)
            if not self.sizes_match(uri, manifest):
                raise self._errors.corrupt(uri)
            body = manifest.model_dump_json(by_alias=True, indent=1).encode()
            self._client.put_object(Bucket=bucket, Key=prefix + MANIFEST, Body=body)
        if self.manifest(uri) != manifest:
            raise self._errors.corrupt(uri)

    def write_object(self, uri: str, body: bytes) -> None:
        """Write an object, atomically.

        Raises:
            Failure: as `check_bucket`.
        """
        bucket, key = _split_object(uri)
        with self._errors.translate(uri, Reason.BUCKET_MISSING):
            self._client.put_object(Bucket=bucket, Key=key, Body=body)

    def manifest(self, uri: str) -> Manifest | None:
        """Return the manifest of a folder, or None if the manifest is missing or invalid.

        Raises:
            Failure: as `check_bucket`.
        """
        bucket, prefix = _split_folder(uri)
        for _ in range(MAX_READS):
            try:
                with self._errors.translate(uri, Reason.SOURCE_MISSING):
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
        """Return whether a folder has every file of the manifest, with equal size and SHA-256."""
        if not self.sizes_match(uri, manifest):
            return False
        with TemporaryDirectory(dir=workdir) as folder:
            try:
                return self.download_folder(uri, Path(folder)) == manifest
            except IncompleteFolder:
                return False

    def sizes_match(self, uri: str, manifest: Manifest) -> bool:
        """Return whether a folder has every file of the manifest, with equal size.

        Raises:
            Failure: as `check_bucket`.
        """
        sizes = {path: item["Size"] for path, item in self._list_objects(uri).items()}
        return all(sizes.get(entry.path) == entry.size for entry in manifest.files)

    def download_folder(self, uri: str, folder: Path, cache: Cache = NO_CACHE) -> Manifest:
        """Download a folder and verify every file.

        Args:
            uri: URI of the folder.
            folder: folder on disk to write.
            cache: files of earlier downloads.

        Returns:
            The manifest of the folder.

        Raises:
            IncompleteFolder: there is no manifest, or a file is missing or does not match the manifest.
            Failure: as `check_bucket`.
        """
        for _ in range(MAX_READS):
            manifest = self.manifest(uri)
            if manifest is None:
                raise IncompleteFolder(f"{uri} has no manifest")
            wrong = next((e.path for e in manifest.files if not self._download_file(e, uri, folder, cache)), None)
            if wrong is None:
                return manifest
        raise IncompleteFolder(f"{uri}/{wrong} does not match its manifest")

    def _download_file(self, entry: FileEntry, uri: str, folder: Path, cache: Cache) -> bool:
        """Get a file from the cache or by a download, and return whether the file exists and matches the manifest."""
        path = folder / entry.path
        if cache.get(entry.sha256, path):
            return True
        try:
            self._download(f"{uri}/{entry.path}", path, Reason.SOURCE_MISSING)
        except Failure as failure:
            if failure.reason is Reason.SOURCE_MISSING:
                return False
            raise
        matches = path.stat().st_size == entry.size and _sha256(path) == entry.sha256
        if matches:
            cache.put(entry.sha256, path)
        return matches

    def names(self, uri: str) -> list[str]:
        """Return the relative paths of the objects in a folder, sorted.

        Raises:
            Failure: as `check_bucket`.
        """
        return sorted(self._list_objects(uri))

    def _list_objects(self, uri: str) -> "dict[str, ObjectTypeDef]":
        """Return the objects in a folder, by relative path."""
        bucket, prefix = _split_folder(uri)
        with self._errors.translate(uri, Reason.BUCKET_MISSING):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return {item["Key"][len(prefix) :]: item for page in pages for item in page.get("Contents", [])}

    def delete(self, uri: str, *, keep: str = "") -> None:
        """Delete the objects in a folder, the manifest first, so an interrupted deletion leaves no valid folder.

        Args:
            uri: URI of the folder.
            keep: relative path of an object to keep.

        Raises:
            Failure: as `check_bucket`.
        """
        bucket, prefix = _split_folder(uri)
        names = [name for name in self.names(uri) if name != keep]
        with self._errors.translate(uri, Reason.BUCKET_MISSING):
            for name in sorted(names, key=lambda name: name != MANIFEST):
                self._client.delete_object(Bucket=bucket, Key=prefix + name)

    def _bucket_exists(self, bucket: str) -> bool:
        try:
            self._client.head_bucket(Bucket=bucket)
        except aws.ClientError as error:
            return not bucket_is_missing(error)
        except aws.BotoCoreError:  # unknown; a wrong key is more likely than a missing bucket
            return True
        return True


def _check_keys() -> None:
    """Check the keys for invalid characters, such as the line break of `echo KEY | base64`.

    Raises:
        Failure: AccessDenied; the message does not contain the key.
    """
    for credential in STORAGE:
        value = os.environ.get(credential.variable, "")
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            message = (
                f"{credential.key} in the Secret contains a line break, a space or another invalid character: store "
                "the key without it."
            )
            raise Failure(Reason.ACCESS_DENIED, message)


def _split_object(uri: str) -> tuple[str, str]:
    """Return bucket and key of an object."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _split_folder(uri: str) -> tuple[str, str]:
    """Return the bucket of a folder, and the prefix of the keys."""
    bucket, path = _split_object(uri)
    path = path.strip("/")
    return bucket, f"{path}/" if path else ""


def _manifest_of(folder: Path) -> Manifest:
    """Return the manifest of a folder on disk."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return Manifest.of(
        FileEntry(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=_sha256(path))
        for path in files
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
