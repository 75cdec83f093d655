"""The last word on a record: a success by any delivery settles it, and a partial replay changes only its users."""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from test_ledger import get, send
from test_replay import recorded, replay
from test_view import BATCH, completion, opened, place, receipt
from world import make_batch, make_users

from ledger.final_outcomes import LastWord, last_word
from ledger.status import target_status
from schemas.records import Counts
from schemas.target import Target
from streams.client.settings import KafkaSettings

FACEBOOK = Target("facebook")


def counted(received: int, accepted: int = 0, reasons: Mapping[str, int] | None = None) -> dict[str, object]:
    """Return what a completion says of its users."""
    rejected = sum((reasons or {}).values())
    return {
        "counts": Counts(received=received, accepted=accepted, rejected=rejected),
        "rejected_reasons": dict(reasons or {}),
    }


def word_of(folder: Path, *told: tuple[str, str, dict[str, object]]) -> LastWord:
    """Return the last word where deliveries ended so, one after the other."""
    view = opened(folder / f"{uuid.uuid4()}.sqlite")
    for number, (delivery, status, facts) in enumerate(told):
        view.fold_completions([(completion(1, status, number, delivery=delivery, **facts), place(number))], {}, "t")
    view.fold_receipts([(receipt(1), place(1))], {}, "r")
    (record,) = view.records_of(BATCH)
    ends = view.ends_of([record.origin])
    view.close()
    return last_word(ends)


def test_a_success_settles_a_record_whatever_failed_before_or_after(tmp_path: Path) -> None:
    failed, good = counted(4), counted(4, 4)
    for order in (("live", "r-1"), ("r-1", "live")):
        word = word_of(tmp_path, (order[0], "failed", failed), (order[1], "delivered", good)).end
        assert (word.status, word.accepted, word.error_code) == ("delivered", 4, None)
        word = word_of(tmp_path, (order[0], "delivered", good), (order[1], "failed", failed)).end
        assert (word.status, word.accepted) == ("delivered", 4)


def test_without_a_success_the_last_failure_is_the_word_unless_live_goes_on(tmp_path: Path) -> None:
    first = {**counted(4), "error_code": "token_invalid"}
    then = {**counted(4), "error_code": "audience_limit"}
    assert word_of(tmp_path, ("live", "failed", first), ("r-1", "failed", then)).end.error_code == "audience_limit"
    assert word_of(tmp_path, ("live", "retrying", first), ("r-1", "failed", then)).end.status == "retrying"


def test_a_replay_of_the_rejected_users_changes_only_what_became_of_them(tmp_path: Path) -> None:
    live = ("live", "partial", counted(9, 6, {"email: not_an_email": 2, "bug": 1}))
    all_good = word_of(tmp_path, live, ("r-1", "delivered", counted(3, 3))).end
    assert (all_good.status, all_good.accepted, all_good.rejected, dict(all_good.reasons)) == ("delivered", 9, 0, {})
    one_left = word_of(tmp_path, live, ("r-1", "partial", counted(3, 2, {"email: not_an_email": 1})))
    assert (one_left.end.accepted, one_left.end.rejected) == (8, 1)
    assert not one_left.stands("live", "email: not_an_email")
    assert one_left.stands("r-1", "email: not_an_email")


def test_a_replay_of_those_rejected_for_one_reason_leaves_the_others_rejected(tmp_path: Path) -> None:
    live = ("live", "partial", counted(9, 6, {"email: not_an_email": 2, "bug": 1}))
    word = word_of(tmp_path, live, ("r-1", "delivered", counted(1, 1)))
    assert (word.end.status, word.end.accepted, dict(word.end.reasons)) == ("partial", 7, {"email: not_an_email": 2})
    assert word.stands("live", "email: not_an_email")
    assert not word.stands("live", "bug")
    last = word_of(tmp_path, live, ("r-1", "delivered", counted(1, 1)), ("r-2", "delivered", counted(2, 2))).end
    assert (last.status, last.accepted, last.rejected) == ("delivered", 9, 0)


