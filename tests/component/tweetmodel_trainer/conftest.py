"""S3 in this process (moto), and steps that run as in pods."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from http_server import moto_server
from plans import step_runner
from trainer_fixtures import context, credentials, make_plan, reader, sigterm_handler, storage, written  # noqa: F401
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report

# The models are too small for several threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def s3(endpoint: str) -> Any:
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)


@pytest.fixture
def bucket(s3: Any) -> str:
    """A new bucket."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def keys(s3: Any, bucket: str) -> Callable[[], list[str]]:
    """Returns all keys in the bucket."""
    return lambda: [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture
def put(s3: Any, bucket: str) -> Callable[[str, bytes], None]:
    return lambda key, body: s3.put_object(Bucket=bucket, Key=key, Body=body) and None


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Plan], tuple[int, Report]]:
    """Runs the step of a plan as a pod does, and returns exit code and report."""
    return step_runner(tmp_path)
