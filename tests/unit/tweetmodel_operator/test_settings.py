import pytest

from tweetmodel_operator.settings import Settings, from_environment


def test_absent_and_empty_variables_leave_the_defaults() -> None:
    assert from_environment({"TWEETMODEL_TRAINER_IMAGE": ""}) == Settings()


def test_each_variable_is_read_by_the_kind_of_its_field() -> None:
    settings = from_environment(
        {
            "TWEETMODEL_BACKOFF_LIMIT": "1",
            "TWEETMODEL_WATCH_NAMESPACES": "a, b",
            "TWEETMODEL_TRAIN_RESOURCES": '{"limits": {"memory": "1Gi"}}',
            "TWEETMODEL_TLS_DIRECTORY": "/tls",
        }
    )
    assert settings.backoff_limit == 1
    assert settings.watch_namespaces == ("a", "b")
    assert settings.train_resources == {"limits": {"memory": "1Gi"}}
    assert str(settings.tls_directory) == "/tls"


def test_a_list_may_be_empty_and_hold_anything() -> None:
    settings = from_environment({"TWEETMODEL_ALLOWED_BASE_MODELS": "[]", "TWEETMODEL_TRAINER_ENV": '[{"name": "A"}]'})
    assert settings.allowed_base_models == ()
    assert settings.trainer_env == ({"name": "A"},)


def test_a_value_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="TWEETMODEL_BACKOFF_LIMIT='many' is invalid"):
        from_environment({"TWEETMODEL_BACKOFF_LIMIT": "many"})


def test_defaults_that_no_spec_could_hold_are_refused_at_the_start() -> None:
    assert from_environment({"TWEETMODEL_DEFAULTS": '{"gpus": 0}'}).defaults == {"gpus": 0}
    with pytest.raises(ValueError, match="TWEETMODEL_DEFAULTS="):
        from_environment({"TWEETMODEL_DEFAULTS": '{"epochs": 3}'})
