"""Posts the messages of a backlog to an HTTP endpoint, with retries. Used for Pub/Sub's pushes and for Eventarc."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

from local.pubsub.backlog import Backlog, Delivery

Wire = Callable[[Delivery], tuple[Mapping[str, str], bytes]]

OUTSTANDING = 8
"""The most deliveries that are out at once. Pub/Sub raises its limit after successes. Here it is constant."""

# Source: https://cloud.google.com/pubsub/docs/push#receive_push
_ACKNOWLEDGED = {102, 200, 201, 202, 204}


class Push:
    """
    Delivers to one endpoint until `stop`. `wire` gives the headers and body of a delivery.

    A call that is not answered within the acknowledgement deadline is cut, even if the receiver is still working. While
    `twice` returns True, each delivery is made a second time before it is acknowledged.
    """

    def __init__(self, backlog: Backlog, endpoint: str, wire: Wire, twice: Callable[[], bool]) -> None:
        self._backlog = backlog
        self._endpoint = urlsplit(endpoint)
        self._wire = wire
        self._twice = twice
        self._gone = Event()
        self._lock = Lock()
        self._connected: set[socket.socket] = set()
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(OUTSTANDING)]
        for thread in self._threads:
            thread.start()

    def retire(self) -> None:
        """Start no more deliveries. Those that are in progress continue."""
        self._gone.set()
        self._backlog.wake()

    def stop(self) -> None:
        """Start no more deliveries, cut those in progress, and return when all threads have ended."""
        self.retire()
        with self._lock:
            for connected in self._connected:
                with suppress(OSError):  # the other side has closed it
                    connected.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while taken := self._backlog.take(1, self._gone):
            self._deliver(taken[0])

    def _deliver(self, delivery: Delivery) -> None:
        if self._post(delivery) and (not self._twice() or self._post(delivery)):
            self._backlog.acknowledge(delivery.ack_id)
        else:
            self._backlog.modify(delivery.ack_id, 0)

    def _post(self, delivery: Delivery) -> bool:
        headers, body = self._wire(delivery)
        target = self._endpoint._replace(scheme="", netloc="").geturl() or "/"
        try:
            with self._connection() as connection:
                connection.request("POST", target, body, dict(headers))
                with connection.getresponse() as response:
                    response.read()
                    return response.status in _ACKNOWLEDGED
        except (OSError, HTTPException):
            return False

    @contextmanager
    def _connection(self) -> Iterator[HTTPConnection]:
        timeout = self._backlog.terms.ack_deadline
        connection = HTTPConnection(self._endpoint.hostname or "", self._endpoint.port, timeout=timeout)
        connection.connect()
        connected = connection.sock
        try:
            with self._lock:
                if self._gone.is_set():
                    raise ConnectionAbortedError
                self._connected.add(connected)
            yield connection
        finally:
            with self._lock:
                self._connected.discard(connected)
            connection.close()
