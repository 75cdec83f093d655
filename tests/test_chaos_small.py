"""Small records of a chaos run: who is refused where, and that an end unlike that of a record alone is found."""

import random
from itertools import pairwise

import pytest

from checks.chaos.small import AUDIENCES, FIRST, PEOPLE, SMALL, TASTES, Small, batch_of, faults, is_wanted
from checks.chaos.small_verdict import fault_of, faults_of_small, held_otherwise, unlike_the_log, wanted_members
from checks.chaos.verdict import MAY, MUST, MUST_NOT, Upload
from cli.demo.made_up_people import make_people
from schemas.records import BatchCompletion, Counts, Origin, RejectedUser, Status
from schemas.validity import invalidity

ORIGIN = Origin(topic="log", partition=0, offset=0)
REFUSED_BY_FACEBOOK = FIRST + (10 - FIRST) % 100
BY_PLATFORM = "email: refused_by_platform"


def upload(start: int = REFUSED_BY_FACEBOOK, count: int = 1, fate: str = MUST) -> Upload:
    return Upload(audience=f"{SMALL} 0", start=start, count=count, fate=fate)


def end(
    status: Status = "delivered",
    *,
    provider: str = "facebook",
    received: int = 1,
    reasons: dict[str, int] | None = None,
    places: tuple[int, ...] = (),
    error: str | None = None,
    unplaced: int = 0,
) -> BatchCompletion:
    rejected = sum((reasons or {}).values())
    return BatchCompletion(
        origin=ORIGIN,
        provider=provider,
        status=status,
        counts=Counts(received=received, accepted=received - rejected, rejected=rejected),
        rejected_reasons=reasons or {},
        rejected_users=[RejectedUser(index=place, reason="refused_by_platform") for place in places],
        error_code=error,
        shared_unplaced=unplaced,
    )


def test_uploads_are_their_seed_s_of_people_of_their_own_and_valid_as_records() -> None:
    first, second = (Small(random.Random(7)) for _ in range(2))
    drawn = first.some(500)
    assert drawn == second.some(500)
    assert {one.count for one in drawn} == {1, 2, 3}
    assert len({one.audience for one in drawn}) == AUDIENCES
    assert all(before.start + before.count == after.start for before, after in pairwise(drawn))
    assert not any(invalidity(batch_of(one)) for one in drawn)


def test_uploads_end_with_their_people() -> None:
    small = Small(random.Random(1))
    assert PEOPLE - 3 < sum(one.count for one in small.some(PEOPLE)) <= PEOPLE


def test_the_sandbox_is_told_of_everybody_whom_a_platform_refuses_and_of_nobody_else() -> None:
    told = {(fault["provider"], value) for fault in faults() for value in fault["values"]}  # type: ignore[attr-defined] # a list
    numbers = range(FIRST, FIRST + 300)
    for number, person in zip(numbers, make_people(len(numbers), FIRST), strict=True):
        for provider, member in person.members.items():
            assert ((provider, member[0]) in told) == (not is_wanted(number, provider))
    assert {taste.provider for taste in TASTES.values()} == {"facebook", "tiktok", "klaviyo"}


@pytest.mark.parametrize(
    ("found", "is_right"),
    [
        (end("failed", error="request_refused"), True),
        (end("partial", reasons={BY_PLATFORM: 1}, places=(0,)), True),
        (end("partial", reasons={BY_PLATFORM: 1}), True),
        (end("delivered", unplaced=1), True),
        (end("delivered"), False),
        (end("failed", error="busy"), False),
        (end("skipped", error="invalid_batch"), False),
        (end("partial", reasons={"email: not_an_email": 1}), False),
    ],
)
def test_somebody_whom_a_platform_refuses_is_told_as_rejected_or_as_nobody_knows(
    found: BatchCompletion, is_right: bool
) -> None:
    assert (fault_of(found, upload()) == "") == is_right


@pytest.mark.parametrize(
    ("found", "is_right"),
    [
        (end(provider="tiktok"), True),
        (end("failed", provider="tiktok", error="request_refused"), False),
        (end("partial", provider="tiktok", reasons={BY_PLATFORM: 1}), False),
        (end(provider="tiktok", unplaced=1), False),
        (end(provider="klaviyo", unplaced=1), True),
    ],
)
def test_who_is_wanted_is_never_rejected_for_a_neighbour(found: BatchCompletion, is_right: bool) -> None:
    assert (fault_of(found, upload()) == "") == is_right


def test_of_a_record_that_has_both_only_who_is_not_wanted_may_be_rejected() -> None:
    both = upload(REFUSED_BY_FACEBOOK - 1, 2)
    assert not fault_of(end("partial", received=2, reasons={BY_PLATFORM: 1}, places=(1,)), both)
    assert fault_of(end("partial", received=2, reasons={BY_PLATFORM: 1}, places=(0,)), both)
    assert fault_of(end("partial", received=2, reasons={BY_PLATFORM: 2}), both)
    assert fault_of(end("failed", received=2, error="request_refused"), both)
    assert fault_of(end("delivered", received=3), both)


def test_every_end_counts_and_not_only_the_last() -> None:
    ends = [end("delivered"), end("retrying", error="busy"), end("partial", reasons={BY_PLATFORM: 1})]
    assert len(list(faults_of_small(ends, {ORIGIN: upload()}))) == 1


def test_what_was_accepted_stands_in_the_log_and_what_was_refused_does_not() -> None:
    uploads = [upload(FIRST + number, fate=fate) for number, fate in enumerate((MUST, MUST, MUST_NOT, MUST_NOT, MAY))]
    standing = [uploads[0], uploads[2]]
    told = list(unlike_the_log(uploads, standing))
    assert len(told) == 2
    assert str(FIRST + 1) in told[0]
    assert str(FIRST + 2) in told[1]


def test_a_platform_holds_whom_it_wants_of_the_log_and_nobody_else() -> None:
    standing = [upload(REFUSED_BY_FACEBOOK - 1, 3)]
    people = list(standing[0].people())
    wanted = wanted_members(standing, "facebook")
    assert wanted == {people[0].members["facebook"], people[2].members["facebook"]}
    assert len(wanted_members(standing, "tiktok")) == 3
    assert not list(held_otherwise("A", "facebook", wanted, wanted))
    [lacking, much] = held_otherwise(
        "A", "facebook", wanted, {people[1].members["facebook"], people[0].members["facebook"]}
    )
    assert lacking == f"facebook: A lacks 1, such as edge-{REFUSED_BY_FACEBOOK + 1}"
    assert much == f"facebook: A holds too much: 1, such as edge-{REFUSED_BY_FACEBOOK}"
