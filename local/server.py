"""A small HTTP server on loopback, on which the stand-ins for Google's REST services answer."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Thread
from typing import Any


class HangUp(Exception):  # noqa: N818 - it is what the server is asked to do, not something gone wrong
    """Raised while reading or answering a call: the connection is closed without an answer."""


@dataclass(frozen=True)
class Call:
    """One HTTP request. Its target is as it was sent: encoded, with the query; header names are case-insensitive."""

    verb: str
    target: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; its length is added when it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Call], Answer]
Between = Callable[[Call, Answering], Answer]
"""Stands between the callers and the answering, which it calls or not: what it gives, or raises, is the answer."""


class Server:
    """
    Answers calls on a free port of 127.0.0.1, each connection in a thread, until it is stopped.

    A test may set `between`, to have calls go wrong. Whatever is raised but `HangUp` is a bug of ours: the caller gets a
    bare 500, and the thread dies of it.
    """

    def __init__(self, answering: Answering) -> None:
        self.between: Between | None = None
        self._answering = answering
        self._listener = _Listener(self._answer)
        self._thread = Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Without a trailing slash."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def _answer(self, call: Call) -> Answer:
        return self.between(call, self._answering) if self.between else self._answering(call)

    def stop(self) -> None:
        """Close every connection; calls in progress end first. Stopping twice is harmless."""
        if self._thread.is_alive():
            self._listener.shutdown()
            self._thread.join()
            self._listener.server_close()


class _Listener(TCPServer):
    """
    Gives each connection a thread, and ends them all when it closes: clients keep theirs open between calls.

    Not http.server's HTTPServer, which looks its own name up, and so may ask a name server.
    """

    request_queue_size = 128

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.connections: dict[socket.socket, Thread] = {}
        super().__init__(("127.0.0.1", 0), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        # A thread stays listed until it has ended: what it dies of is told only then.
        self.connections = {connection: thread for connection, thread in self.connections.items() if thread.is_alive()}
        self.connections[request] = thread = Thread(target=self._serve, args=(request, client_address), daemon=True)
        thread.start()

    def _serve(self, connection: socket.socket, client_address: Any) -> None:
        try:
            with suppress(ConnectionError):  # the client went away
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
    """Reads calls from one connection, one after the other."""

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
            raise HangUp  # the caller was killed while it sent: nobody has called, and nobody waits for an answer
        return Call(self.command, self.path, self.headers, body)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:  # which must not have one
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server calls it by
        """Nothing is printed."""
