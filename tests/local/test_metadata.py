import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.metadata import Metadata

# What a function does without a word about credentials, and whom it looks for meanwhile.
PROGRAM = """
import json, sys, threading
reached = []
sys.addaudithook(lambda event, args: reached.append(args[0]) if event == "socket.getaddrinfo" else None)
import google.auth
import google.auth.transport.requests
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
request = google.auth.transport.requests.Request()
headers = {}
credentials.before_request(request, "GET", "https://bigquery.googleapis.com/", headers)
credentials.refresh(request)
for thread in threading.enumerate()[1:]:
    thread.join()
result = [project, headers["authorization"], credentials.valid, credentials.universe_domain, sorted(set(reached))]
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def metadata() -> Iterator[Metadata]:
    with Metadata("my-project") as server:
        yield server


@pytest.fixture(scope="module")
def found(metadata: Metadata, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the program finds in an environment that holds nothing else of Google's."""
    home = tmp_path_factory.mktemp("home")
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), **metadata.environ}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, stdout=subprocess.PIPE, check=True)
    return json.loads(ran.stdout)


def test_the_project_is_found(found: Any) -> None:
    assert found[0] == "my-project"


def test_credentials_are_found_and_refreshed_twice(found: Any) -> None:
    _, header, valid, universe, _ = found

    assert (header, valid, universe) == ("Bearer local", True, "googleapis.com")


def test_nobody_is_asked_beyond_this_machine(found: Any) -> None:
    assert found[4] == ["127.0.0.1"]


def test_what_is_not_known_is_not_found(metadata: Metadata) -> None:
    address = f"http://{metadata.environ['GCE_METADATA_HOST']}/computeMetadata/v1/instance/zone"

    answer = requests.get(address, headers={"Metadata-Flavor": "Google"}, timeout=5)

    assert (answer.status_code, answer.headers["Metadata-Flavor"]) == (404, "Google")


def test_a_call_without_the_flavor_is_forbidden(metadata: Metadata) -> None:
    address = f"http://{metadata.environ['GCE_METADATA_HOST']}/computeMetadata/v1/project/project-id"

    assert requests.get(address, timeout=5).status_code == 403
