"""What events say, a line each for people."""

from datetime import datetime

import msgspec

from cli.watch.stream import Event
from ledger.resources import TargetState
from producer.events.resources import AccountEvent, BatchEvent, LossEvent, SessionEvent
from schemas.target import Target

RESET = "Changes may be missing here: `audience status` shows how all stands now."

_WITHOUT_DATA = {"reset": RESET, "change": "something changed"}


def event_line(event: Event, now: datetime) -> str:
    """Return an event as a line; one of a kind that this version does not know as the server sent it.

    Raises msgspec.DecodeError.
    """
    text = _text(event)
    return f"{now:%H:%M:%S}  {text}"


def _text(event: Event) -> str:
    match event.kind:
        case "session":
            return _session(msgspec.json.decode(event.data, type=SessionEvent))
        case "batch":
            return _batch(msgspec.json.decode(event.data, type=BatchEvent))
        case "account":
            return _account(msgspec.json.decode(event.data, type=AccountEvent))
        case "loss":
            return _loss(msgspec.json.decode(event.data, type=LossEvent))
        case _:
            return _WITHOUT_DATA.get(event.kind, f"{event.kind} {event.data}")


def _session(one: SessionEvent) -> str:
    users = f"{one.users} users" if one.total_users is None else f"{one.users} of {one.total_users} users"
    accounts = _states(one.targets)
    return f"session {one.session_id}  {_audience(one.name, one.mode)}  {one.state}  {users}{accounts}"


def _batch(one: BatchEvent) -> str:
    states = {_name(target.provider, target.account): target.state for target in one.targets}
    return f"batch {one.batch_id}  {_audience(one.name, one.mode)}  {one.state}  {one.users} users{_states(states)}"


def _audience(name: str, mode: str) -> str:
    return f"{name} (removal)" if mode == "remove" else name


def _states(states: "dict[str, TargetState]") -> str:
    return "".join(f"  {name} {state}" for name, state in states.items())


def _account(one: AccountEvent) -> str:
    behind = "" if one.behind is None else f"  {one.behind} behind"
    error = f"  {one.error.code}: {one.error.remedy}" if one.error else ""
    consumer = "  no consumer" if one.has_consumer is False else ""
    return f"account {_name(one.provider, one.account)}  {one.state}{behind}{consumer}{error}"


def _loss(one: LossEvent) -> str:
    span = f"partition {one.partition} from offset {one.first_offset} to {one.end_offset}"
    return (
        f"loss {_name(one.provider, one.account)}  {one.records} records of {span} left the log before they were read"
    )


def _name(provider: str, account: str | None) -> str:
    return str(Target(provider, account or ""))
