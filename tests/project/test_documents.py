"""The documents and the code say the same: links lead somewhere, blocks are accepted, and nothing is left out."""

import itertools
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime
from typing import Any

import pytest

from bench import report
from cli.command import mirror
from local import conversions, cost, readme
from shared import pipelines
from shared.messages import exports, requests, snapshots
from shared.messages.days import RunShown
from shared.messages.message import Message
from shared.messages.outcome import Outcome, Subject
from shared.pipelines import Pipeline
from shared.runs import records
from shared.settings import Settings
from tests.support.repository import ROOT

TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in (".", "docs", "terraform")
    for path in sorted((ROOT / folder).glob("*.md"))
}
PAGES = sorted(name for name in TEXTS if name.startswith("docs/"))
SETTINGS, MESSAGES, FAILURES, BENCHMARKS = (
    TEXTS[f"docs/{name}.md"] for name in ("settings", "messages", "failures", "benchmarks")
)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A document without its blocks and spans of code."""
    return re.sub(r"`[^`\n]+`", "code", _FENCED.sub("", text))


def links(text: str) -> list[str]:
    """What its links and pictures lead to, but for other people's pages."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)) if ":" not in link]


def anchors(text: str) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


def blocks(language: str) -> list[tuple[str, str]]:
    """The blocks of code in a language, each with its document."""
    return [(name, block) for name, text in TEXTS.items() for of, block in _FENCED.findall(text) if of == language]


def documents(block: str) -> Iterator[Any]:
    """The JSON documents of a block. Raises ValueError for anything else."""
    decoder, rest = json.JSONDecoder(), block.strip()
    while rest:
        found, end = decoder.raw_decode(rest)
        yield found
        rest = rest[end:].lstrip()


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, whose first line begins so, without its head."""
    lines = text.partition(f"\n{heading}")[2].splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith("| ---"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[begin + 1 :])
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def spans(cell: str) -> list[str]:
    """The spans of code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def named(text: str, heading: str) -> list[str]:
    """What the first column of that table names."""
    return [name for first, *_ in rows(text, heading) for name in spans(first)]


def firsts(text: str) -> set[str]:
    """What the first columns of its tables name."""
    columns = (line.split("|")[1] for line in text.splitlines() if line.startswith("| "))
    return {name for first in columns for name in re.findall(r"`([^`]+)`", first)}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_to_a_file_and_a_heading_of_it(name: str) -> None:
    for link in links(TEXTS[name]):
        target, _, anchor = link.partition("#")
        path = ((ROOT / name).parent / target).resolve() if target else ROOT / name

        assert path.exists(), link
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), link


def test_no_document_has_two_headings_of_one_anchor() -> None:
    for name in set(TEXTS) - {"CHANGELOG.md"}:
        heads = re.findall(r"^#+ .+$", _FENCED.sub("", TEXTS[name]), re.MULTILINE)
        assert len(anchors(TEXTS[name])) == len(heads), name


