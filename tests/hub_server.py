"""Replaces the Hugging Face Hub by a local server."""

from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub.constants
import pytest

from http_server import QuietServer


@contextmanager
def served_as_hub(server: QuietServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve in the `with` block, and direct the client of the Hub to the server."""
    template = huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE
    here = template.replace(huggingface_hub.constants.ENDPOINT, server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", here)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
    with server:
        yield
