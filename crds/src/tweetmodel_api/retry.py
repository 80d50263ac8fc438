"""The annotation by which a person requests a retry."""

from tweetmodel_api import GROUP

RETRY_ANNOTATION = f"{GROUP}/retry"
"""Annotation of a TweetModel; each new value requests one retry."""


def retry_command(namespace: str, name: str) -> str:
    """Return the command for requesting a retry of a TweetModel."""
    return f"kubectl annotate tm {name} -n {namespace} {RETRY_ANNOTATION}=$(date +%s) --overwrite"
