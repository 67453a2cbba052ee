"""What every command begins with: its settings, and where it writes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import settings
from cli.problems import LOG_IN, Problem, WrongUse
from cli.screen import Screen
from cli.settings import Settings
from shared import times
from shared.pipelines import Pipeline

if TYPE_CHECKING:
    from google.cloud.storage import Client

    from cli.objects import Objects
    from cli.pubsub import PubSub
    from cli.warehouse import Warehouse

PATIENCE = 10.0
"""Seconds that a call may take, with what is tried again: somebody waits for it."""


SEE = "See what becomes of it: mirror status {}. If nothing does, why: mirror replay --dry-run"
"""What is said of a message to a pipeline that is not waited for."""


@dataclass(frozen=True)
class Session:
    """One call of the command."""

    settings: Settings
    screen: Screen

    @cached_property
    def pubsub(self) -> "PubSub":
        """The project's Pub/Sub. Google's clients take long to import, so that it is made when it is first needed."""
        from cli.pubsub import PubSub

        return PubSub(self.settings.pubsub_endpoint)

    @cached_property
    def warehouse(self) -> "Warehouse":
        """The project's BigQuery."""
        from cli.warehouse import Warehouse

        return Warehouse(self.settings.project)

    @cached_property
    def _storage(self) -> "Client":
        from google.cloud.storage import Client

        return Client(project=self.settings.project)

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        """Publish one of our messages, and give its id. Raises WrongUse if a name in it is not UTF-8."""
        try:
            data = json.dumps(message, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise WrongUse(f"{error.object!a} is not UTF-8.", "Write the names in UTF-8.") from error
        return self.pubsub.publish(topic, data)

    def bucket(self, pipeline: Pipeline) -> "Objects":
        """The bucket of a pipeline. Raises Problem if nobody is logged in."""
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.retry import DEFAULT_RETRY

        from cli.objects import Objects

        patience = {"timeout": PATIENCE, "retry": DEFAULT_RETRY.with_timeout(PATIENCE)}
        try:
            return Objects(self._storage.bucket(pipeline.bucket), patience)
        except GoogleAuthError as error:
            raise Problem(f"Cannot read gs://{pipeline.bucket}: {error}", LOG_IN) from error


def command(function: Callable[..., None]) -> click.Command:
    """A command of `mirror`, named like its function, which takes the session first. It has --settings and --json."""

    @click.command(
        name=function.__name__, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
    )
    @wraps(function)
    def called(*, settings_file: Path | None, as_json: bool, **given: Any) -> None:
        screen = Screen(as_json=as_json)
        try:
            function(Session(settings.read(settings_file), screen), **given)
        except Problem as problem:
            screen.result({"error": problem.what, "remedy": problem.fix})
            raise

    called.params += [
        click.Option(
            ["--settings", "settings_file"],
            type=click.Path(path_type=Path),
            envvar="MIRROR_SETTINGS",
            show_envvar=True,
            metavar="FILE",
            help="What `terraform output -json settings` printed.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Write the result as JSON."),
    ]
    return called


def day(text: str, pipeline: Pipeline) -> date:
    """The day that was given. Raises WrongUse if it is none, or is to come in the pipeline's time zone."""
    try:
        given = times.day(text)
    except ValueError as error:
        raise WrongUse(f"--date {error}.", "Write it as 2026-11-01.") from error
    today = times.day_in(pipeline.time_zone, times.SystemClock().now())
    if given > today:
        raise WrongUse(
            f"--date {given} is to come: it is {today} in {pipeline.time_zone}, where {pipeline.name} is.",
            f"Give {today} or an earlier day.",
        )
    return given
