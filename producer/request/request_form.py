"""Everything of a request besides `batch` and `users`: all that is wrong with it is told at once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from multidict import MultiMapping

from producer.request.batch_form import BatchForm
from producer.request.body import FIELDS, Form
from producer.request.client_names import MODES, bare, corrected, is_mode_by_chance, meant, shown
from producer.request.unknown_names import Ignored, NameCounter
from schemas.bounds import MAX_NAME
from schemas.did_you_mean import did_you_mean
from schemas.records import AudienceType, Mode
from schemas.target import Target
from schemas.validity import is_name, trimmed

MOST_CHANNELS = 20
"""Names of targets that are compared with ours, where one is wrong."""

QUERY = ("disablePrefix", "sync", "detail", "channels", "mode", "resume")
_INSTEAD = dict.fromkeys(("channels", "channel"), "channels, separated by commas")
_NEAR = (*QUERY, "channel")
"""The singular is a slip of its own; whoever writes it and slips means `channels`."""

_CHANNELS = re.compile(r"\bchannels\s*[=:]", re.IGNORECASE)
_WITHIN = "it stands within another name or value of the query; send ?channels=facebook,tiktok, & before what follows"
_MODE = re.compile(r"\bmode\b", re.IGNORECASE)
_REMOVE = re.compile(r"\bmode\s*[=:]\s*remove\b", re.IGNORECASE)

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TYPES = ("custom", "primary")

MOST_NAMED_IN_ANSWER = 5
"""Unknown parts that are named where one is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForm:
    """What an upload asks for."""

    name: str
    type: AudienceType
    disable_prefix: bool
    sync: bool
    detail: bool
    channels: list[str] | None
    mode: Mode
    """Whether users are to join the audience or to leave it."""
    resume: bool
    """Whether it is of the newest run of its session, however long ago that was."""
    ignored: tuple[Ignored, ...]
    """Names of the query and of parts that nobody knows."""


@dataclass(slots=True)
class _Faults:
    found: list[str] = field(default_factory=list)

    def add(self, field_name: str, instead: str) -> None:
        self.found.append(f"{field_name}: {instead}")


def parse_request(
    form: Form, batch: BatchForm, query: MultiMapping[str], targets: Sequence[Target]
) -> tuple[RequestForm | None, list[str]]:
    """Return what the request asks for, or None and everything that is wrong, as `field: what to send instead`."""
    faults = _Faults()
    for name in dict.fromkeys(form.repeated):
        faults.add(name, "send it once")
    faults.found += _almost(form.ignored, FIELDS, "parts", with_slips=False)
    request = RequestForm(
        name=_name(form, faults),
        type=_type(form, faults),
        disable_prefix=_boolean("disablePrefix", query, faults),
        sync=_boolean("sync", query, faults),
        detail=_boolean("detail", query, faults),
        channels=_channels(query, targets, faults),
        mode=_mode(query, faults),
        resume=_boolean("resume", query, faults),
        ignored=_ignored(query, form),
    )
    named = [name for name, value in query.items() if not _is_another_word(name, value)]
    faults.found += _almost(named, _NEAR, "query", with_slips=True)
    faults.found += _hidden_channels(query, form)
    faults.found += _hidden_mode(query, form)
    if batch.sequence > batch.total_batches:
        faults.add("batch.sequence", "send a number that is not above totalBatches")
    return (None if faults.found else request), faults.found


def _almost(names: Iterable[str], known: Sequence[str], place: str, *, with_slips: bool) -> list[str]:
    """Return a fault for each name that is almost one of ours: who sent it would be misunderstood."""
    unknown = dict.fromkeys(name for name in names if name not in QUERY and name not in FIELDS)
    meant_for = {name: meant(name, known, with_slips=with_slips) for name in unknown}
    found = (corrected(name, _INSTEAD.get(ours, ours), place) for name, ours in meant_for.items() if ours)
    return list(dict.fromkeys(found))


def _hidden_channels(query: MultiMapping[str], form: Form) -> list[str]:
    """Return a fault where `channels` stands where it limits nothing: users would reach platforms left out by it.

    As a part, within another name (`filter[channels]`), or in a query that was encoded as a whole.
    """
    almost = {name for name in query if meant(name, _NEAR, with_slips=True)}
    is_within = any(
        "channels" in name.casefold() or _CHANNELS.search(value)
        for name, value in query.items()
        if name not in QUERY and name not in almost
    )
    is_part = any(meant(name, ("channels", "channel"), with_slips=False) for name in form.ignored)
    faults = ["channels: it came as a part; send it in the query, separated by commas"] if is_part else []
    return faults + ([f"channels: {_WITHIN}"] if is_within else [])


