#!/usr/bin/env python3
"""Puts a file into the cluster's S3 service and makes its bucket where missing: `bucket.py BUCKET KEY FILE`.

`bucket_service` hands tests the same connection: a port-forward to Service `s3`, with the credentials of
the Secret `s3`, both of one namespace.
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

# versitygw, like most stores that are not AWS, doesn't want the checksums that boto3 adds by default.
CONFIG = Config(
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@contextmanager
def bucket_service(context: str, namespace: str) -> Iterator["S3Client"]:
    """A client for the namespace's S3 service, for as long as the port-forward lives."""
    kubectl = ["kubectl", "--context", context, "--namespace", namespace]
    secret = json.loads(subprocess.check_output([*kubectl, "get", "secret", "s3", "--output", "jsonpath={.data}"]))
    key_id, key = (base64.b64decode(secret[name]).decode() for name in ("accessKeyID", "secretAccessKey"))
    command = [*kubectl, "port-forward", "service/s3", ":7070"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            # "Forwarding from 127.0.0.1:41234 -> 7070"; nothing where it failed, after a line on stderr.
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


def put(client: "S3Client", bucket: str, key: str, file: str) -> None:
    """Uploads a file; makes the bucket where it is missing."""
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    client.upload_file(file, bucket, key)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bucket")
    parser.add_argument("key")
    parser.add_argument("file")
    parser.add_argument("--context", required=True)
    parser.add_argument("--namespace", "-n", default="default")
    arguments = parser.parse_args()
    with bucket_service(arguments.context, arguments.namespace) as client:
        put(client, arguments.bucket, arguments.key, arguments.file)
