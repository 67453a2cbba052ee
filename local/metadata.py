"""
A stand-in for the metadata server of Compute Engine and Cloud Run, which gives Google's libraries their credentials.

It serves what google-auth needs for an access token and the project. Differences from the real server: the token grants
nothing, there is no identity token, and every other path is 404.
"""

import json
from typing import Any, Self
from urllib.parse import urlsplit

from local.server import Answer, Call, Server

_HEADERS = {"Metadata-Flavor": "Google"}
_ROOT = "/computeMetadata/v1/"


class Metadata:
    """
    The metadata of a machine in a project.

    The account has the name of a GKE workload. For one named `...gserviceaccount.com`, google-auth would ask IAM on the
    real internet for the regions that the account is restricted to.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        self._server = Server(self._answer)
        host = self._server.url.removeprefix("http://")
        self.environ = {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}
        """Environment variables by which a process finds the server. They must be set when it starts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server."""
        self._server.stop()

    def _answer(self, call: Call) -> Answer:
        path = urlsplit(call.target).path
        if path == "/":  # the libraries check that there is a metadata server
            return Answer(200, headers=_HEADERS)
        if call.verb != "GET" or call.headers.get("Metadata-Flavor") != "Google":
            return Answer(403, headers=_HEADERS)
        known = self._known().get(path.removeprefix(_ROOT))
        if known is None or not path.startswith(_ROOT):
            return Answer(404, headers=_HEADERS)
        if isinstance(known, str):
            return Answer(200, known.encode(), {**_HEADERS, "Content-Type": "application/text"})
        return Answer(200, json.dumps(known).encode(), {**_HEADERS, "Content-Type": "application/json"})

    def _known(self) -> dict[str, Any]:
        email = f"{self._project}.svc.id.goog"
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        account = {"aliases": ["default"], "email": email, "scopes": scopes}
        return {
            "project/project-id": self._project,
            "universe/universe-domain": "googleapis.com",
            "instance/service-accounts/default/": account,
            f"instance/service-accounts/{email}/": account,
            "instance/service-accounts/default/token": {
                "access_token": "local",
                "expires_in": 3600,
                "token_type": "Bearer",
            },
        }
