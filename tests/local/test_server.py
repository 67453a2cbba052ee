import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from local.server import Answer, Call, Server


@pytest.fixture(name="calls")
def _calls() -> list[Call]:
    return []


@pytest.fixture(name="server")
def _server(calls: list[Call]) -> Iterator[Server]:
    def answering(call: Call) -> Answer:
        calls.append(call)
        return Answer(200)

    server = Server(answering)
    yield server
    server.stop()


@pytest.mark.parametrize("sent", ["", '{"half": '])
def test_nobody_has_called_who_is_gone_before_the_body_is_whole(server: Server, calls: list[Call], sent: str) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as caller:
        caller.sendall(f"POST /gone HTTP/1.1\r\nContent-Length: 14\r\n\r\n{sent}".encode())
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(1) == b""  # closed without an answer

    assert requests.post(f"{server.url}/whole", data=b'{"half": null}', timeout=10).ok
    assert [(call.target, call.body) for call in calls] == [("/whole", b'{"half": null}')]
