"""Pages of lists and of rows, with their page tokens, and etags."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from local.bigquery.catalog import Catalog, Table
from local.bigquery.errors import BigQueryError, unhonoured
from local.bigquery.types import is_repeated

_MOST_ROWS = 10_000  # the service counts bytes: https://cloud.google.com/bigquery/quotas#tabledata_list_requests

T = TypeVar("T")


def etag(*of: object) -> str:
    """An etag of the given values. It differs if a value differs."""
    return base64.b64encode(hashlib.md5(repr(of).encode()).digest()).decode()


def numbered_page(items: Sequence[T], query: Mapping[str, str], most: int) -> tuple[Sequence[T], dict[str, str]]:
    """The page that a call asks for, and a `nextPageToken` if there are more. `most`: the most items of a page."""
    start = int(_decoded(query["pageToken"])) if query.get("pageToken") else 0
    end = start + min(most, int(query.get("maxResults") or most))
    return items[start:end], {"nextPageToken": _encoded(str(end))} if end < len(items) else {}


def rows_page(catalog: Catalog, table: Table, query: Mapping[str, str]) -> dict[str, Any]:
    """The rows that a call asks for, with the total number and the token of the next page.

    Raises BigQueryError for an option that is not honoured, and for a token of rows that have been replaced.
    """
    if "selectedFields" in query:
        raise unhonoured("selectedFields")
    _check_timestamps(table, query)
    start = int(query.get("startIndex") or 0)
    if query.get("pageToken"):
        rows, _, start_text = _decoded(query["pageToken"]).rpartition("+")
        start = int(start_text)
        if rows != table.rows:
            raise BigQueryError("invalid", "The page token is of rows that have been replaced")
    most = min(_MOST_ROWS, int(query.get("maxResults", _MOST_ROWS)))
    values = catalog.rows.page(table.rows, table.fields, start, most)
    page: dict[str, Any] = {"totalRows": str(table.size.rows)}
    if values:  # no empty list, which google-cloud-bigquery would take for the end of the rows
        page["rows"] = [
            {"f": [_cell(field, value) for field, value in zip(table.fields, row, strict=True)]} for row in values
        ]
    if most and start + most < table.size.rows:
        page["pageToken"] = _encoded(f"{table.rows}+{start + most}")
    return page


def _cell(field: Mapping[str, Any], value: str | None) -> dict[str, Any]:
    return {"v": [{"v": each} for each in json.loads(value or "[]")] if is_repeated(field) else value}


def _check_timestamps(table: Table, query: Mapping[str, str]) -> None:
    """Refuse timestamps in other forms than whole microseconds. The others lose microseconds or are picoseconds."""
    whole = query.get("formatOptions.useInt64Timestamp", "").lower() == "true" or query.get("maxResults") == "0"
    if any(field["type"] == "TIMESTAMP" for field in table.fields) and not whole:
        raise unhonoured("timestamps but for formatOptions.useInt64Timestamp")


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError as error:
        raise BigQueryError("invalid", "Invalid page token") from error
