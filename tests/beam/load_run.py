"""
A stand-in for the team's Scio job: a Beam pipeline that loads a run's files into BigQuery, one shard for each table.

It knows of the mirror what any reader may: the parameters of its launch, and the files. To the local cloud it is led by the
environment: STORAGE_EMULATOR_HOST, BIGQUERY_EMULATOR_HOST, and the address of a metadata server for its credentials.
"""

import argparse
import base64
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import bigquery_file_loads
from apache_beam.io.gcp.bigquery import BigQueryDisposition, WriteToBigQuery
from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from google.cloud import bigquery

# A field, quoted or bare, and what ends it. A quoted field may hold all that would end a bare one.
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^,\n]*))(,|\n)')

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """What a schema file says of a table of the run, and the shard that its data goes to: `project:dataset.name`."""

    name: str
    uri: str
    format: str
    columns: tuple[Mapping[str, Any], ...]
    shard: str

    @property
    def fields(self) -> list[Row]:
        """The shard's schema, as BigQuery has it."""
        return [
            {
                "name": each["name"],
                "type": each["bigquery_type"],
                "mode": each["mode"],
                "description": each["description"],
            }
            for each in self.columns
        ]


def main() -> None:
    """Load every table of the run that was exported, and return when all shards are there."""
    arguments, rest = _arguments()
    _lead_to_endpoint(os.environ.get("BIGQUERY_EMULATOR_HOST"))
    options = PipelineOptions(rest)
    if _json(arguments.manifest)["shard_date"] != arguments.shardDate:
        raise ValueError(f"{arguments.manifest} is of another day than {arguments.shardDate}")
    shard = f"{arguments.dataset}.{{}}_{arguments.shardDate.replace('-', '')}"
    tables = [_table(uri, shard) for uri in schema_files(arguments.manifest)]
    with beam.Pipeline(options=options) as pipeline:
        for table in tables:
            if _size(table.uri):
                _load(pipeline, table)
            else:
                _load_nothing(table, options.view_as(GoogleCloudOptions).job_name)


def schema_files(manifest: str) -> list[str]:
    """The URIs of the schema files of a run's tables, as the records beside its manifest have them."""
    folder = manifest.removesuffix("manifest.json")
    [found] = FileSystems.match([f"{folder}exported/*.json"])
    return [_json(record.path)["schema_uri"] for record in found.metadata_list]


def records(text: str) -> Iterator[list[str | None]]:
    """The records of a CSV file. A bare empty field is NULL, and a quoted one is the empty string."""
    record: list[str | None] = []
    for field in _FIELD.finditer(text):
        quoted, bare, end = field.groups()
        record.append((bare or None) if quoted is None else quoted.replace('""', '"'))
        if end == "\n":
            yield record
            record = []


def value(bigquery_type: str, text: str) -> Any:
    """What BigQuery's own JSON has for the text of a CSV field; 64-bit integers and bytes are text there, too."""
    return _VALUES.get(bigquery_type, str)(text)


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("manifest", "files", "shardDate", "dataset"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_known_args()


def _lead_to_endpoint(endpoint: str | None) -> None:
    """
    Have Beam speak to the local BigQuery: its own client knows no other address than Google's.

    It looks for the end of a job every ten seconds, which a small one here would take for nothing.
    """
    if endpoint:
        BigqueryV2.BASE_URL = f"{endpoint}/bigquery/v2/"
        bigquery_file_loads._SLEEP_DURATION_BETWEEN_POLLS = 0.5  # noqa: SLF001 - there is no option for it


def _table(schema_uri: str, shard: str) -> Table:
    schema = _json(schema_uri)
    name = schema["table_id"]
    return Table(name, schema["data_uri"], schema["format"], tuple(schema["columns"]), shard.format(name))


def _load(pipeline: beam.Pipeline, table: Table) -> None:
    rows = (_read_ndjson if table.format == "ndjson" else _read_csv)(pipeline, table)
    _ = rows | f"write {table.name}" >> WriteToBigQuery(
        table.shard,
        schema={"fields": table.fields},
        method=WriteToBigQuery.Method.FILE_LOADS,
        create_disposition=BigQueryDisposition.CREATE_IF_NEEDED,
        write_disposition=BigQueryDisposition.WRITE_TRUNCATE,
    )


def _load_nothing(table: Table, job_name: str) -> None:
    """Make a shard without rows, for which Beam would start no job at all: the file itself is loaded, which is empty."""
    config = bigquery.LoadJobConfig(
        schema=[bigquery.SchemaField.from_api_repr(field) for field in table.fields],
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
    )
    with bigquery.Client() as client:
        prefix = f"empty_{job_name.replace('-', '')}_"
        shard = table.shard.replace(":", ".")
        client.load_table_from_uri(table.uri, shard, job_id_prefix=prefix, job_config=config).result()


def _read_ndjson(pipeline: beam.Pipeline, table: Table) -> Any:
    lines = pipeline | f"read {table.name}" >> beam.io.ReadFromText(table.uri)
    return lines | f"parse {table.name}" >> beam.Map(json.loads)


def _read_csv(pipeline: beam.Pipeline, table: Table) -> Any:
    """Whole files: a line of such a file need not be a record."""
    files = pipeline | f"read {table.name}" >> beam.Create([table.uri])
    columns = {column["name"]: column["bigquery_type"] for column in table.columns}
    return files | f"parse {table.name}" >> beam.FlatMap(partial(_rows, columns=columns))


def _rows(uri: str, columns: Mapping[str, str]) -> Iterator[Row]:
    with FileSystems.open(uri) as file:
        text = file.read().decode()
    for record in records(text):
        fields = zip(columns.items(), record, strict=True)
        yield {name: None if field is None else value(kind, field) for (name, kind), field in fields}


def _json(uri: str) -> Any:
    with FileSystems.open(uri) as file:
        return json.load(file)


def _size(uri: str) -> int:
    [found] = FileSystems.match([uri])
    return int(found.metadata_list[0].size_in_bytes)


def _float(text: str) -> float | str:
    """JSON has no number for NaN and the infinities."""
    return text if re.search("[nN]", text) else float(text)


def _digits(text: str) -> str:
    """Beam would write a small Decimal with an exponent."""
    return format(Decimal(text), "f")


def _bytes(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


_VALUES: Mapping[str, Callable[[str], Any]] = {
    "INT64": lambda text: str(int(text)),
    "FLOAT64": _float,
    "BOOL": {"true": True, "false": False}.__getitem__,
    "NUMERIC": _digits,
    "BIGNUMERIC": _digits,
    "BYTES": _bytes,
    "JSON": json.loads,
}


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    main()
