"""Reads the methods of an API, with their routes and parameters, from its discovery document."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from local.schemas import Schema


@dataclass(frozen=True)
class Method:
    """
    One method: how it is called, and the schemas of its request and response. None means that it has no body.

    `sends` and `takes`: whether its answer, or its request, may be content instead of JSON.
    """

    id: str
    verb: str
    route: re.Pattern[str]
    parameters: Mapping[str, Schema]
    request: Schema | None
    response: Schema | None
    sends: bool
    takes: bool

    def arguments(self, path: str) -> dict[str, str] | None:
        """The decoded path parameters. None if the path is not this method's."""
        match = self.route.fullmatch(path)
        return {name: unquote(text) for name, text in match.groupdict().items()} if match else None


class Document:
    """
    The discovery document of one API.

    It is read from the installed google-api-python-client, which is not imported. Raises ModuleNotFoundError if that is
    not installed.
    """

    def __init__(self, name: str, version: str) -> None:
        document = json.loads(_path(name, version).read_text(encoding="utf-8"))
        self.schemas: Mapping[str, Schema] = document["schemas"]
        self.methods = {method["id"]: _method(document, method) for method in _methods(document)}

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method that an HTTP verb and an encoded path call, with its path parameters. None if there is none."""
        for method in self.methods.values():
            arguments = method.arguments(path) if method.verb == verb else None
            if arguments is not None:
                return method, arguments
        return None


def _path(name: str, version: str) -> Path:
    package = find_spec("googleapiclient")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("google-api-python-client is not installed")
    return Path(package.submodule_search_locations[0], "discovery_cache", "documents", f"{name}.{version}.json")


def _methods(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from _methods(inner)


def _method(document: Mapping[str, Any], method: Mapping[str, Any]) -> Method:
    own = method.get("parameters", {})
    sends = method.get("supportsMediaDownload", False)
    return Method(
        id=method["id"],
        verb=method["httpMethod"],
        route=_route(f"/{document['servicePath']}{method['path']}", own, "(?:/download)?" if sends else ""),
        parameters={**document["parameters"], **own},
        request=method.get("request"),
        response=method.get("response"),
        sends=sends,
        takes="mediaUpload" in method,
    )


def _route(template: str, parameters: Mapping[str, Schema], before: str) -> re.Pattern[str]:
    """A path template as a regular expression. A parameter matches one segment, unless it has a pattern of its own."""

    def group(parameter: re.Match[str]) -> str:
        name = parameter[1]
        return f"(?P<{name}>{parameters[name].get('pattern', '[^/]+').strip('^$')})"

    return re.compile(before + re.sub(r"{\+?(\w+)}", group, template))
