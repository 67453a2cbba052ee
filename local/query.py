"""`make query`: run a query on the BigQuery of a demo that `KEEP=1` left up."""

import sys
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.exceptions import GoogleCloudError
from requests.exceptions import ConnectionError as NobodyAnswers

from local.cloud import PROJECT
from local.demo import WORK


def main() -> int:
    """
    Run the query in the first argument, and print its rows.

    The exit code is 1 if the query fails, and 2 if no demo is up or the argument is missing.
    """
    return ask(WORK / "bigquery", "".join(sys.argv[1:2]))


def ask(address: Path, query: str) -> int:
    """As `main`, of the demo whose address is in a file."""
    if not address.exists() or not query:
        return _how()
    options = {"api_endpoint": address.read_text(encoding="utf-8")}
    with bigquery.Client(PROJECT, AnonymousCredentials(), client_options=options) as client:
        try:
            for row in client.query_and_wait(query, retry=None, job_retry=None):
                print(dict(row))
        except NobodyAnswers:  # the demo was killed
            return _how()
        except GoogleCloudError as error:
            print(error.message, file=sys.stderr)
            return 1
    return 0


def _how() -> int:
    print("Say `make demo KEEP=1` in another terminal first, then make query SQL='SELECT …'.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
