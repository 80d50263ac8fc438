import pytest

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_key_with_a_line_break_is_reported_and_not_shown(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "AKIDSECRET\n")
    with pytest.raises(Failure) as failure:
        Storage(Spec(uri="s3://bucket", endpoint=endpoint))
    assert failure.value.reason is Reason.ACCESS_DENIED
    assert "line break" in str(failure.value)
    assert "AKIDSECRET" not in str(failure.value)
