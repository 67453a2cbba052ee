"""
By which columns a table is clustered: checked, and held. Rows are not sorted by them.

Stricter than the service, where it is not known what it does: whatever writes to a table that is there has to say its clustering.
"""

from typing import Any

from local.bigquery.errors import BigQueryError, refuse_others
from local.bigquery.schemas import Field

# https://cloud.google.com/bigquery/docs/clustered-tables#limitations
_MOST = 4
_TYPES = frozenset(
    {"BIGNUMERIC", "BOOLEAN", "DATE", "DATETIME", "GEOGRAPHY", "INTEGER", "NUMERIC", "RANGE", "STRING", "TIMESTAMP"}
)


def check(clustering: dict[str, Any] | None, fields: list[Field]) -> None:
    """Raises BigQueryError if a table of these columns cannot be clustered so."""
    if not clustering:
        return
    refuse_others(clustering, frozenset({"fields"}), "clustering")
    names = clustering.get("fields", [])
    if not 1 <= len(names) <= _MOST:
        raise BigQueryError("invalid", f"Clustering takes 1 to {_MOST} fields, not {len(names)}")
    types = {field["name"]: field["type"] for field in fields}
    for name in names:
        if name not in types:
            raise BigQueryError("invalid", f"The field specified for clustering cannot be found in the schema: {name}")
        if types[name] not in _TYPES:
            raise BigQueryError("invalid", f"Clustering is not supported on the type {types[name]} of the field {name}")


def check_same(there: dict[str, Any], given: dict[str, Any] | None, what: object) -> None:
    """Raises BigQueryError if a table with these properties is to be written as if it were clustered otherwise."""
    if (there.get("clustering") or None) != (given or None):
        raise BigQueryError(
            "invalid",
            f"Incompatible table partitioning specification. {what} exists with {_said(there.get('clustering'))}, but the "
            f"transfer target is to have {_said(given)}",
        )


def _said(clustering: dict[str, Any] | None) -> str:
    return f"clustering({','.join(clustering['fields'])})" if clustering else "none"
