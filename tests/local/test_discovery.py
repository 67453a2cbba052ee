from typing import Any

import pytest

from local.discovery import Document
from local.schemas import Schemas


@pytest.fixture(scope="module")
def sqladmin() -> Document:
    return Document("sqladmin", "v1")


def called(document: Document, verb: str, path: str) -> tuple[str, dict[str, str]] | None:
    found = document.find(verb, path)
    return (found[0].id, found[1]) if found else None


def test_a_path_and_a_verb_name_a_method(sqladmin: Document) -> None:
    path = "/v1/projects/p/instances/i/export"

    assert called(sqladmin, "POST", path) == ("sql.instances.export", {"project": "p", "instance": "i"})
    assert called(sqladmin, "GET", path) is None


def test_a_parameter_with_a_pattern_takes_several_segments(sqladmin: Document) -> None:
    found = called(sqladmin, "DELETE", "/v1/projects/p/backups/b")

    assert found == ("sql.Backups.DeleteBackup", {"name": "projects/p/backups/b"})


def test_an_encoded_slash_stays_in_its_segment(sqladmin: Document) -> None:
    found = called(sqladmin, "GET", "/v1/projects/p/operations/a%2Fb")

    assert found == ("sql.operations.get", {"project": "p", "operation": "a/b"})


def test_a_document_that_is_not_shipped_is_missing() -> None:
    with pytest.raises(FileNotFoundError):
        Document("sqladmin", "v0")


def faults(schema: dict[str, Any], value: Any, *, lenient: bool) -> list[str]:
    return list(Schemas({}, lenient=lenient).faults(schema, value, "x"))


INT32 = {"type": "integer", "format": "int32"}
INT64 = {"type": "string", "format": "int64"}
DOUBLE = {"type": "number", "format": "double"}
TIME = {"type": "string", "format": "google-datetime"}
DURATION = {"type": "string", "format": "google-duration"}
BYTES = {"type": "string", "format": "byte"}
BOOLEAN = {"type": "boolean"}
STRING = {"type": "string"}
STATUS = {"type": "string", "enum": ["PENDING", "DONE"]}
LIST = {"type": "array", "items": STRING}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INT32, 2**31 - 1),
        (INT64, str(-(2**63))),
        (DOUBLE, 1),
        (DOUBLE, 1.5),
        (DOUBLE, "NaN"),
        (TIME, "2026-11-22T00:00:01.5Z"),
        (TIME, "2026-11-22T00:00:01+01:00"),
        (DURATION, "3.5s"),
        (BYTES, "AP8="),
        (BOOLEAN, False),
        (STATUS, "DONE"),
        (LIST, []),
        ({"type": "any"}, None),
        ({"type": "object", "additionalProperties": STRING}, {"any name": "text"}),
    ],
)
def test_a_value_that_fits_has_no_faults(schema: dict[str, Any], value: Any) -> None:
    assert faults(schema, value, lenient=False) == []
    assert faults(schema, value, lenient=True) == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INT32, 2**31),
        (INT32, 1.5),
        (INT32, True),
        (INT64, str(2**63)),
        (INT64, "one"),
        (DOUBLE, "much"),
        (TIME, "2026-02-30T00:00:00Z"),
        (TIME, "2026-11-22T00:00:00"),
        (TIME, "20261122T000000Z"),
        (DURATION, "3.5"),
        (BYTES, "\\x00"),
        (BOOLEAN, 0),
        (STRING, 1),
        (STATUS, "OVER"),
        (LIST, "text"),
        (LIST, [1]),
        ({"type": "object"}, {"name": 1}),
        ({"type": "object"}, "text"),
    ],
)
def test_a_value_that_does_not_fit_has_a_fault(schema: dict[str, Any], value: Any) -> None:
    assert len(faults(schema, value, lenient=False)) == 1
    assert len(faults(schema, value, lenient=True)) == 1


@pytest.mark.parametrize(
    ("schema", "value"),
    [(INT32, "7"), (INT64, 7), (DOUBLE, "1.5"), (BOOLEAN, "true"), (BOOLEAN, "False"), (STRING, None)],
)
def test_other_spellings_fit_a_request_alone(schema: dict[str, Any], value: Any) -> None:
    assert faults(schema, value, lenient=True) == []
    assert len(faults(schema, value, lenient=False)) == 1


def test_a_reference_is_followed() -> None:
    schemas = Schemas({"Point": {"type": "object", "properties": {"x": INT32}}}, lenient=False)

    assert list(schemas.faults({"$ref": "Point"}, {"x": 1, "y": 2})) == ['Unknown name "y"']