def _is_another_word(name: str, value: str) -> bool:
    """Tell whether a name is a slip of `mode` only by chance."""
    return meant(name, _NEAR, with_slips=True) == "mode" and is_mode_by_chance(name, value)


def _hidden_mode(query: MultiMapping[str], form: Form) -> list[str]:
    """Return a fault where `mode` stands where it says nothing: who was to leave would be added."""
    is_within = any(
        (_MODE.search(name) and meant(value, ("remove",), with_slips=True)) or _REMOVE.search(f"{name} {value}")
        for name, value in query.items()
        if bare(name)[0].casefold() != "mode"
    )
    is_part = any(meant(name, ("mode",), with_slips=False) for name in form.ignored)
    faults = ["mode: it came as a part; send it in the query"] if is_part else []
    return faults + (
        ["mode: it stands within another name or value of the query; send ?mode=remove"] if is_within else []
    )


def _ignored(query: MultiMapping[str], form: Form) -> tuple[Ignored, ...]:
    of_query = NameCounter("query", lambda name: f"the part {name}" if name in FIELDS else _channels_meant(name))
    of_query.add(name for name, _ in query.items() if name not in QUERY)  # its keys come once each
    of_parts = NameCounter("parts", lambda name: f"{name} in the query" if name in QUERY else None)
    of_parts.add(form.ignored)
    return of_query.found() + of_parts.found()


def _channels_meant(name: str) -> str | None:
    return "channels" if "channel" in name.casefold() else None


def pieces(part: str, form: Form) -> str:
    """Return what to do where a client took a part to pieces, or named it almost right, as the rest of a sentence."""
    if part in form.repeated:
        return f"; {part} came more than once, as when an object is taken to pieces: send all of it once, as JSON"
    near = [name for name in form.ignored if meant(name, [part], with_slips=True)]
    if any(bare(name)[1] for name in near) or any(name.startswith(f"{part}.") for name in form.ignored):
        return f"; it came in pieces, such as {part}[...]: send one part {part} that holds all of it as JSON"
    if near:
        return f"; {corrected(near[0], part, 'parts')}"
    others = [name for name in dict.fromkeys(map(shown, form.ignored)) if name][:MOST_NAMED_IN_ANSWER]
    return f"; of what came these are no parts of it: {', '.join(others)}" if others and part not in form.parts else ""


def _name(form: Form, faults: _Faults) -> str:
    name = _text("name", form, faults)
    if name is not None and not is_name(name):
        faults.add("name", f"send a name of 1 to {MAX_NAME} characters")
    return name or ""


def _type(form: Form, faults: _Faults) -> AudienceType:
    if "type" not in form.parts:
        return "custom"
    kind = _text("type", form, faults)
    if kind is not None and kind not in _TYPES:
        faults.add("type", "send custom or primary")
    return cast(AudienceType, kind)


def _text(field_name: str, form: Form, faults: _Faults) -> str | None:
    if field_name not in form.parts:
        faults.add(field_name, "send it, it is required")
        return None
    try:
        return trimmed(form.parts[field_name].decode())
    except UnicodeDecodeError as error:
        faults.add(field_name, f"send UTF-8, byte {error.start} is none")
        return None


def _boolean(field_name: str, query: MultiMapping[str], faults: _Faults) -> bool:
    values = query.getall(field_name, [])
    if len(values) > 1:
        faults.add(field_name, "send it once")
    value = _BOOLEANS.get(values[0].lower()) if values else False
    if value is None:
        faults.add(field_name, "send true, false, 1 or 0")
    return bool(value)


def _mode(query: MultiMapping[str], faults: _Faults) -> Mode:
    values = query.getall("mode", [])
    if len(values) > 1:
        faults.add("mode", "send it once")
    if values and values[0] not in MODES:
        faults.add("mode", "send add or remove")
    return "remove" if values[:1] == ["remove"] else "add"


def _channels(query: MultiMapping[str], targets: Sequence[Target], faults: _Faults) -> list[str] | None:
    values = query.getall("channels", [])
    if not values:
        return None
    known = dict.fromkeys(name for target in targets for name in (target.provider, str(target)))
    channels = list(dict.fromkeys(channel.strip() for channel in values[0].split(",")))
    if len(values) > 1:
        faults.add("channels", "send it once, separated by commas")
    elif not all(channel in known for channel in channels):
        near = did_you_mean((channel for channel in channels[:MOST_CHANNELS] if channel not in known), known)
        faults.add("channels", f"send some of {', '.join(known)}, separated by commas{near}")
    return channels
