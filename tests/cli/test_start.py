"""How the command starts: from any folder, at once, and with its own packages."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.command import mirror
from tests.support.person import Person
from tests.support.repository import ROOT

COMMANDS = sorted(mirror.commands)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A checkout whose environment is there: that of the tests."""
    checkout = tmp_path / "checkout"
    environment = checkout / ".venv-cli"
    environment.mkdir(parents=True)
    for name in ("cli", "shared", "Makefile"):
        (checkout / name).symlink_to(ROOT / name)
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(ROOT / "mirror", checkout)
    (environment / "ready").touch()
    return checkout


def run(program: Path, *arguments: str, folder: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_it_works_from_any_folder_and_through_a_link(installed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "cli").mkdir(parents=True)  # which is not ours
    link = elsewhere / "m"
    link.symlink_to(installed / "mirror")

    ran = run(link, "--help", folder=elsewhere)

    assert ran.stdout.startswith("Usage: mirror ")
    assert ran.stderr == ""


def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(operator: Person, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\n\nos.kill(os.getpid(), signal.SIGINT)\n")

    with operator.says_without_looking("--help", environ={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}) as process:
        said = process.communicate(timeout=60)

    assert (process.returncode, *said) == (-signal.SIGINT, "", "")


def test_where_its_packages_cannot_be_installed_it_has_failed(installed: Path, tmp_path: Path) -> None:
    (installed / ".venv-cli" / "ready").unlink()

    with pytest.raises(subprocess.CalledProcessError) as ended:
        run(installed / "mirror", "--help", folder=tmp_path, PYTHON="/bin/false")

    assert (ended.value.returncode, ended.value.stdout) == (1, "")


def test_at_the_first_call_it_installs_its_packages_and_says_so_beside_its_output(
    installed: Path, tmp_path: Path
) -> None:
    shutil.rmtree(installed / ".venv-cli")
    python = tmp_path / "python3"  # in the place of one that makes environments and has a network
    called = tmp_path / "called"
    python.write_text(
        "#!/bin/sh\n"
        f'echo $(echo "$@") >> {called}\n'  # in one line
        'if [ "$2" = venv ]; then\n'
        '    mkdir -p "$4/bin"\n'
        f'    ln -s {sys.executable} "$4/bin/python"; ln -s {sys.prefix}/lib "$4/lib"; cp {sys.prefix}/pyvenv.cfg "$4"\n'
        '    cp "$0" "$4/bin/pip"\n'
        "fi\n"
    )
    python.chmod(0o755)

    first = run(installed / "mirror", "--help", folder=tmp_path, PYTHON=str(python))
    second = run(installed / "mirror", "--help", folder=tmp_path, PYTHON=str(python))

    _, venv, pip = called.read_text().splitlines()
    assert first.stderr == "installing cli/requirements.txt in .venv-cli, once, which may take some minutes …\n"
    assert second.stderr == ""
    assert first.stdout == second.stdout
    assert venv == "-m venv --clear .venv-cli"
    assert "--require-hashes -r cli/requirements.txt" in pip


@pytest.mark.parametrize("arguments", [("--help",), *((name, "--help") for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    told = (
        "import sys; from cli.command import mirror; mirror.main(sys.argv[1:], standalone_mode=False); "
        "print(*sorted(sys.modules), file=sys.stderr)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", told, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert ran.stdout.startswith("Usage: ")
    assert {"google.api_core", "google.auth", "google.protobuf", "grpc", "requests", "rich"}.isdisjoint(
        ran.stderr.split()
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_and_settings_and_says_what_it_does(operator: Person, name: str) -> None:
    ran = operator.says(name, "-h")

    assert ran.code == 0
    assert "--json" in ran.output
    assert "MIRROR_SETTINGS" in ran.output
    assert mirror.commands[name].help


def test_the_packages_are_those_that_the_tests_have() -> None:
    def pinned(file: str) -> set[str]:
        return {line for line in (ROOT / file).read_text().splitlines() if "==" in line or "--hash" in line}

    assert pinned("cli/requirements.txt") - pinned("local/requirements.txt") == set()


def test_a_person_at_a_terminal_gets_help_that_fits(operator: Person) -> None:
    for columns in (80, 200):
        assert max(map(len, operator.sees(columns, "request", "--help").lines)) <= columns


def test_json_is_ascii_so_that_no_terminal_heeds_what_is_in_it(operator: Person) -> None:
    ran = operator.says("stop", "billing", "9912", "--json")

    assert ran.output.isascii()
    assert json.loads(ran.output)["run_id"] == "9912"
