"""The benchmark of files says of each figure that is asked for whether it is met."""

import pytest

from benchmarks.files.demands import memory, print_all, speed_of_command, speed_of_reading


def test_each_demand_is_met_at_its_bound_and_missed_beyond() -> None:
    assert [speed_of_reading("csv", ratio).is_met for ratio in (2.0, 1.99)] == [True, False]
    assert [speed_of_command(ratio).is_met for ratio in (0.8, 1.05, 1.06)] == [True, True, False]
    assert [demand.is_met for demand in memory("csv", 50, 55)] == [True, True]
    assert [demand.is_met for demand in memory("csv", 50, 56)] == [False, True]
    assert [demand.is_met for demand in memory("csv", 240, 251)] == [True, False]


def test_one_that_is_missed_is_told_and_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert not print_all([speed_of_command(0.9), speed_of_command(1.2)])
    assert "MISSED  command: x1.20 of the time" in capsys.readouterr().out
    assert print_all([speed_of_command(0.9)])
