"""`mirror stop`: end a run that was begun by mistake."""

import click

from cli.problems import WrongUse
from cli.session import SEE, Session, command
from shared.messages.message import RUN_ID


@command
@click.argument("pipeline")
@click.argument("run")
def stop(session: Session, pipeline: str, run: str) -> None:
    """
    Stop the run RUN of PIPELINE.

    Each of its tables that is not begun yet is skipped. Those that are being exported come to their end, and other
    pipelines of the instance go on. RUN is the id that `mirror request` printed.
    """
    known = session.settings.pipeline(pipeline)
    if not RUN_ID.fullmatch(run):
        raise WrongUse(f"{run!r} cannot be the id of a run.", f"See the runs: mirror status {known.name}")
    message = {"pipeline": known.name, "stop": run}
    message_id = session.publish(session.settings.mirror_requests_topic, message)
    session.screen.result({"pipeline": known.name, "run_id": run, "message_id": message_id, "message": message})
    session.screen.say(f"Asked to stop the run {run} of {known.name}.")
    session.screen.say(SEE.format(known.name))
