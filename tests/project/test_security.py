"""docs/security.md says who may do what as Terraform grants it, and what is installed is what was pinned."""

import re
from collections.abc import Iterator

import pytest

from tests.support.repository import ROOT

FUNCTIONS = {path.stem for path in (ROOT / "functions").glob("*.py")}
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "terraform").glob("*.tf")}
OUR_ROLES = {
    name: role.removeprefix("${local.role_prefix}")
    for source in SOURCES.values()
    for name, role in re.findall(
        r'"google_project_iam_custom_role" "(\w+)" \{.*?role_id\s*= "(.*?)"', source, re.DOTALL
    )
}
PINNED = (
    "requirements.txt",
    "local/requirements.txt",
    "bench/requirements.txt",
    "cli/requirements.txt",
    "tests/beam/requirements.txt",
)


def granted() -> Iterator[tuple[str, str, bool, frozenset[str]]]:
    """By Terraform: the resource that grants, the role, whether on a condition, and the functions that it names."""
    for source in SOURCES.values():
        for kind, name, block in re.findall(
            r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', source, re.MULTILINE | re.DOTALL
        ):
            named = frozenset(re.findall(r'"(\w+)"', block)) & FUNCTIONS
            for role in re.findall(r'^\s*role\s*= "(.*)"$', block, re.MULTILINE):
                ours = re.search(r"google_project_iam_custom_role\.(\w+)", block if "role_id}" in role else role)
                yield (
                    f"{kind}.{name}",
                    OUR_ROLES[ours[1]] if ours else role,
                    "condition {" in block or 'condition" {' in block,
                    named,
                )


def told() -> list[tuple[str, str, bool, frozenset[str]]]:
    """By the table of docs/security.md: the same of each row."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and "`google_" in line
    ]
    return [
        (
            resource.strip("`"),
            role.strip("`"),
            "by a condition" in where,
            frozenset(re.findall(r"`(\w+)`", who + where)) & FUNCTIONS,
        )
        for who, role, where, resource in rows
    ]


def test_the_table_of_grants_is_terraforms() -> None:
    table, grants = told(), list(granted())

    assert len(table) == len(set(table)) > 30
    assert {row[:3] for row in table} == {grant[:3] for grant in grants}


def test_whoever_is_no_function_is_in_the_table_wherever_a_variable_lets_him_in() -> None:
    """A variable of members, such as `readers`, and each resource that says it."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(readers|operators)` .* `(google_\w+\.\w+)` \|$", text, re.MULTILINE))

    assert told == {
        (variable, f"{kind}.{name}")
        for source in SOURCES.values()
        for kind, name, block in re.findall(r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', source, re.MULTILINE | re.DOTALL)
        for variable in re.findall(r"\bvar\.(readers|operators)\b", block)
    }


def test_each_function_that_a_grant_names_is_in_its_row() -> None:
    grants = list(granted())
    by_resource = {resource: frozenset[str]() for resource, *_ in grants}
    for resource, _, _, named in told():
        by_resource[resource] |= named

    assert len({name for _, _, _, named in grants for name in named}) == len(FUNCTIONS)
    assert by_resource == {resource: named for resource, _, _, named in grants}


@pytest.mark.parametrize("file", PINNED)
def test_each_package_is_pinned_to_one_version_and_its_hashes(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", "")
    packages = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert len(packages) > 15
    assert [
        line
        for line in packages
        if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==\S+ (; [^-]+? )?( *--hash=sha256:[0-9a-f]{64} *)+", line)
    ] == []


def test_the_builder_finds_that_functions_framework_is_pinned() -> None:
    """By its own pattern: https://github.com/GoogleCloudPlatform/buildpacks/blob/main/pkg/python/dependencies.go"""
    assert re.search(r"(?m)^functions-framework\b([^-]|$)", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
