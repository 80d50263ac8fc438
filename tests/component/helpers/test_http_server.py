import socket
import struct

import pytest

from http_server import QuietHandler, QuietServer, moto_server

GET = b"GET / HTTP/1.1\r\n\r\n"


class Large(QuietHandler):
    def do_GET(self) -> None:
        for _ in range(100):
            self.respond(200, b"x" * (1 << 20))


class Failing(QuietHandler):
    def do_GET(self) -> None:
        raise ValueError("a bug in the test")


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_lost_client_prints_nothing(capfd: pytest.CaptureFixture[str], reset: bool) -> None:
    with QuietServer(Large) as server:
        server.daemon_threads = False
        with socket.create_connection(server.server_address) as client:
            client.sendall(GET)
            assert client.recv(1)
            if reset:  # closing with a linger time of 0 resets the connection (tcp(7), SO_LINGER)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert capfd.readouterr() == ("", "")


def test_bug_in_a_handler_prints_its_stack_trace(capfd: pytest.CaptureFixture[str]) -> None:
    with QuietServer(Failing) as server:
        server.daemon_threads = False
        with socket.create_connection(server.server_address) as client:
            client.sendall(GET)
            assert client.recv(1) == b""
    assert "ValueError: a bug in the test" in capfd.readouterr().err


def test_half_a_request_to_moto_prints_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    half = b"PUT /bucket/key HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    with moto_server() as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.sendall(half)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000).startswith(b"HTTP/1.1 500")
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name == "werkzeug"]