def test_the_readme_leads_to_every_page_and_is_short() -> None:
    linked = {link.partition("#")[0] for link in links(TEXTS["README.md"])}

    assert {f"docs/{path.name}" for path in (ROOT / "docs").iterdir()} - {"docs/bench.svg"} <= linked
    assert len(TEXTS["README.md"].splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_led_to_from_another_one(page: str) -> None:
    name = page.removeprefix("docs/")
    others = [link.partition("#")[0] for other in PAGES if other != page for link in links(TEXTS[other])]

    assert name in others


@pytest.mark.parametrize(("name", "block"), blocks("json"))
def test_every_block_of_json_can_be_read(name: str, block: str) -> None:
    assert list(documents(block)), name


@pytest.mark.parametrize(("name", "block"), blocks("hcl"))
@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not on this machine")
def test_every_block_of_hcl_is_as_terraform_formats_it(name: str, block: str) -> None:
    done = subprocess.run(["terraform", "fmt", "-"], input=block, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, block), f"{name}: {done.stderr}"


def test_every_block_of_hcl_names_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    named = [ref for _, block in blocks("hcl") for ref in re.findall(r"\?ref=v(.*?)\"", block)]
    assert named
    assert set(named) == {version}


def of_settings() -> Mapping[str, Pipeline]:
    [block] = [block for name, block in blocks("json") if name == "docs/settings.md"]
    known, faults = pipelines.read(block)
    assert faults == []
    return known


def said(topic: str) -> list[Message]:
    """The messages in the section of a topic."""
    [section] = re.findall(rf"^### {topic}\n(.*?)(?=^##|\Z)", MESSAGES, re.MULTILINE | re.DOTALL)
    found = [content for _, block in _FENCED.findall(section) for content in documents(block)]
    published = datetime(2026, 11, 22, 2, tzinfo=UTC)
    return [Message(topic, "9912", published, json.dumps(content).encode()) for content in found]


Read = Callable[[Message, Mapping[str, Pipeline]], Any]
OURS: dict[str, Read] = {
    "table-exports": exports.table_export,
    "table-exported": exports.table_exported,
    "run-exported": exports.run_exported,
    "snapshots": snapshots.snapshot_read,
}


@pytest.mark.parametrize("topic", ["mirror-requests", "view-refreshes"])
def test_every_message_that_people_publish_is_accepted(topic: str) -> None:
    read: Read = requests.asked if topic == "mirror-requests" else requests.view_refresh
    known, messages = of_settings(), said(topic)

    assert len(messages) > 3
    for message in messages:
        read(message, known)


@pytest.mark.parametrize("topic", OURS)
def test_a_message_of_the_functions_is_as_they_write_it(topic: str) -> None:
    [message] = said(topic)

    assert OURS[topic](message, of_settings()).to_json() == message.content


def test_the_message_of_a_run_that_is_over_is_as_the_functions_write_it() -> None:
    [message] = said("run-shown")
    ends = {end: message.content[end] for end in records.ENDS}

    assert RunShown("9912", "billing", date(2026, 11, 22), ends).to_json() == message.content


def test_every_topic_has_its_section() -> None:
    [made] = re.findall(
        r"toset\(concat\((.*?)\n  \)\)", (ROOT / "terraform/topics.tf").read_text(encoding="utf-8"), re.DOTALL
    )

    assert set(re.findall(r'"([a-z-]+)"', made)) - anchors(MESSAGES) == set()


def test_every_function_has_its_line() -> None:
    assert {path.stem for path in (ROOT / "functions").glob("*.py")} <= firsts(MESSAGES)


def test_every_key_of_a_pipeline_has_its_line() -> None:
    assert sorted(named(SETTINGS, "## Pipelines")) == sorted({field.name for field in fields(Pipeline)} - {"name"})


def test_the_defaults_of_a_pipeline_are_as_its_line_says() -> None:
    said: dict[str, object] = {}
    for keys, default, meaning in rows(SETTINGS, "## Pipelines"):
        values = [None] if default == "none" else [json.loads(value) for value in spans(default)] or [MISSING]
        said |= dict(zip(spans(keys), values * (len(spans(keys)) // len(values)), strict=True))
        assert meaning
    defaults = {field.name: field.default for field in fields(Pipeline)}

    as_json = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    assert said == {name: value for name, value in as_json.items() if name != "name"}


def test_every_variable_that_the_settings_read_has_its_line() -> None:
    source = (ROOT / "shared/settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|PIPELINES)"', source))

    assert "PIPELINES" in read
    assert sorted(named(SETTINGS, "## Variables")) == sorted(read)
    [waits] = [field.default for field in fields(Settings) if field.name == "wait_budget_seconds"]
    assert f"optional, {waits}, at most" in SETTINGS


def test_every_outcome_has_its_line() -> None:
    words = {
        word
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for call in re.findall(r"Outcome\(([^,]+),", path.read_text(encoding="utf-8"))
        for word in re.findall(r'"(\w+)"', call)
    }

    assert {"listed", "dead"} < words
    said = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", FAILURES.partition("| outcome |")[2], re.MULTILINE))
    assert said.keys() == words
    assert all(said.values())


def test_every_field_of_a_log_line_has_its_line() -> None:
    about = Subject("billing", "public.orders", date(2026, 11, 22), "9912")

    sources = [(ROOT / file).read_text(encoding="utf-8") for file in ("shared/messages/handler.py", "shared/log.py")]
    of_all = {name for source in sources for name in re.findall(r'\{"(\w+)":', source)}
    assert {"function", "message_id", "attempt", "seconds"} <= of_all
    written = Outcome("dead", "why", about, operation="o").to_json().keys() | of_all
    assert set(named(FAILURES, "## The log")) == written


def test_every_attribute_of_a_dead_letter_has_its_word() -> None:
    source = (ROOT / "shared/gcp/pubsub.py").read_text(encoding="utf-8")
    written = re.findall(r"\b(?:ours|origin) = \{(.*?)\}", source, re.DOTALL)
    said = spans(FAILURES.partition("## Dead letters")[2].partition("To replay it")[0])

    assert len(written) == 2
    assert set(re.findall(r'"(\w+)":', "".join(written))) == set(said)


def test_every_key_of_a_request_has_its_line() -> None:
    asked = {key for message in said("mirror-requests") for key in message.content}
    source = (ROOT / "shared/messages/requests.py").read_text(encoding="utf-8")
    read = {key for known in re.findall(r"known ?= ?\((.*?)\)", source) for key in re.findall(r'"(\w+)"', known)}

    assert (
        set(named(MESSAGES, "### mirror-requests")) == asked == read - {"run_id", "relist"}
    )  # those are the mirror's own


def test_every_alert_has_its_line() -> None:
    source = (ROOT / "terraform/alerts.tf").read_text(encoding="utf-8")
    alerts = re.findall(r'display_name += "\$\{var\.prefix\}mirror: (.*)"', source)
    lines = re.findall(r"^\| (.*?) \| \[(.*?)\]", TEXTS["terraform/RUNBOOK.md"], re.MULTILINE)

    assert alerts
    assert [alert.replace("${each.key}", "PIPELINE") for alert in alerts] == [alert for alert, _ in lines]
    assert re.findall(r'Runbook: \\"(.*?)\\"', source) == [symptom for _, symptom in lines]


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", "\n".join(TEXTS.values()), re.MULTILINE))
def test_every_command_of_the_documents_is_a_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_command_that_is_spoken_of_is_there() -> None:
    everything = "\n".join(TEXTS.values())
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(re.findall(r"`make ([a-z-]+)", everything)) <= {*targets}
    assert set(re.findall(r"\./mirror ([a-z]+)", everything)) == mirror.commands.keys()


def test_the_picture_of_the_flow_has_the_functions_that_are_there() -> None:
    [(_, drawn)] = blocks("mermaid")
    functions = {path.stem for path in (ROOT / "functions").glob("*.py")}

    assert drawn.startswith("flowchart ")
    assert set(re.findall(r"\b[a-z]+_[a-z]+\b", drawn)) == functions - {"start_loader"}


def test_what_make_readme_writes_is_as_it_would_write_it() -> None:
    assert readme.TYPES.text(TEXTS["docs/values.md"]) == conversions.table()
    assert readme.PRICE.text(TEXTS["README.md"]) == cost.summary(cost.Example())


def test_the_part_of_the_benches_has_the_form_that_make_bench_writes() -> None:
    chart, space, head, rule, *rows, last_space, where = report.PART.text(BENCHMARKS).splitlines()

    assert [chart, space, head, rule, last_space, where] == report.part([], where, "bench.svg").splitlines()
    assert re.fullmatch(r"Measured on \S+(?: with changes)?, on \d+ cores at a load of [\d.]+\.", where)
    assert [row for row in rows if row.count("|") != head.count("|")] == []


def test_the_figures_of_the_readme_are_those_of_the_benches() -> None:
    rows = [line.strip("| ").split(" | ") for line in report.PART.text(BENCHMARKS).splitlines() if line[:2] == "| "]
    figures = {(bench, what): figure for bench, what, figure, *_ in rows}
    met = [row[-1] for row in rows if row[-1] in {"yes", "no"}]

    assert report.HEADLINES.text(TEXTS["README.md"]) == report.headlines(figures, met)


def test_a_bench_is_said_to_be_met_where_its_figure_is_within_its_target() -> None:
    rows = [line.split(" | ") for line in report.PART.text(BENCHMARKS).splitlines() if "| ≤ " in line]

    assert rows
    for _, _, figure, _, target, met in rows:
        within = float(figure.replace(",", "")) <= float(target.removeprefix("≤ ").replace(",", ""))
        assert met == ("yes |" if within else "no |")


def test_contributing_names_files_that_are_there() -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|tf|toml|tfvars))`", TEXTS["CONTRIBUTING.md"]))

    assert named
    assert [name for name in named if not (ROOT / name).exists() and not list((ROOT / "shared").rglob(name))] == []
