#!/usr/bin/env python3
"""Upload a file to the cluster's S3 server, and create the bucket if it is missing: `bucket.py BUCKET KEY FILE`.

Tests use the same connection: a port-forward to the Service `s3` with the credentials of the Secret `s3`.
"""

import argparse
import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# versitygw, like most S3 servers other than AWS, rejects the checksums that boto3 adds by default.
CONFIG = Config(
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@contextmanager
def connect(context: str, namespace: str) -> Iterator["S3Client"]:
    """Yield a client of the S3 server in a namespace; the port-forward ends with the context manager."""
    kubectl = ["kubectl", "--context", context, "--namespace", namespace]
    secret = json.loads(subprocess.check_output([*kubectl, "get", "secret", "s3", "--output", "jsonpath={.data}"]))
    key_id, key = (base64.b64decode(secret[name]).decode() for name in ("accessKeyID", "secretAccessKey"))
    command = [*kubectl, "port-forward", "service/s3", ":7070"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            # "Forwarding from 127.0.0.1:41234 -> 7070"; if it fails, stdout is empty and stderr has the cause.
            line = forward.stdout.readline() if forward.stdout else ""
            if not line:
                raise ConnectionError(f"no port-forward to service/s3 in {namespace}")
            yield boto3.client(
                "s3",
                endpoint_url=f"http://{line.split()[2]}",
                region_name="us-east-1",
                aws_access_key_id=key_id,
                aws_secret_access_key=key,
                config=CONFIG,
            )
        finally:
            forward.terminate()


def upload(client: "S3Client", bucket: str, key: str, file: str) -> None:
    """Upload a file, and create the bucket if it is missing."""
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    client.upload_file(file, bucket, key)


def main() -> None:
    """Upload the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bucket")
    parser.add_argument("key")
    parser.add_argument("file")
    parser.add_argument("--context", required=True)
    parser.add_argument("--namespace", "-n", default="default")
    arguments = parser.parse_args()
    with connect(arguments.context, arguments.namespace) as client:
        upload(client, arguments.bucket, arguments.key, arguments.file)


if __name__ == "__main__":
    main()
