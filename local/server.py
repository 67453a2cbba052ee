"""A small HTTP server on loopback. The stand-ins for Google's REST services use it."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Thread
from typing import Any


class HangUp(Exception):  # noqa: N818 - it is an instruction to the server, not an error
    """Raised to close the connection without an answer."""


@dataclass(frozen=True)
class Call:
    """One HTTP request. `target` is the path and query as sent, still encoded. Header names are case-insensitive."""

    verb: str
    target: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Content-Length is added when it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Call], Answer]
Between = Callable[[Call, Answering], Answer]
"""Answers calls instead of the server. It is given the server's own answering, which it may call."""


class Server:
    """
    Answers calls on a free port of 127.0.0.1, each connection in a thread of its own, until `stop`.

    A test may set `between` to see calls, or to have them fail. rest.Api says when. Any exception other than `HangUp` is
    a bug of the stand-in: the caller gets a 500 without a body, and the exception ends the thread.
    """

    def __init__(self, answering: Answering) -> None:
        self.between: Between | None = None
        self._answering = answering
        self._listener = _Listener(self._answer)
        self._thread = Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL of the server, without a trailing slash."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def _answer(self, call: Call) -> Answer:
        return self.between(call, self._answering) if self.between else self._answering(call)

    def stop(self) -> None:
        """Let the calls in progress end, then close every connection. A second call does nothing."""
        if self._thread.is_alive():
            self._listener.shutdown()
            self._thread.join()
            self._listener.server_close()


class _Listener(TCPServer):
    """
    Runs a thread for each connection, and ends them all when it closes. Clients keep connections open between calls.

    http.server's HTTPServer is not used: it looks up its own host name, and so may ask a name server.
    """

    request_queue_size = 128

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.connections: dict[socket.socket, Thread] = {}
        super().__init__(("127.0.0.1", 0), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        # A thread stays listed until it has ended. Its exception, if any, is reported only then.
        self.connections = {connection: thread for connection, thread in self.connections.items() if thread.is_alive()}
        self.connections[request] = thread = Thread(target=self._serve, args=(request, client_address), daemon=True)
        thread.start()

    def _serve(self, connection: socket.socket, client_address: Any) -> None:
        try:
            with suppress(ConnectionError):  # the client closed the connection
                self.finish_request(connection, client_address)
        finally:
            self.shutdown_request(connection)

    def server_close(self) -> None:
        super().server_close()
        for connection, thread in self.connections.items():
            with suppress(OSError):  # closed meanwhile
                connection.shutdown(socket.SHUT_RD)
            thread.join()


class _Connection(BaseHTTPRequestHandler):
    """Reads and answers the calls of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    # Headers and body in two packets would cost 40 ms a call (Nagle's algorithm and delayed acknowledgements).
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Listener

    def _answer(self) -> None:
        answer: Answer | None = Answer(500)
        try:
            answer = self.server.answering(self._call())
        except HangUp:
            answer, self.close_connection = None, True
        finally:
            if answer:
                self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

    def _call(self) -> Call:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        if len(body) < length:
            raise HangUp  # the caller was killed while it sent the request: nobody waits for an answer
        return Call(self.command, self.path, self.headers, body)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:  # 204 must not have a Content-Length
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server calls it by
        """Print nothing."""
