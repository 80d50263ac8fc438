"""The request for a retry."""

from tweetmodel_api.retry import retry_command


def test_retry_command_annotates_the_tweetmodel() -> None:
    command = "kubectl annotate tm ada -n tweets tweetmodel.dev/retry=$(date +%s) --overwrite"
    assert retry_command("tweets", "ada") == command
