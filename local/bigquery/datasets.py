"""The REST methods of datasets."""

from typing import Any

from local.bigquery.catalog import Catalog, Dataset, now
from local.bigquery.errors import BigQueryError, refuse_others
from local.bigquery.pages import etag, numbered_page
from local.rest import Request

_HONOURED = frozenset({"datasetReference", "location"})
_PROPERTIES = frozenset({"defaultTableExpirationMs", "description", "friendlyName", "isCaseInsensitive", "labels"})
_DEFAULT_LOCATION = "US"
_PAGE = 50


class Datasets:
    """Answers bigquery.datasets.*."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def insert(self, request: Request) -> dict[str, Any]:
        """Create a dataset. Its location is the US by default, as in the service."""
        body = request.body
        refuse_others(body, _HONOURED | _PROPERTIES, "dataset")
        project = request.path["projectId"]
        if project != self._catalog.project:
            raise BigQueryError("notFound", f"Not found: Project {project}")
        properties = {name: body[name] for name in body.keys() & _PROPERTIES if body[name] not in (None, {})}
        name = body.get("datasetReference", {}).get("datasetId", "")
        dataset = Dataset(project, name, body.get("location") or _DEFAULT_LOCATION, now(), properties)
        self._catalog.add_dataset(dataset)
        return _resource(dataset)

    def get(self, request: Request) -> dict[str, Any]:
        """The whole dataset. The parameter `datasetView` is ignored."""
        return _resource(self._catalog.dataset(request.path["projectId"], request.path["datasetId"]))

    def listed(self, request: Request) -> dict[str, Any]:
        """A page of the datasets, by name. Without the hidden datasets, which hold the results of queries."""
        refuse_others(dict(request.query), frozenset({"all", "alt", "maxResults", "pageToken", "prettyPrint"}), "query")
        page, token = numbered_page(self._catalog.datasets(), request.query, _PAGE)
        return {"kind": "bigquery#datasetList", "datasets": [_item(each) for each in page]} | token


def _item(dataset: Dataset) -> dict[str, Any]:
    named = {name: dataset.properties[name] for name in ("friendlyName", "labels") if name in dataset.properties}
    return {
        "kind": "bigquery#dataset",
        "id": f"{dataset.project}:{dataset.name}",
        "datasetReference": {"projectId": dataset.project, "datasetId": dataset.name},
        "location": dataset.location,
    } | named


def _resource(dataset: Dataset) -> dict[str, Any]:
    times = {"creationTime": str(dataset.created), "lastModifiedTime": str(dataset.created)}
    always = {"type": "DEFAULT", "isCaseInsensitive": False, "etag": etag(dataset.name, dataset.created)}
    return _item(dataset) | always | dataset.properties | times
