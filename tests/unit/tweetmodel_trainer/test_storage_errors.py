from typing import Any

import pytest
from botocore.exceptions import HTTPClientError

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage


def test_missing_credentials_are_reported(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Failure) as failure:
        Storage(Spec(uri="s3://bucket", endpoint=endpoint)).check_bucket("s3://bucket")
    assert failure.value.reason is Reason.INVALID_STORAGE
    assert "secretRef" in str(failure.value)


def test_text_of_botocore_errors_is_not_shown(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise HTTPClientError(error=ValueError("Invalid header value b'AWS4-HMAC-SHA256 Credential=AKIDSECRET'"))

    monkeypatch.setattr(storage._client, "list_objects_v2", fail)
    with pytest.raises(Failure) as failure:
        storage.check_bucket("s3://bucket/x")
    assert failure.value.reason is Reason.INVALID_STORAGE
    assert "AKIDSECRET" not in str(failure.value)
