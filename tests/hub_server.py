"""Has a local server take the place of the Hugging Face Hub."""

from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub.constants
import pytest

from http_server import QuietServer


@contextmanager
def served_as_hub(server: QuietServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serves while the block runs; the Hub's client asks there."""
    template = huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE
    here = template.replace(huggingface_hub.constants.ENDPOINT, server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", here)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
    with server:
        yield
