from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure


def test_failure_has_a_message_and_a_reason() -> None:
    failure = Failure(Reason.SOURCE_MISSING, "it is gone: upload it.")
    assert (str(failure), failure.reason, failure.model) == ("it is gone: upload it.", Reason.SOURCE_MISSING, None)
