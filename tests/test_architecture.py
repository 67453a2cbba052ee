"""Which part of the code may know which: imports point inwards only."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENTRIES, DOMAIN, ADAPTERS = (sorted(ROOT.glob(f"{folder}/*.py")) for folder in ("functions", "shared", "shared/gcp"))
IMPURE = {"os", "socket", "subprocess", "time", "urllib"}
MAY_TELL_TIME = {"clock.py", "handler.py"}


def roots(file: Path) -> set[str]:
    """The top-level packages that a file imports, but the standard library; of ours, `shared` and `shared.gcp` apart."""
    return {_root(module) for module in _imported(file)} - (sys.stdlib_module_names - IMPURE)


def _root(module: str) -> str:
    return "shared.gcp" if f"{module}.".startswith("shared.gcp.") else module.partition(".")[0]


def _imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "an import relative to the file's folder"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def taken(file: Path) -> set[str]:
    """All that a file takes off something: `now` of `datetime.now`."""
    return {
        node.attr for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)
    }


def test_there_is_something_to_look_at() -> None:
    assert len(ENTRIES) >= 4
    assert len(DOMAIN) >= 20
    assert len(ADAPTERS) >= 5


@pytest.mark.parametrize("file", ENTRIES, ids=lambda file: file.stem)
def test_an_entry_point_knows_ours_and_the_framework_only(file: Path) -> None:
    assert roots(file) <= {"shared", "shared.gcp", "functions_framework", "cloudevents", "os"}


@pytest.mark.parametrize("file", DOMAIN, ids=lambda file: file.stem)
def test_the_domain_knows_no_adapter_no_client_library_and_no_environment(file: Path) -> None:
    assert roots(file) - {"time"} <= {"shared", "cloudevents", "flask", "werkzeug"}


@pytest.mark.parametrize(
    "file", [file for file in DOMAIN if file.name not in MAY_TELL_TIME], ids=lambda file: file.stem
)
def test_the_domain_is_told_the_time(file: Path) -> None:
    assert "time" not in roots(file)
    assert taken(file).isdisjoint({"today", "utcnow"})
    assert "datetime.now" not in file.read_text(encoding="utf-8")


def test_the_handler_only_takes_the_time_of_what_it_handles() -> None:
    source = (ROOT / "shared" / "handler.py").read_text(encoding="utf-8")

    assert source.count("time.") == source.count("time.monotonic()")


@pytest.mark.parametrize("file", ADAPTERS, ids=lambda file: file.stem)
def test_an_adapter_knows_neither_the_environment_nor_who_calls_it(file: Path) -> None:
    assert roots(file).isdisjoint({"os", "functions", "functions_framework", "cloudevents", "werkzeug"})


@pytest.mark.parametrize("file", [*ENTRIES, *DOMAIN, *ADAPTERS], ids=lambda file: file.stem)
def test_nothing_deployed_knows_the_stand_ins_or_the_tests(file: Path) -> None:
    assert roots(file).isdisjoint({"local", "bench", "tests", "pytest"})


@pytest.mark.parametrize("folder", ["functions", "shared", "local", "tests"])
def test_no_file_is_named_for_being_useful(folder: str) -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}

    assert not [path for path in (ROOT / folder).rglob("*") if path.stem in vague]


@pytest.mark.parametrize("file", ENTRIES, ids=lambda file: file.stem)
def test_an_entry_point_shadows_no_library(file: Path) -> None:
    assert file.stem not in sys.stdlib_module_names


@pytest.mark.parametrize("file", ENTRIES, ids=lambda file: file.stem)
def test_an_entry_point_defines_one_function_of_its_own_name(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))

    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)] == [file.stem]
