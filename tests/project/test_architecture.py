"""Which part of the code may know which, and how large a part may grow. Imports go one way only."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.repository import ROOT

STAGES = {"listing", "exporting", "loading", "refreshing"}
MAY_IMPORT = {
    "functions": {"gcp", *STAGES, "runs", "messages", "root"},
    "gcp": {"gcp", *STAGES, "runs", "messages", "root"},
    **{stage: {stage, "runs", "messages", "root"} for stage in STAGES},
    "runs": {"runs", "messages", "root"},
    "messages": {"messages", "root"},
    "root": {"root"},
}
"""The rooms, each with those that it may import from: each package of `shared`, and as `root` what lies beside them."""

IMPURE = {"os", "socket", "subprocess", "time", "urllib"}
"""What of the standard library is not for the domain, which is told the time and given all else."""
MAY_ALSO_KNOW = {
    "shared/times.py": {"time"},
    "shared/messages/events.py": {"cloudevents"},
    "shared/messages/handler.py": {"cloudevents", "flask", "time", "werkzeug"},
}
TELL_TIME = {"shared/times.py", "shared/gcp/cloudsql.py"}  # the latter for an operation that does not say when it began

ENTRIES, SHARED = (
    sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(files))
    for files in ("functions/*.py", "shared/**/*.py")
)
COMMAND = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("cli/**/*.py"))
DEPLOYED = [*ENTRIES, *SHARED]
ADAPTERS = [file for file in SHARED if file.startswith("shared/gcp/")]
DOMAIN = [file for file in SHARED if file not in ADAPTERS]
PACKAGES = [file for file in SHARED if file.endswith("/__init__.py")]


def room(file: str) -> str:
    folder = Path(file).parent.name
    return "root" if folder == "shared" else folder


def source(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def nodes(file: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source(file))))


def imported(file: str) -> set[str]:
    """All that a file imports, wherever in it, by dotted names."""
    found = {alias.name for node in nodes(file) if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "an import relative to the file's folder"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def libraries(file: str) -> set[str]:
    """The top-level packages that a file imports, but for the pure part of the standard library."""
    return {name.partition(".")[0] for name in imported(file)} - (sys.stdlib_module_names - IMPURE)


def ours(file: str) -> set[str]:
    """The files of `shared` that a file imports: for `shared.times.stamp`, `shared/times.py`."""
    names = {name.replace(".", "/") for name in imported(file) if f"{name}.".startswith("shared.")}
    found = {name: {f"{name}.py", f"{name.rpartition('/')[0]}.py"}.intersection(SHARED) for name in names}
    assert all(found.values()), "an import of a package, or of what is not there"
    return set().union(*found.values())


def test_each_package_is_a_room_and_the_root_is_small() -> None:
    assert len(ENTRIES) >= 4
    assert {room(file) for file in PACKAGES} == {room(file) for file in SHARED} == MAY_IMPORT.keys() - {"functions"}
    assert sum(room(file) == "root" for file in SHARED) <= 14 + 1  # with its __init__.py


@pytest.mark.parametrize("file", DEPLOYED)
def test_imports_go_one_way(file: str) -> None:
    assert {room(each) for each in ours(file)} <= MAY_IMPORT[room(file)]


def test_no_module_leads_back_to_itself() -> None:
    TopologicalSorter({file: ours(file) for file in DEPLOYED}).prepare()


@pytest.mark.parametrize("file", ENTRIES)
def test_an_entry_point_knows_ours_and_the_framework_only(file: str) -> None:
    assert libraries(file) <= {"shared", "functions_framework", "os"}


@pytest.mark.parametrize("file", DOMAIN)
def test_the_domain_knows_no_client_library_and_no_environment(file: str) -> None:
    assert libraries(file) <= {"shared"} | MAY_ALSO_KNOW.get(file, set())


@pytest.mark.parametrize("file", ADAPTERS)
def test_an_adapter_knows_neither_the_environment_nor_who_calls_it(file: str) -> None:
    callers = {"functions", "functions_framework", "cloudevents", "flask", "werkzeug"}

    assert libraries(file).isdisjoint({"os", *callers, "cli", "local", "bench", "tests", "pytest"})


@pytest.mark.parametrize("file", DEPLOYED)
def test_the_time_is_told_in_one_place(file: str) -> None:
    taken = {node.attr for node in nodes(file) if isinstance(node, ast.Attribute)}

    assert taken.isdisjoint({"today", "utcnow"})
    assert ("datetime.now" in source(file)) is (file in TELL_TIME)


def test_the_handler_only_takes_the_time_of_what_it_handles() -> None:
    handler = source("shared/messages/handler.py")

    assert handler.count("time.") == handler.count("time.monotonic()")


@pytest.mark.parametrize("file", PACKAGES)
def test_a_package_is_no_more_than_what_is_said_of_it(file: str) -> None:
    said = ast.get_docstring(ast.parse(source(file))) or ""

    assert len(ast.parse(source(file)).body) == 1
    assert 0 < len(said) <= 200
    assert len(re.findall(r"[.?!](?=\s|$)", said)) <= 2


@pytest.mark.parametrize("file", [*DEPLOYED, *COMMAND])
def test_no_file_and_no_function_is_long(file: str) -> None:
    functions = [node for node in nodes(file) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert len(source(file).splitlines()) <= 260
    assert [each.name for each in functions if (each.end_lineno or 0) - each.lineno >= 40] == []


def test_adapters_say_what_their_clients_give() -> None:
    assert sum(len(re.findall(r"\bAny\b", source(file))) for file in ADAPTERS) <= 12


@pytest.mark.parametrize("file", COMMAND)
def test_the_command_knows_only_what_is_shared(file: str) -> None:
    assert libraries(file) <= {"cli", "shared", "click", "rich", "google", "grpc", "os", "time"}


@pytest.mark.parametrize("folder", ["functions", "shared", "cli", "local", "bench", "tests"])
def test_no_file_is_named_for_being_useful(folder: str) -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}

    assert not [path for path in (ROOT / folder).rglob("*") if path.stem in vague]


@pytest.mark.parametrize("file", ENTRIES)
def test_an_entry_point_defines_one_function_of_its_own_name_which_is_no_librarys(file: str) -> None:
    name = Path(file).stem

    assert name not in sys.stdlib_module_names
    assert [node.name for node in nodes(file) if isinstance(node, ast.FunctionDef | ast.ClassDef)] == [name]


CALLED_BY_LIBRARIES = {"list_commands", "log_message", "process_request"}  # which have a class of ours override them


def test_a_public_name_is_used_by_something_else_than_its_test() -> None:
    code = [
        path for folder in ("functions", "shared", "cli", "local", "bench") for path in (ROOT / folder).rglob("*.py")
    ]
    words = Counter(word for path in code for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))
    tests = Counter(
        word
        for path in (ROOT / "tests").rglob("*.py")
        for word in set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    )

    assert {
        name
        for path in code
        for name in public_names(ast.parse(path.read_text(encoding="utf-8")))
        if words[name] == 1 and tests[name] < 2 and name not in CALLED_BY_LIBRARIES and path.parent.name != "functions"
    } == set()


def public_names(module: ast.Module) -> Iterator[str]:
    """Functions, methods, classes and constants of a module that do not begin with an underscore."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
    for statement in module.body:
        for target in getattr(statement, "targets", [getattr(statement, "target", None)]):
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                yield target.id
