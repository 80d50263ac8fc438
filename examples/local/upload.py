"""Creates the bucket of the local plans and uploads a made-up archive: `python examples/local/upload.py [ENDPOINT]`."""

import sys
from pathlib import Path

import boto3

sys.path.append(str(Path(__file__).parents[1] / "archive"))

from generate import HANDLE, archive

BUCKET = "tweets"
KEY = f"archives/{HANDLE}.zip"

if __name__ == "__main__":
    endpoint = sys.argv[1] if sys.argv[1:] else "http://127.0.0.1:7070"
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=archive())
    print(f"uploaded s3://{BUCKET}/{KEY} to {endpoint}")
