"""The parts of the order rule, each alone; `test_order_rule` checks them together."""

import pytest

from consumer.ordering.account_order import AccountOrder
from consumer.ordering.identifier_index import IdentifierIndex
from consumer.ordering.log_position import LogPosition
from consumer.ordering.removal_memory import Later, RemovalMemory
from consumer.ordering.turns import Decided, Rest, Turns

ADA, ALAN, PHONE, OTHER_PHONE = b"ada@", b"alan@", b"+1", b"+2"


def at(offset: int, partition: int = 0, appended_at: int | None = None, log_id: str | None = "log") -> LogPosition:
    appended = offset if appended_at is None else appended_at
    return LogPosition(partition=partition, offset=offset, appended_at=appended, log_id=log_id)


@pytest.fixture
def memory() -> RemovalMemory:
    return RemovalMemory(log_id="log")


def going(*offsets: int) -> Decided:
    return Decided(go=list(offsets))


# Turns


def test_additions_go_at_once_and_side_by_side() -> None:
    turns = Turns()
    assert all(turns.met(offset, "add") for offset in range(3))


def test_a_removal_goes_when_all_earlier_have_ended_and_later_ones_wait_for_it() -> None:
    turns = Turns()
    assert turns.met(1, "add")
    assert not turns.met(2, "remove")
    assert not turns.met(3, "add")
    assert turns.decide(0.0) == Decided()
    turns.ended(1, 0.0)
    assert turns.decide(0.0) == going(2)
    assert turns.decide(0.0) == Decided()
    turns.ended(2, 0.0)
    assert turns.decide(0.0) == going(3)


def test_removals_go_one_after_the_other() -> None:
    turns = Turns()
    turns.met(1, "remove")
    turns.met(2, "remove")
    assert turns.decide(0.0) == going(1)
    turns.ended(1, 0.0)
    assert turns.decide(0.0) == going(2)


def test_an_earlier_addition_that_comes_by_its_pointer_waits_for_no_later_removal() -> None:
    turns = Turns()
    turns.met(5, "remove")
    turns.decide(0.0)
    turns.met(2, "add")
    assert turns.decide(0.0) == going(2)


def test_while_a_removal_is_postponed_later_ones_are_to_be_postponed_behind_it() -> None:
    turns = Turns()
    turns.met(1, "remove")
    turns.met(2, "add")
    turns.decide(0.0)
    turns.postponed(1, "remove", 0.0)
    assert not turns.met(3, "remove")
    assert turns.decide(0.0) == Decided(postpone={2: 1, 3: 1})
    turns.postponed(2, "add", 0.0)
    turns.postponed(3, "remove", 0.0)
    assert turns.ends_elsewhere() == {1, 3}


def test_what_is_earlier_than_a_postponed_removal_goes() -> None:
    turns = Turns()
    turns.postponed(5, "remove", 0.0)
    turns.met(4, "add")
    assert turns.decide(0.0) == going(4)


def test_later_ones_go_on_when_a_postponed_removal_has_failed_for_good() -> None:
    turns = Turns()
    turns.postponed(1, "remove", 0.0)
    turns.met(2, "add")
    turns.ended_elsewhere(1)
    assert turns.decide(0.0) == going(2)


def test_a_removal_waits_for_a_call_that_ended_without_an_answer() -> None:
    turns = Turns()
    turns.met(1, "add")
    turns.cut(1, until=30.0)
    turns.ended(1, 5.0)
    turns.met(2, "remove")
    assert turns.decide(5.0) == Decided(ask_at=30.0)
    assert turns.decide(30.0) == going(2)


def test_a_removal_waits_for_a_job_of_an_addition_that_is_postponed() -> None:
    turns = Turns()
    turns.met(1, "add")
    turns.postponed(1, "add", 0.0, has_job=True)
    turns.met(2, "remove")
    assert turns.decide(100.0) == Decided()
    turns.ended_elsewhere(1)
    assert turns.decide(100.0) == going(2)


def test_a_removal_does_not_wait_for_an_addition_that_is_postponed_without_a_job() -> None:
    """That one leaves out whom the removal names."""
    turns = Turns()
    turns.met(1, "add")
    turns.met(2, "remove")
    turns.postponed(1, "add", 0.0)
    assert turns.decide(0.0) == going(2)


def test_after_an_unclean_take_over_a_removal_is_sent_again_when_no_call_of_the_dead_can_come() -> None:
    turns = Turns(calls_of_dead_until=60.0)
    turns.met(1, "remove")
    turns.decide(5.0)
    turns.begun(1, 5.0)
    assert turns.rest(1, 6.0) == Rest(60.0, is_again=True)
    turns.begun(1, 60.0)
    assert turns.rest(1, 61.0) is None


def test_a_removal_has_not_ended_while_a_call_of_its_own_may_take_effect() -> None:
    turns = Turns()
    turns.met(1, "remove")
    turns.begun(1, 0.0)
    turns.cut(1, until=30.0)
    assert turns.rest(1, 10.0) == Rest(30.0, is_again=False)
    assert turns.rest(1, 30.0) is None


