"""Google's REST APIs through google-api-python-client: a client for each thread, and answers told apart from errors."""

import json
import logging
import threading
from http.client import HTTPException
from typing import Any

import httplib2
from google.auth.exceptions import TransportError
from googleapiclient import discovery
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest

from shared.errors import Busy
from shared.failures import ApiError

# It warns of a timeout that it cannot pass on, at each refresh of a token; our clients have one of their own.
logging.getLogger("google_auth_httplib2").setLevel(logging.ERROR)

Answer = dict[str, Any]
"""A JSON object, as the API's description has it."""


class Api:
    """One API, at another address if one is given. Each thread has a client of its own: httplib2 cannot be shared."""

    def __init__(self, name: str, version: str, endpoint: str | None) -> None:
        self._name = name
        self._version = version
        self._endpoint = endpoint
        self._of_thread = threading.local()

    def resource(self, path: str) -> Any:
        """
        The methods of a resource, such as `projects.locations.jobs`. The whole API is "".

        They are made once a thread: for a large resource that takes 10 ms.
        """
        made: dict[str, discovery.Resource] = self._of_thread.__dict__
        if path not in made:
            within, _, name = path.rpartition(".")
            made[path] = getattr(self.resource(within), name)() if path else self._client()
        return made[path]

    def _client(self) -> discovery.Resource:
        """A client, made from the description of the API that the library ships."""
        options = {"api_endpoint": self._endpoint} if self._endpoint else None
        return discovery.build(self._name, self._version, client_options=options, cache_discovery=False)


class Refused(Exception):  # noqa: N818 - it says what the answer was, not that the call went wrong
    """The API has answered with an error."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def answer(request: HttpRequest, what: str, *, by_id: bool = False) -> Answer:
    """The answer to a request for `what`. Raises Refused for an error, Busy if there is no answer."""
    try:
        found: Answer = request.execute()
    except HttpError as error:
        raise Refused(ApiError(what, error.status_code, _reasons(error), str(error.reason), by_id)) from error
    except (OSError, httplib2.HttpLib2Error, HTTPException, TransportError) as error:
        raise Busy(f"{what}: no answer, {type(error).__name__}") from error
    return found


def _reasons(error: HttpError) -> set[str]:
    """Google's words for the error. The client's own `error_details` leaves them out where the answer has `details`, too."""
    try:
        errors = json.loads(error.content)["error"]["errors"]
        return {each.get("reason", "") for each in errors}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()
