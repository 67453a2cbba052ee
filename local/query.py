"""`make query`: run a query on the BigQuery of a demo that `KEEP=1` left up."""

import json
import os
import sys
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.exceptions import GoogleCloudError
from requests.exceptions import ConnectionError as NobodyAnswers

from cli.screen import Screen
from local import comparison
from local.cloud import PROJECT
from local.demo import WORK

_LONGEST = 500
"""Characters of a value that are shown."""
_NO_DEMO = "No demo is up. In another terminal: make demo KEEP=1"


def main() -> int:
    """
    Run the query in the variable SQL, and print its rows.

    The exit code is 1 if the query fails, and 2 if no demo is up or there is no query.
    """
    return ask(WORK / "bigquery", os.environ.get("SQL", ""))


def ask(address: Path, query: str) -> int:
    """As `main`, of the demo whose address is in a file."""
    if not address.exists():
        return _failed(_NO_DEMO, 2)
    if not query:
        return _failed("Say what to ask: make query SQL='SELECT …'", 2)
    options = {"api_endpoint": address.read_text(encoding="utf-8")}
    with bigquery.Client(PROJECT, AnonymousCredentials(), client_options=options) as client:
        try:
            found = client.query_and_wait(query, retry=None, job_retry=None)
            rows = [[_shown(value) for value in row.values()] for row in found]
        except RecursionError:
            return _failed("A value is nested too deep to be shown here.", 1)
        except NobodyAnswers:  # the demo was killed
            return _failed(_NO_DEMO, 2)
        except GoogleCloudError as error:
            return _failed(comparison.words(error), 1)
    Screen(as_json=False).table([field.name for field in found.schema], rows)
    return 0


def _shown(value: object) -> str:
    """A value in at most `_LONGEST` characters."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        text = f"\\x{value.hex()}"
    else:
        text = json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _failed(reason: str, code: int) -> int:
    print(reason, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