def test_a_process_leaves_in_order_only_when_nothing_can_take_effect() -> None:
    turns = Turns(calls_of_dead_until=10.0)
    assert not turns.is_quiet(5.0)
    assert turns.is_quiet(10.0)
    turns.met(1, "add")
    assert not turns.is_quiet(10.0)
    turns.cut(1, until=30.0)
    turns.ended(1, 12.0)
    assert not turns.is_quiet(12.0)
    assert turns.is_quiet(30.0)


def test_turns_with_nothing_to_remember_are_idle() -> None:
    turns = Turns()
    turns.met(1, "add")
    turns.ended(1, 0.0)
    assert turns.is_idle(0.0)
    turns.postponed(2, "remove", 0.0)
    assert not turns.is_idle(0.0)


# Memory


def test_an_addition_done_late_leaves_out_who_was_removed_after_it(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA])
    later = Later(partition=0, offset=5)
    assert memory.superseded(at(3), "add", [(ALAN,), (ADA,)]) == {1: {ADA: later}}
    assert memory.superseded(at(7), "add", [(ADA,)]) == {}


def test_of_a_row_that_shares_an_identifier_only_that_is_left_out(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA, PHONE])
    assert list(memory.superseded(at(3), "add", [(ALAN, PHONE)])[0]) == [PHONE]


def test_a_removal_done_late_leaves_in_who_was_added_after_it(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA, ALAN])
    memory.note(at(7), "add", [ADA])
    assert memory.superseded(at(5), "remove", [(ADA,), (ALAN,)]) == {0: {ADA: Later(partition=0, offset=7)}}


def test_a_later_removal_ends_an_addition_for_good(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA])
    memory.note(at(7), "add", [ADA])
    memory.note(at(9), "remove", [ADA])
    assert memory.superseded(at(5), "remove", [(ADA,)]) == {}
    assert memory.superseded(at(7), "add", [(ADA,)]) == {0: {ADA: Later(partition=0, offset=9)}}


def test_noting_the_same_again_changes_nothing(memory: RemovalMemory) -> None:
    records = [(3, "add"), (5, "remove"), (7, "add"), (9, "remove"), (11, "add")]
    for _ in range(2):
        for offset, verb in records:
            memory.note(at(offset), "add" if verb == "add" else "remove", [ADA])
    assert len(memory) == 1
    assert memory.superseded(at(9), "remove", [(ADA,)]) == {0: {ADA: Later(partition=0, offset=11)}}


def test_an_addition_before_a_removal_is_none_after_it_when_it_is_noted_again(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA])
    memory.note(at(3), "add", [ADA])
    assert memory.superseded(at(5), "remove", [(ADA,)]) == {}
    assert memory.owed(at(3), "add", [ADA]) == {Later(partition=0, offset=5): [ADA]}


def test_what_a_call_may_have_undone_is_owed(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA, ALAN])
    memory.note(at(7), "add", [ALAN])
    assert memory.owed(at(3), "add", [ADA, ALAN, PHONE]) == {Later(partition=0, offset=5): [ADA]}
    assert memory.owed(at(5), "remove", [ADA, ALAN]) == {Later(partition=0, offset=7): [ALAN]}


def test_of_a_suspect_record_what_it_owed_may_have_come_last(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA])
    memory.note(at(7), "add", [ADA])
    assert memory.owed(at(3), "add", [ADA]) == {}
    assert memory.owed(at(3), "add", [ADA], is_suspect=True) == {Later(partition=0, offset=7): [ADA]}


def test_an_audience_without_removals_holds_nothing(memory: RemovalMemory) -> None:
    memory.note(at(5), "add", [ADA])
    assert len(memory) == 0
    assert memory.superseded(at(1), "add", [(ADA,)]) == {}


def test_places_of_another_log_count_for_nothing(memory: RemovalMemory) -> None:
    memory.note(at(5, log_id="former"), "remove", [ADA])
    assert len(memory) == 0
    memory.note(at(5), "remove", [ADA])
    assert memory.superseded(at(3, log_id="former"), "add", [(ADA,)]) == {}
    assert memory.owed(at(3, log_id="former"), "add", [ADA]) == {}


def test_records_of_another_partition_compare_by_append_time_and_that_is_marked(memory: RemovalMemory) -> None:
    memory.note(at(5, appended_at=100), "remove", [ADA])
    before, after = at(900, partition=1, appended_at=100), at(2, partition=1, appended_at=101)
    assert memory.superseded(before, "add", [(ADA,)]) == {0: {ADA: Later(partition=0, offset=5, is_certain=False)}}
    assert memory.superseded(after, "add", [(ADA,)]) == {}
    memory.note(after, "add", [ADA])
    later = Later(partition=1, offset=2, is_certain=False)
    assert memory.superseded(at(5, appended_at=100), "remove", [(ADA,)]) == {0: {ADA: later}}


