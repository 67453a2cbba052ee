"""docs/command.md says what the command does."""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from cli import reference
from cli.command import mirror
from local import readme
from tests.cli.conftest import Deployment
from tests.support.person import Person

DOCUMENT = readme.OF_THE_COMMAND.read_text(encoding="utf-8")
SAMPLES = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]


def shape(value: Any) -> Iterator[str]:
    """The path of each key in a document."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from (f"{key}.{below}" for below in shape(each))
    elif isinstance(value, list):
        for each in value:
            yield from shape(each)


def test_the_reference_is_as_make_readme_would_write_it() -> None:
    assert readme.COMMANDS.text(DOCUMENT) == reference.text()


def test_every_command_is_in_the_reference() -> None:
    assert re.findall(r"^### mirror (\S+)$", DOCUMENT, re.MULTILINE) == list(mirror.commands)


@pytest.mark.parametrize(
    ("arguments", "sample"),
    [
        (("request", "billing", "orders"), SAMPLES[0]),
        (("status",), SAMPLES[1]),
        (("unpin", "billing", "orders"), SAMPLES[2]),
        (("pin", "billing", "orders", "--date", "2026-01-15"), SAMPLES[2]),
        (("replay",), SAMPLES[3]),
        (("stop", "billing", "9912"), SAMPLES[4]),
    ],
)
def test_the_json_has_the_keys_that_are_documented(
    deployment: Deployment, operator: Person, arguments: tuple[str, ...], sample: dict[str, Any]
) -> None:
    deployment.dead_letter(
        {"pipeline": "billing"}, function="list_tables", source_topic="projects/my-project/topics/mirror-requests"
    )
    deployment.write_run("1", date(2026, 1, 15), "orders")
    deployment.show("refunds", date(2026, 1, 15), pin=date(2026, 1, 15))

    ran = operator.says(*arguments, "--json")

    documented = {key for key in shape(sample) if not key.startswith("tables")}
    assert set(shape(json.loads(ran.output))) == documented
