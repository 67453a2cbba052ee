"""The setting PIPELINES: which database is mirrored to which datasets, and how."""

import json
import re
import zoneinfo
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from ipaddress import ip_address
from itertools import chain
from typing import Any

from shared import names

JOB_LABEL = "mirror_pipeline"
"""Of a Dataflow job: the pipeline whose shards it writes."""

OFF = "off"
"""As `ca_file`: the way to the host may be plain text, and nobody knows who answers."""

LONGEST = 28 * 1024
"""Bytes of the setting. Cloud Run allows 32 KiB of environment, and the other variables need theirs."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One database on one Cloud SQL instance, and its mirror. docs/settings.md has the meaning of each key."""

    name: str
    instance: str
    database: str
    user: str
    bucket: str
    shards_dataset: str
    views_dataset: str
    password_file: str | None = None
    host: str | None = None
    ca_file: str | None = None
    ip_type: str = "PUBLIC"
    schemas: tuple[str, ...] = ("public",)
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    time_zone: str = "UTC"
    format: str = "auto"
    offload: bool = False
    loader: str = "bigquery"
    unrepresentable: str = "null"
    release: str = "each"
    max_shrink: float | None = None
    keep_days: int | None = None
    dataflow: Mapping[str, Any] | None = None
    trust_database: bool = False
    small_tables: str = "export"
    leave_out: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()

    @property
    def job_name(self) -> str:
        """What the names of the Dataflow jobs that write its shards are, or begin with before a hyphen."""
        return f"mirror-{self.name}"

    def table_id(self, schema: str, table: str) -> str:
        """The id of a table's view, and of its shards before their date."""
        return names.table_id(schema, table, self.schemas[0])

    def mirrors(self, schema: str, table: str) -> bool:
        """Whether the pipeline's schemas and its include and exclude globs admit the table."""
        name = f"{schema}.{table}"
        return (
            schema in self.schemas
            and any(fnmatchcase(name, glob) for glob in self.include)
            and not any(fnmatchcase(name, glob) for glob in self.exclude)
        )

    def leaves_out(self, column: str) -> bool:
        """Whether nothing of a column, `schema.table.column`, is mirrored."""
        return matches(self.leave_out, column)

    def hashes(self, column: str) -> bool:
        """Whether the hash of a column is mirrored, and not its values. One that is left out as well is left out."""
        return matches(self.hash, column) and not self.leaves_out(column)


def matches(globs: tuple[str, ...], name: str) -> bool:
    """Whether one of the globs matches the name. Case counts, and `*` crosses dots."""
    return bool(globs) and _pattern(globs).match(name) is not None


@lru_cache
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    """What any of the globs matches. One search for all of them: a database may have a million columns."""
    return re.compile("|".join(map(translate, globs)))


@dataclass(frozen=True, slots=True)
class _Rule:
    admits: Callable[[Any], bool]
    must_be: str


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _matching(pattern: str, must_be: str) -> _Rule:
    return _Rule(lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, must_be)


def _one_of(*words: str) -> _Rule:
    return _Rule(lambda value: isinstance(value, str) and value in words, "one of " + ", ".join(map(json.dumps, words)))


