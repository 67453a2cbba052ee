"""Where the command learns of the deployment."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import SETTINGS, Deployment
from tests.support.person import Person


@pytest.mark.parametrize(
    "content",
    [SETTINGS, {"value": SETTINGS, "type": ["object"], "sensitive": False}, {"settings": {"value": SETTINGS}}],
    ids=["the bare value", "an output", "all outputs"],
)
def test_all_that_terraform_prints_is_read(
    deployment: Deployment, operator: Person, settings: Path, content: object
) -> None:
    settings.write_text(json.dumps(content), encoding="utf-8")

    ran = operator.says("stop", "billing", "9912")

    assert ran.code == 0, ran.errors
    assert len(deployment.published["mirror-requests"]) == 1


def test_keys_that_follow_are_no_fault(operator: Person, settings: Path) -> None:
    settings.write_text(json.dumps(SETTINGS | {"later": [1]}), encoding="utf-8")

    assert operator.says("stop", "billing", "9912").code == 0


def test_the_option_comes_before_the_variable(operator: Person, settings: Path) -> None:
    here = settings.rename(settings.with_name("other.json"))

    assert operator.says("stop", "billing", "9912", "--settings", here.name).code == 0


def test_without_settings_it_says_how_to_write_them(operator: Person) -> None:
    ran = operator.says("stop", "billing", "9912", environ={"MIRROR_SETTINGS": ""})

    assert (ran.code, ran.output) == (2, "")
    assert "terraform output -json settings > settings.json" in ran.errors


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        (json.dumps({**SETTINGS, "project": None}), "project is missing"),
        (
            json.dumps({**SETTINGS, "mirror_requests_topic": "mirror-requests"}),
            'mirror_requests_topic must be a full name, projects/PROJECT/topics/TOPIC, not "mirror-requests"',
        ),
        (json.dumps({**SETTINGS, "pipelines": {}}), "pipelines must be a JSON object with one entry per pipeline"),
        (json.dumps({**SETTINGS, "pipelines": None}), "pipelines is missing"),
        (json.dumps({**SETTINGS, "pipelines": {"billing": {}}}), "pipelines.billing.instance is missing"),
        (json.dumps({**SETTINGS, "pubsub_endpoint": 1}), "pubsub_endpoint must be an address, not 1"),
        (
            json.dumps({**SETTINGS, "schedules": {"billing": 4}}),
            'schedules must be texts by pipeline, not {"billing": 4}',
        ),
    ],
)
def test_what_is_wrong_with_them_is_named(operator: Person, settings: Path, content: str, said: str) -> None:
    settings.write_text(content, encoding="utf-8")

    ran = operator.says("stop", "billing", "9912")

    assert (ran.code, ran.output) == (2, "")
    assert f"{settings}" in ran.errors
    assert said in ran.errors


def test_a_file_that_is_not_there_is_named(operator: Person) -> None:
    ran = operator.says("stop", "billing", "9912", "--settings", "gone.json")

    assert (ran.code, ran.output) == (2, "")
    assert "gone.json cannot be read: No such file or directory." in ran.errors
    assert "Was it a demo's, it has ended: make demo KEEP=1." in ran.errors
