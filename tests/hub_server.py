"""Has a local server take the place of the Hugging Face Hub."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer

import huggingface_hub.constants
import pytest


@contextmanager
def served_as_hub(server: BaseServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serves while the block runs; the Hub's client asks there."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    template = huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE
    here = template.replace(huggingface_hub.constants.ENDPOINT, address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", here)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    yield
    server.shutdown()
    thread.join()
    server.server_close()
