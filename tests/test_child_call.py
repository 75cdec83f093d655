"""What may end a process is done in one of its own, and once more where it does."""

from pathlib import Path

import pytest
from dying import die, die_at_first, fail, hang, say

from streams.processes.child_call import TRIES, ChildEndedError, in_child


async def test_a_child_answers_what_a_function_returns_whatever_libraries_print() -> None:
    assert await in_child(say, "made up", limit=30) == {"made up": [1, 2]}


async def test_another_child_is_asked_where_one_is_aborted(tmp_path: Path) -> None:
    assert await in_child(die_at_first, str(tmp_path / "calls"), limit=30) == 2


async def test_a_call_that_ends_every_child_fails_and_ends_nobody_else(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    with pytest.raises(ChildEndedError, match="SIGABRT"):
        await in_child(die, str(calls), limit=30)
    assert len(calls.read_text()) == TRIES


async def test_a_function_that_raises_is_called_once_and_one_that_hangs_is_ended() -> None:
    with pytest.raises(ChildEndedError, match="exit code 1"):
        await in_child(fail, limit=30)
    with pytest.raises(ChildEndedError, match="no answer"):
        await in_child(hang, limit=2)
