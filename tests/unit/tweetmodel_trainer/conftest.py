"""Plans whose storage can't be reached."""

import pytest

from trainer_fixtures import context, credentials, make_plan, reader, sigterm_handler, storage, written  # noqa: F401


@pytest.fixture
def endpoint() -> str:
    return "https://s3.example.org"


@pytest.fixture
def bucket() -> str:
    return "bucket"
