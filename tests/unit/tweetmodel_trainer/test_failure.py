from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure, retry_command


def test_failure_has_a_message_and_a_reason() -> None:
    failure = Failure(Reason.SOURCE_MISSING, "it is gone: upload it.")
    assert (str(failure), failure.reason, failure.model) == ("it is gone: upload it.", Reason.SOURCE_MISSING, None)


def test_retry_command_annotates_the_tweetmodel() -> None:
    command = "kubectl annotate tm ada -n tweets tweetmodel.dev/retry=$(date +%s) --overwrite"
    assert retry_command("tweets", "ada") == command
