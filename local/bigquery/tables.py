"""The REST methods of tables and views.

The columns of a view are its query's. A patch of the query replaces them, and their descriptions are lost. A view in
legacy SQL is stored without columns, and cannot be queried.
"""

from collections import defaultdict, deque
from typing import Any, NamedTuple

from local.bigquery import clustering
from local.bigquery.catalog import Catalog, Table, TableRef, now
from local.bigquery.errors import BigQueryError, refuse_others, unhonoured
from local.bigquery.pages import etag, numbered_page, rows_page
from local.bigquery.queries import Queries
from local.bigquery.schemas import Field, checked, same_shape
from local.rest import Request

_PROPERTIES = frozenset({"clustering", "description", "expirationTime", "friendlyName", "labels"})
_IDENTITY = frozenset({"etag", "id", "kind", "selfLink", "tableReference", "type"})
_HONOURED = _PROPERTIES | _IDENTITY | {"schema", "view"}
_PAGE = 50
# https://cloud.google.com/bigquery/quotas#standard_tables
_UPDATES = 5
_PER_MS = 10_000


class _View(NamedTuple):
    """A ViewDefinition. For a table, `query` is None."""

    query: str | None
    legacy: bool


class Tables:
    """Answers bigquery.tables.* and bigquery.tabledata.list."""

    def __init__(self, catalog: Catalog, queries: Queries, *, rate_limits: bool) -> None:
        self._catalog = catalog
        self._queries = queries
        self._rate_limits = rate_limits
        self._updates: dict[TableRef, deque[int]] = defaultdict(lambda: deque(maxlen=_UPDATES))

    def get(self, request: Request) -> dict[str, Any]:
        """The whole table or view. The parameter `view` is ignored."""
        if "selectedFields" in request.query:
            raise unhonoured("selectedFields")
        return self._resource(self._catalog.table(_ref(request)))

    def insert(self, request: Request) -> dict[str, Any]:
        """Create a view if the body has one, else an empty table."""
        body = request.body
        refuse_others(body, _HONOURED, "table")
        ref = TableRef(
            request.path["projectId"], request.path["datasetId"], body.get("tableReference", {}).get("tableId", "")
        )
        with self._catalog.lock:
            if self._catalog.find(ref):
                raise BigQueryError("duplicate", f"Already Exists: Table {ref}")
            self._count_update(ref)
            properties = {name: body[name] for name in body.keys() & _PROPERTIES}
            new = self._view(ref, properties, body) if body.get("view") else self._table(ref, properties, body)
            self._catalog.put(new)
        return self._resource(new)

    def patch(self, request: Request) -> dict[str, Any]:
        """Apply a JSON merge patch (RFC 7396). With If-Match, raises BigQueryError if the table has another etag."""
        patch = request.body
        refuse_others({key: value for key, value in patch.items() if value is not None}, _HONOURED, "table")
        with self._catalog.lock:
            table = self._catalog.table(_ref(request))
            wanted = request.headers.get("If-Match", "*").strip('"')
            if wanted not in ("*", _etag(table)):
                raise BigQueryError("conditionNotMet", "Precondition check failed.")
            view = _patched_view(table, patch)
            fields = self._patched_fields(table, patch, view)
            properties = _merged(table.properties, {name: patch[name] for name in patch.keys() & _PROPERTIES})
            clustering.check(properties.get("clustering"), fields)
            changed = table.changed(
                fields=fields,
                properties=properties,
                query=view.query,
                legacy=view.legacy,
            )
            self._count_update(table.ref)
            self._catalog.put(changed)
        return self._resource(changed)

    def delete(self, request: Request) -> None:
        """Delete a table or view, with its rows."""
        with self._catalog.lock:
            self._catalog.remove(self._catalog.table(_ref(request)))

    def listed(self, request: Request) -> dict[str, Any]:
        """A page of the tables, by name. They are listed without etag, schema and number of rows."""
        self._catalog.dataset(request.path["projectId"], request.path["datasetId"])
        tables = self._catalog.tables(request.path["datasetId"])
        page, token = numbered_page(tables, request.query, _PAGE)
        items = {"kind": "bigquery#tableList", "tables": [_item(each) for each in page], "totalItems": len(tables)}
        return items | token

    def rows(self, request: Request) -> dict[str, Any]:
        """A page of a table's rows. Raises BigQueryError for a view."""
        with self._catalog.lock:
            table = self._catalog.table(_ref(request))
            if table.query is not None:
                raise BigQueryError("invalid", "Cannot list a table of type VIEW.")
            return {"kind": "bigquery#tableDataList", "etag": _etag(table)} | rows_page(
                self._catalog, table, request.query
            )

    def _table(self, ref: TableRef, properties: dict[str, Any], body: dict[str, Any]) -> Table:
        if not body.get("schema"):
            raise unhonoured("a table without a schema")
        fields = checked(body["schema"])
        clustering.check(body.get("clustering"), fields)
        return self._catalog.new_table(ref, fields, properties).changed(rows=self._catalog.rows.create(fields))

    def _view(self, ref: TableRef, properties: dict[str, Any], body: dict[str, Any]) -> Table:
        if body.get("schema"):
            raise BigQueryError("invalid", "Schema field shouldn't be used as input with a view.")
        view = _view(body["view"], {"useLegacySql": True})
        return self._catalog.new_table(ref, self._columns(view), properties).changed(
            query=view.query, legacy=view.legacy
        )

    def _columns(self, view: _View) -> list[Field]:
        return [] if view.legacy or not view.query else self._queries.answer(view.query).fields

    def _patched_fields(self, table: Table, patch: dict[str, Any], view: _View) -> list[Field]:
        if patch.get("view"):
            if patch.get("schema"):
                raise unhonoured("a patch of a view's schema and query at once")
            return self._columns(view)
        if not patch.get("schema"):
            return table.fields
        fields = checked(patch["schema"])
        if not same_shape(fields, table.fields):
            raise unhonoured("a patch of columns but for their descriptions")
        return fields

    def _count_update(self, ref: TableRef) -> None:
        updates = self._updates[ref]
        if self._rate_limits and len(updates) == _UPDATES and now() - updates[0] < _PER_MS:
            message = "Exceeded rate limits: too many table update operations for this table."
            raise BigQueryError("rateLimitExceeded", message)
        updates.append(now())

    def _resource(self, table: Table) -> dict[str, Any]:
        location = self._catalog.dataset(table.ref.project, table.ref.dataset).location
        resource = (
            _item(table)
            | table.properties
            | {
                "etag": _etag(table),
                "lastModifiedTime": str(table.modified),
                "location": location,
                "schema": {"fields": table.fields},
                "numRows": str(table.size.rows),
                "numBytes": str(table.size.logical_bytes),
            }
        )
        if table.query is not None:
            resource["view"] = {"query": table.query, "useLegacySql": table.legacy}
        return resource


