"""What a person asks to send again, from the command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from cli.replay.saved_replays import ReplayError
from cli.replay.selection import Choice
from schemas.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asked for. Of a replay that is resumed only its id counts, and a rate that is given anew."""

    choice: Choice
    targets: Sequence[Target]
    rate: float | None
    with_attributes: bool
    resume: str | None
    is_dry: bool
    is_sure: bool


def asked_for(options: argparse.Namespace, targets: Sequence[Target]) -> Asked:
    """Return what the command line asks for. Raises ReplayError where that may be more than somebody meant."""
    choice = Choice(
        session_id=options.session,
        name=options.audience,
        type=options.type,
        mode=options.mode,
        batch_id=options.batch,
        origin=options.origin,
        since=options.since,
        until=options.until,
        only=options.only,
        reasons=tuple(options.reason or ()),
    )
    if options.resume and (choice != Choice() or options.provider or options.with_attributes):
        raise ReplayError("a replay that is resumed keeps what was chosen: give --resume, --rate, --yes or --dry-run")
    if not options.resume:
        _check(choice)
    return Asked(
        choice=choice,
        targets=tuple(dict.fromkeys(targets)),
        rate=options.rate,
        with_attributes=options.with_attributes,
        resume=options.resume,
        is_dry=options.dry_run,
        is_sure=options.yes,
    )


def _check(choice: Choice) -> None:
    if not choice.is_narrow:
        raise ReplayError(
            "say what to send again: --since 2h, --session, --audience, --batch, --origin, or --only failed; "
            "all that the log holds is --since 30d"
        )
    if choice.type and choice.name is None:
        raise ReplayError("--type: say which --audience it is of")
    if choice.since and choice.until and choice.since > choice.until:
        raise ReplayError("--until: give a time after --since")


def check_place(choice: Choice, log: str) -> None:
    if choice.origin is not None and choice.origin.topic != log:
        raise ReplayError(f"--origin: the log is {log}, and nothing else is sent again, such as {log}-3@17")
