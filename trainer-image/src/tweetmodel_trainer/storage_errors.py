"""Translates the errors of boto3 into failures of a step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore import exceptions as aws
from s3transfer.exceptions import S3DownloadFailedError

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure

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
_NO_BUCKET = {"404", "NoSuchBucket", "NotFound"}
_NO_KEY = {"404", "NoSuchKey", "NotFound"}
_TRANSIENT = {"SlowDown", "RequestTimeout"}
_TRANSIENT_STATUS = {408, 409, 425, 429}
"""Status codes below 500 of transient errors."""
_UNREACHABLE = (
    aws.EndpointConnectionError,
    aws.ConnectionClosedError,
    aws.ConnectTimeoutError,
    aws.ReadTimeoutError,
    aws.ProxyConnectionError,
    aws.SSLError,
    aws.IncompleteReadError,
    aws.ResponseStreamingError,
    aws.FlexibleChecksumError,  # a body that was corrupted in transit
    RetriesExceededError,  # a body that ended early in each attempt
    S3DownloadFailedError,  # an object that was overwritten during the download
)


@dataclass(frozen=True)
class StorageErrors:
    """Translates the errors of a storage service."""

    service: str
    """Name of the service for messages: the endpoint, or AWS and the region."""
    bucket_exists: Callable[[str], bool]
    """Returns whether a bucket exists; called after a 404 without details."""

    @contextmanager
    def translate(self, uri: str, missing: Reason) -> Iterator[None]:
        """Turn errors of boto3 in the `with` block into failures.

        Args:
            uri: URI of the request, for the message.
            missing: reason of the failure if the object does not exist.

        Raises:
            Failure: `missing`, BucketMissing, AccessDenied, StorageUnreachable or InvalidStorage.
        """
        try:
            yield
        except aws.ClientError as error:
            raise self._response_failure(error, uri, missing) from None
        except S3UploadFailedError as error:
            cause = error.__context__  # upload_file does not set __cause__
            if isinstance(cause, aws.ClientError):
                raise self._response_failure(cause, uri, missing) from None
            raise self._unreachable(uri, error) from None
        except _UNREACHABLE as error:
            raise self._unreachable(uri, error) from None
        except aws.BotoCoreError as error:
            raise self._configuration_failure(error, uri) from None

    def corrupt(self, uri: str) -> Failure:
        """Return the failure for data with a wrong size or checksum."""
        message = f"{self.service} returned corrupt data for {uri}: check the storage service and the network."
        return Failure(Reason.STORAGE_UNREACHABLE, message)

    def _response_failure(self, error: aws.ClientError, uri: str, missing: Reason) -> Failure:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _NO_BUCKET | _NO_KEY:
            return self._not_found(code, uri, missing)
        if code == "RequestTimeTooSkewed":
            message = (
                f"{self.service} rejects the request for {uri} (the clocks of the service and of the node differ): "
                "synchronize the clocks."
            )
            return Failure(Reason.STORAGE_UNREACHABLE, message)
        if code in _DENIED or status in (401, 403):
            message = (
                f"{self.service} denies access to {uri} ({code}): correct the keys in the Secret, or grant their owner "
                "access."
            )
            return Failure(Reason.ACCESS_DENIED, message)
        if status >= 500 or status in _TRANSIENT_STATUS or code in _TRANSIENT:
            message = f"{self.service} can't serve {uri} now ({code}): wait until the service recovers."
            return Failure(Reason.STORAGE_UNREACHABLE, message)
        message = f"{self.service} rejects the request for {uri} ({error}): correct spec.storage."
        return Failure(Reason.INVALID_STORAGE, message)

    def _not_found(self, code: str, uri: str, missing: Reason) -> Failure:
        bucket = uri.removeprefix("s3://").partition("/")[0]
        if code == "NoSuchBucket" or not self.bucket_exists(bucket):
            message = f"the bucket {bucket} does not exist at {self.service}: create it, or correct the URI {uri}."
            return Failure(Reason.BUCKET_MISSING, message)
        return Failure(missing, f"{uri} does not exist at {self.service}: upload it, or correct the URI.")

    def _unreachable(self, uri: str, error: Exception) -> Failure:
        message = (
            f"{self.service} does not respond to the request for {uri} ({type(error).__name__}): check "
            "spec.storage.endpoint and the network between the pod and the service."
        )
        return Failure(Reason.STORAGE_UNREACHABLE, message)

    def _configuration_failure(self, error: aws.BotoCoreError, uri: str) -> Failure:
        if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError | aws.CredentialRetrievalError):
            message = f"no credentials for {self.service} were found: name a Secret in spec.storage.secretRef."
        elif isinstance(error, aws.ParamValidationError | aws.InvalidRegionError):
            message = f"{uri} can't be used at {self.service} ({' '.join(str(error).split())}): correct the URI."
        else:  # the text may contain a request with its signature
            message = f"{uri} can't be used at {self.service} ({type(error).__name__}): correct spec.storage."
        return Failure(Reason.INVALID_STORAGE, message)


def bucket_is_missing(error: aws.ClientError) -> bool:
    """Return whether a request for a bucket failed because the bucket does not exist."""
    return str(error.response.get("Error", {}).get("Code", "")) in _NO_BUCKET
