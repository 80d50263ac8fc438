"""Settings of the administrator from environment variables."""

import re

import pytest

from tweetmodel_operator.settings import Settings, from_environment


def test_absent_and_empty_variables_leave_the_defaults() -> None:
    assert from_environment({"TWEETMODEL_TRAINER_IMAGE": ""}) == Settings()


def test_each_variable_is_parsed_by_the_type_of_its_field() -> None:
    settings = from_environment(
        {
            "TWEETMODEL_BACKOFF_LIMIT": "1",
            "TWEETMODEL_WATCH_NAMESPACES": "a, b",
            "TWEETMODEL_TRAIN_RESOURCES": '{"limits": {"memory": "1Gi"}}',
            "TWEETMODEL_TLS_DIRECTORY": "/tls",
            "TWEETMODEL_X_API_ENABLED": "true",
        }
    )
    assert settings.backoff_limit == 1
    assert settings.watch_namespaces == ("a", "b")
    assert settings.train_resources == {"limits": {"memory": "1Gi"}}
    assert str(settings.tls_directory) == "/tls"
    assert settings.x_api_enabled is True


def test_a_list_can_be_empty_and_contain_objects() -> None:
    settings = from_environment({"TWEETMODEL_ALLOWED_BASE_MODELS": "[]", "TWEETMODEL_TRAINER_ENV": '[{"name": "A"}]'})
    assert settings.allowed_base_models == ()
    assert settings.trainer_env == ({"name": "A"},)


@pytest.mark.parametrize(
    ("name", "text"),
    [("BACKOFF_LIMIT", "many"), ("X_API_ENABLED", "yes"), ("TRAIN_RESOURCES", "{"), ("TRAINER_ENV", "[")],
    ids=["integer", "boolean", "object", "list"],
)
def test_an_invalid_value_is_named(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"TWEETMODEL_{name}={text!r} is invalid")):
        from_environment({f"TWEETMODEL_{name}": text})


def test_defaults_that_no_spec_can_contain_are_rejected_at_the_start() -> None:
    assert from_environment({"TWEETMODEL_DEFAULTS": '{"gpus": 0}'}).defaults == {"gpus": 0}
    with pytest.raises(ValueError, match="TWEETMODEL_DEFAULTS="):
        from_environment({"TWEETMODEL_DEFAULTS": '{"epochs": 3}'})


def test_excluded_handles_are_compared_in_lower_case_without_an_at_sign() -> None:
    assert Settings(excluded_accounts=("@Bob", "eve", "EVE")).excluded_handles == ("bob", "eve")
