"""What a table and its columns are called in BigQuery. Deterministic, and never two things by one name."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

_RESERVED_PREFIXES = (
    "_table_",
    "_file_",
    "_partition",
    "_row_timestamp",
    "__root__",
    "_colidentifier",
    "_change_sequence_number",
    "_change_type",
    "_change_timestamp",
)
"""BigQuery refuses columns that begin so, in any case (https://cloud.google.com/bigquery/docs/schemas#column_names)."""


def table_id(schema: str, table: str, first_schema: str) -> str:
    """The id of a table's view, and of its shards before their date."""
    return _kept(table if schema == first_schema else f"{schema}__{table}")


def shared_table_ids(names: Iterable[str]) -> frozenset[str]:
    """Those ids that more than one table would have."""
    return frozenset(name for name, tables in Counter(names).items() if tables > 1)


def column_names(source_names: Sequence[str]) -> list[str]:
    """
    The columns' names in BigQuery, in the same order.

    BigQuery compares the names of columns without case: those that would meet get `_2`, `_3`, in column order, and a
    suffix that a column of the table has already is passed over.
    """
    wanted = [_column_name(source) for source in source_names]
    reserved = {name.casefold() for name in wanted}
    taken: set[str] = set()
    names = []
    for name in wanted:
        names.append(name if name.casefold() not in taken else _suffixed(name, taken | reserved))
        taken.add(names[-1].casefold())
    return names


def _kept(name: str) -> str:
    return "".join(character if _is_kept(character) else "_" for character in name)


@lru_cache(1_000)
def _is_kept(character: str) -> bool:
    category = unicodedata.category(character)
    return character == "_" or category[0] in "LM" or category == "Nd"


def _column_name(source_name: str) -> str:
    name = _kept(source_name)
    cannot_begin = unicodedata.category(name[0])[0] in "NM"
    return f"_{name}" if cannot_begin or name.casefold().startswith(_RESERVED_PREFIXES) else name


def _suffixed(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}_{number}".casefold() in taken:
        number += 1
    return f"{name}_{number}"