def test_removals_under_two_names_of_one_audience_both_count(memory: RemovalMemory) -> None:
    memory.note(at(5, appended_at=100), "remove", [ADA])
    memory.note(at(1, partition=1, appended_at=200), "remove", [ADA, ALAN])
    assert memory.superseded(at(3, appended_at=90), "add", [(ADA,), (ALAN,)]) == {
        0: {ADA: Later(partition=0, offset=5)},
        1: {ALAN: Later(partition=1, offset=1, is_certain=False)},
    }
    memory.note(at(7, appended_at=150), "add", [ADA])
    assert memory.owed(at(3, appended_at=90), "add", [ADA]) == {Later(partition=0, offset=5): [ADA]}


def test_a_removal_is_forgotten_when_it_and_all_before_it_have_left_the_log(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA])
    memory.note(at(8), "remove", [ALAN])
    memory.forget_before(0, 5)
    assert len(memory) == 2
    memory.forget_before(0, 6, elsewhere=4)
    assert len(memory) == 2
    memory.forget_before(0, 6)
    assert len(memory) == 1
    assert memory.superseded(at(7), "add", [(ALAN,)]) == {0: {ALAN: Later(partition=0, offset=8)}}
    memory.forget_before(0, 9)
    memory.forget_before(1, 9)
    assert len(memory) == 0


def test_who_was_removed_again_is_forgotten_with_the_last_removal(memory: RemovalMemory) -> None:
    memory.note(at(5), "remove", [ADA, ALAN])
    memory.note(at(8), "remove", [ADA])
    memory.forget_before(0, 7)
    assert [len(memory), memory.is_meant(at(8), ADA), memory.is_meant(at(5), ALAN)] == [1, True, False]


# Other identifiers


def test_a_removal_means_all_identifiers_of_the_rows_that_have_one_that_it_names() -> None:
    index = IdentifierIndex()
    index.note([(ADA, PHONE), (ALAN, PHONE), (ADA, OTHER_PHONE)])
    assert index.meant_by([ADA]) == [ADA, PHONE, OTHER_PHONE]
    assert index.meant_by([PHONE]) == [PHONE, ADA, ALAN]
    assert index.meant_by([OTHER_PHONE]) == [OTHER_PHONE, ADA]


class Counted(bytes):
    """An identifier of which it is counted how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return bytes.__eq__(self, other)

    __hash__ = bytes.__hash__


def test_a_number_that_all_customers_share_is_not_compared_with_all_of_them_for_each() -> None:
    index, people = IdentifierIndex(), 2_000
    index.note((Counted(b"%d" % number), PHONE) for number in range(people))
    assert Counted.compared < 10 * people
    assert len(index.meant_by([PHONE])) == 1 + people
    assert list(index.beside(PHONE))[:2] == [b"0", b"1"]
    assert (index.has_others([PHONE]), index.has_others([b"0", PHONE]), index.has_others([OTHER_PHONE])) == (
        True,
        True,
        False,
    )


def test_whether_the_log_knows_a_row_of_somebody_is_told() -> None:
    index = IdentifierIndex()
    index.note([(ADA,)])
    assert index.knows([ADA, PHONE])
    assert not index.knows([ALAN])
    assert index.meant_by([ALAN]) == [ALAN]


def test_rows_that_are_noted_again_change_nothing() -> None:
    index = IdentifierIndex()
    for _ in range(2):
        index.note([(ADA, PHONE), (ADA, ADA)])
    assert [len(index), index.beside(ADA), index.beside(PHONE)] == [2, (PHONE,), (ADA,)]


# All audiences of an account


def test_audiences_do_not_wait_for_each_other() -> None:
    order = AccountOrder()
    order.assigned(0)
    order.turns("VIP", 0).met(1, "remove")
    assert not order.turns("VIP", 0).met(2, "add")
    assert order.turns("Leads", 0).met(3, "add")


def test_calls_of_the_dead_count_for_all_audiences_of_a_partition() -> None:
    order = AccountOrder()
    order.assigned(0, calls_of_dead_until=60.0)
    order.assigned(1)
    assert [order.turns("VIP", number).calls_of_dead_until for number in (0, 1)] == [60.0, float("-inf")]
    assert [order.is_quiet(number, 30.0) for number in (0, 1)] == [False, True]


def test_a_partition_is_left_in_order_only_when_all_its_audiences_are_quiet() -> None:
    order = AccountOrder()
    order.assigned(0)
    order.turns("VIP", 0).met(1, "add")
    assert not order.is_quiet(0, 0.0)
    order.turns("VIP", 0).ended(1, 0.0)
    order.let_go("VIP", 0, 0.0)
    order.let_go("Leads", 0, 0.0)
    assert order.is_quiet(0, 0.0)


def test_a_partition_that_was_given_up_begins_anew() -> None:
    order = AccountOrder()
    order.assigned(0)
    order.turns("VIP", 0).met(1, "remove")
    order.given_up(0)
    order.assigned(0)
    assert order.turns("VIP", 0).met(2, "add")


def test_an_audience_has_a_memory_from_its_first_removal_until_that_has_left_the_log() -> None:
    order = AccountOrder(log_id="log")
    assert order.memory("VIP") is None
    order.memory_of_removals("VIP").note(at(5), "remove", [ADA])
    assert order.memory("VIP") is order.memory_of_removals("VIP")
    order.forget_before(0, 6)
    assert order.memory("VIP") is None