def _texts(at_least: int, must_be: str) -> _Rule:
    return _Rule(lambda value: isinstance(value, list) and len(value) >= at_least and all(map(_text, value)), must_be)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_time_zone(value: Any) -> bool:
    try:
        zoneinfo.ZoneInfo(value)
    except (TypeError, ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _is_dataflow(value: Any) -> bool:
    if not isinstance(value, dict) or not {"template", "region"} <= value.keys():
        return False
    parameters = value.get("parameters", {})
    texts = {key: text for key, text in value.items() if key != "parameters"}
    return (
        texts.keys() <= {"template", "region", "service_account", "network"}
        and all(map(_text, texts.values()))
        and value["template"].startswith("gs://")
        and isinstance(parameters, dict)
        and all(isinstance(text, str) for text in parameters.values())
    )


_ANY_TEXT = _Rule(_text, "a text that is not empty")
_TRUE_OR_FALSE = _Rule(lambda value: isinstance(value, bool), "true or false")
_DATASET = _matching(r"[A-Za-z0-9_]{1,1024}", "a dataset's id (letters, digits and _)")
_RULES = {
    "instance": _matching(
        r"([a-z0-9.-]+:)?[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]+", "a connection name, project:region:instance"
    ),
    "database": _ANY_TEXT,
    "user": _ANY_TEXT,
    "bucket": _matching(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", "a bucket's name, without gs://"),
    "shards_dataset": _DATASET,
    "views_dataset": _DATASET,
    "password_file": _ANY_TEXT,
    "host": _matching(r"/.*|.+:[0-9]{1,5}", "host:port, or a socket's directory that begins with /"),
    "ca_file": _matching(f"/.+|{OFF}", f'the path of a CA, which begins with /, or "{OFF}"'),
    "ip_type": _one_of("PUBLIC", "PRIVATE", "PSC"),
    "schemas": _texts(1, "a list of at least one schema"),
    "include": _texts(1, "a list of at least one glob on schema.table"),
    "exclude": _texts(0, "a list of globs on schema.table"),
    "time_zone": _Rule(_is_time_zone, "a name of the time zone database, such as Europe/Berlin"),
    "format": _one_of("auto", "csv", "ndjson"),
    "offload": _TRUE_OR_FALSE,
    "loader": _one_of("bigquery", "scio"),
    "unrepresentable": _one_of("null", "fail", "string"),
    "release": _one_of("each", "together"),
    "max_shrink": _Rule(
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1,
        "a number above 0 and at most 1",
    ),
    "keep_days": _Rule(lambda value: _whole(value) and value >= 1, "a whole number of days, 1 or more"),
    "dataflow": _Rule(
        _is_dataflow,
        'an object with "template" (gs://…) and "region", and perhaps "parameters" (texts), "service_account" and "network"',
    ),
    "trust_database": _TRUE_OR_FALSE,
    "small_tables": _one_of("export", "snapshot"),
    "leave_out": _texts(0, "a list of globs on schema.table.column"),
    "hash": _texts(0, "a list of globs on schema.table.column"),
}
_REQUIRED = [field.name for field in fields(Pipeline) if field.default is MISSING and field.name != "name"]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


def read(text: str) -> tuple[dict[str, Pipeline], list[str]]:
    """The pipelines by name, and a sentence for each fault. With faults there are no pipelines."""
    size = len(text.encode())
    if size > LONGEST:
        return {}, [f"PIPELINES has {size} bytes, more than {LONGEST}: split the pipelines over two deployments"]
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, [f"PIPELINES is not JSON: {error}"]
    if not isinstance(entries, dict) or not entries:
        return {}, ["PIPELINES must be a JSON object with one entry per pipeline"]
    faults = [fault for name, entry in entries.items() for fault in _faults(name, entry)]
    faults += _shared_datasets(entry for entry in entries.values() if isinstance(entry, dict))
    return ({}, faults) if faults else ({name: _pipeline(name, entry) for name, entry in entries.items()}, [])


def _faults(name: str, entry: Any) -> list[str]:
    where = f"PIPELINES.{name}"
    faults = [] if _NAME.fullmatch(name) else [f"{where}: a pipeline's name must match {_NAME.pattern}"]
    if not isinstance(entry, dict):
        return [*faults, f"{where} must be an object, not {json.dumps(entry)}"]
    given = {key: value for key, value in entry.items() if value is not None}
    faults += [f"{where}.{key} is missing" for key in _REQUIRED if key not in given]
    faults += [
        f"{where}.{key} is no setting of a pipeline; it knows {', '.join(_RULES)}" for key in entry if key not in _RULES
    ]
    wrong = [
        f"{where}.{key} must be {_RULES[key].must_be}, not {json.dumps(value)}"
        for key, value in given.items()
        if key in _RULES and not _RULES[key].admits(value)
    ]
    return faults + (wrong or _untrusted(where, given.get("host"), given.get("ca_file")))


def _untrusted(where: str, host: str | None, ca_file: str | None) -> list[str]:
    """What is wrong with a host whose server nobody checks, or with a CA that checks none."""
    if host is None:
        useless = "goes with host: the Cloud SQL connector checks the server by itself. Leave it out"
        return [f"{where}.ca_file {useless}"] if ca_file else []
    if host.startswith("/") and ca_file not in (None, OFF):
        return [f"{where}.ca_file does not go with a socket, which has no TLS: leave it out"]
    if ca_file or _on_this_machine(host):
        return []
    settings = f'set ca_file to the path of its CA, or to "{OFF}", for TLS only where it is offered, and unchecked'
    return [f"{where}.host is {host}, and whoever answers there would be believed: {settings}"]


def _on_this_machine(host: str) -> bool:
    """Whether it is a socket or a loopback address."""
    name = host.rpartition(":")[0].strip("[]")
    try:
        return host.startswith("/") or name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _pipeline(name: str, entry: dict[str, Any]) -> Pipeline:
    given = {key: value for key, value in entry.items() if value is not None}
    lists = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
    return Pipeline(name=name, **(given | lists))


def _shared_datasets(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    used = [
        {dataset for key in ("shards_dataset", "views_dataset") if _text(dataset := entry.get(key))}
        for entry in entries
    ]
    return [
        f"PIPELINES: the dataset {dataset} is used by more than one pipeline; give each its own"
        for dataset, pipelines_using in sorted(Counter(chain.from_iterable(used)).items())
        if pipelines_using > 1
    ]