def _ref(request: Request) -> TableRef:
    return TableRef.of(dict(request.path))


def _etag(table: Table) -> str:
    return etag(table.ref, table.version)


def _item(table: Table) -> dict[str, Any]:
    shown = ("clustering", "expirationTime", "friendlyName", "labels")
    item = {
        "kind": "bigquery#table",
        "id": str(table.ref),
        "tableReference": table.ref.resource(),
        "type": table.kind,
        "creationTime": str(table.created),
    }
    if table.query is not None:
        item["view"] = {"useLegacySql": table.legacy}
    return item | {name: table.properties[name] for name in shown if name in table.properties}


def _patched_view(table: Table, patch: dict[str, Any]) -> _View:
    if not patch.get("view"):
        return _View(table.query, table.legacy)
    if table.query is None:
        raise BigQueryError("invalid", f"Cannot add a view to {table.ref}, which is a TABLE")
    return _view(patch["view"], {"query": table.query, "useLegacySql": table.legacy})


def _view(given: dict[str, Any], default: dict[str, Any]) -> _View:
    view = default | {name: value for name, value in given.items() if value is not None}
    refuse_others(view, frozenset({"query", "useLegacySql"}), "view")
    if not view.get("query"):
        raise BigQueryError("invalid", "A view must have a query")
    return _View(str(view["query"]), bool(view["useLegacySql"]))


def _merged(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for name, value in patch.items():
        new = _merged(old.get(name, {}), value) if isinstance(value, dict) else value
        merged[name] = new
    return {name: value for name, value in merged.items() if value not in (None, {})}