def test_where_the_count_fits_several_reasons_nobody_is_taken_for_sent_again(tmp_path: Path) -> None:
    live = ("live", "partial", counted(9, 7, {"email: not_an_email": 1, "bug": 1}))
    word = word_of(tmp_path, live, ("r-1", "delivered", counted(1, 1)))
    assert (word.end.accepted, word.end.rejected) == (8, 1)
    assert word.stands("live", "bug")
    assert word.stands("live", "email: not_an_email")


def test_a_replay_of_all_users_replaces_what_was_before(tmp_path: Path) -> None:
    live = ("live", "partial", counted(9, 6, {"email: not_an_email": 3}))
    some, whole = ("r-1", "delivered", counted(3, 3)), ("r-2", "partial", counted(9, 8, {"bug": 1}))
    word = word_of(tmp_path, live, some, whole).end
    assert (word.accepted, word.rejected, dict(word.reasons)) == (8, 1, {"bug": 1})


def test_of_a_failure_the_remedy_says_how_the_record_is_sent_again(tmp_path: Path) -> None:
    def remedy(code: str) -> str:
        view = opened(tmp_path / f"{code}.sqlite")
        view.fold_receipts([(receipt(1), place(1))], {}, "r")
        view.fold_completions([(completion(1, "failed", 1, error_code=code), place(1))], {}, "t")
        records = view.records_of(BATCH)
        told = target_status(FACEBOOK, records, view.ends_of([records[0].origin]), lambda _: None)
        view.close()
        assert told.error is not None
        return told.error.remedy

    again = f"end it again: audience replay --batch {BATCH} --provider facebook --only failed"
    assert remedy("token_invalid") == f"Set a new token. Then s{again}"
    assert remedy("platform_error") == f"S{again}"
    assert remedy("undecodable") == "Correct the publisher."


async def test_a_session_that_failed_is_delivered_once_a_replay_got_it_through(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix, providers=["facebook"]) as found:
        refusal: dict[str, Any] = {"provider": "facebook", "fault": "custom", "status": 400, "untilCleared": True}
        await found.inject(**refusal, body={"error": {"code": 100, "error_subcode": 1713098}})
        for number in (1, 2):
            batch: dict[str, Any] = {"sessionId": 5, "sequence": number, "totalBatches": 2, "totalUsers": 4}
            _, sent = await send(found, make_users(2, number * 2), **batch)
            assert (await get(found, f"/audience/batches/{sent['batchId']}?wait=20"))[1]["state"] == "failed"
        _, told = await get(found, "/audience/sessions/5")
        assert told["runs"][0]["state"] == "failed"
        remedy = told["runs"][0]["targets"][0]["error"]["remedy"]
        assert "audience replay --session 5 --audience VIP --provider facebook --only failed" in remedy
        await found.clear_faults()
        code, _, error = await replay(tmp_path, found, "--session", "5", "--only", "failed", "--yes")
        assert code == 0, error
        async with asyncio.timeout(20):
            while (await get(found, "/audience/sessions?state=delivered"))[1]["sessions"] == []:
                await asyncio.sleep(0.1)
        _, told = await get(found, "/audience/sessions/5")
        target = told["runs"][0]["targets"][0]
        assert (told["runs"][0]["state"], target["state"], target["error"]) == ("delivered", "delivered", None)
        assert target["users"] | {"open": 0} == {
            "inLog": 4, "sent": 4, "accepted": 4, "rejected": 0, "matched": None, "usable": None, "open": 0
        }  # fmt: skip
        assert (await get(found, "/audience/sessions?state=failed"))[1]["sessions"] == []
        same = make_batch(sessionId=5, sequence=1, totalBatches=2, totalUsers=4)
        status, body, _ = await found.upload(make_users(2, 2), "?sync=true&detail=true", batch=same)
        assert (status, body["results"][0]["status"]) == (200, "delivered"), "a retry is told the last word, too"
