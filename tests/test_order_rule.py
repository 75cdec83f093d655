"""What an account holds of an audience is the fold of its delivered records in the order of the log."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from order_model import LONGEST, Person, Process, Replay, World, differences, drain

from consumer.ordering.log_position import Verb

ADA, ALAN, GRACE = b"ada@", b"alan@", b"grace@"
PHONE, FAMILY_PHONE = b"+1", b"+2"

ROWS: list[Person] = [
    (ADA,),
    (ADA, PHONE),
    (PHONE,),
    (ALAN, FAMILY_PHONE),
    (GRACE, FAMILY_PHONE),
    (GRACE,),
]

MOST_RECORDS, MOST_REPLAYS = 12, 3

WALKS = 4_000
"""Random interleavings, ten of which would show each of the commoner mistakes."""

numbers = st.integers(0, 1_000)
verbs = st.sampled_from(["add", "remove"])
rows = st.lists(st.sampled_from(ROWS) | st.just(ROWS[0]), min_size=1, max_size=2, unique=True)
counts = st.integers(1, 6)
times = st.sampled_from([1.0, LONGEST / 2, LONGEST])
halves = st.integers(0, 1)


class OrderRule(RuleBasedStateMachine):
    """Two processes, one partition, pointers and replays; everything may happen between any two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.end = Random(0)

    def _fated(self, fate: int) -> World:
        self.world.fate = lambda most: fate % most
        return self.world

    def _running(self, number: int) -> Process | None:
        process = self.world.processes[number]
        return None if process.is_paused else process

    @initialize(records=st.lists(st.tuples(verbs, rows), max_size=4), is_new=st.booleans(), end=numbers)
    def begin(self, records: list[tuple[Verb, list[Person]]], is_new: bool, end: int) -> None:
        """Begin with an account that reads the log from its beginning, or a new one, which reads on from its end."""
        self.end = Random(end)
        for verb, people in records:
            self.world.append(verb, people)
        self.world.begin = len(records) if is_new else 0

    @rule(verb=verbs, people=rows)
    def append(self, verb: Verb, people: list[Person]) -> None:
        if len(self.world.log) < MOST_RECORDS:
            self.world.append(verb, people)

    @rule(number=halves)
    def take_over(self, number: int) -> None:
        if self.world.holder is None:
            self.world.take_over(self.world.processes[number])

    @rule(count=counts)
    def read(self, count: int) -> None:
        holder = self.world.holder
        for _ in range(count):
            if holder is not None and holder.to_read and not holder.is_paused:
                self.world.read(holder)

    @rule(steps=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
    def work(self, steps: list[tuple[int, int]]) -> None:
        """Let processes go on, each step with anything that they have in hand."""
        for which, fate in steps:
            world = self._fated(fate)
            tasks = [(process, task) for process in world.processes for task in world.runnable(process)]
            if tasks:
                world.step(*tasks[which % len(tasks)])

    @rule(which=numbers)
    def take_effect(self, which: int) -> None:
        if self.world.calls:
            self.world.take_effect(self.world.calls[which % len(self.world.calls)])

    @rule(seconds=times, fate=numbers)
    def pass_time(self, seconds: float, fate: int) -> None:
        self._fated(fate).pass_time(seconds)

    @rule(number=halves)
    def pause(self, number: int) -> None:
        self.world.processes[number].is_paused = True

    @rule(number=halves)
    def go_on(self, number: int) -> None:
        self.world.processes[number].is_paused = False

    @rule(number=halves)
    def kill(self, number: int) -> None:
        if process := self._running(number):
            self.world.kill(process)

    @rule(number=halves)
    def lose(self, number: int) -> None:
        self.world.lose(self.world.processes[number])

    @rule(number=halves)
    def leave(self, number: int) -> None:
        self.world.leave(self.world.processes[number])

    @rule()
    def commit(self) -> None:
        if self.world.holder is not None:
            self.world.commit(self.world.holder)

    @rule(number=halves, which=numbers)
    def retry(self, number: int, which: int) -> None:
        offsets = sorted(self.world.pointers)
        if offsets and (process := self._running(number)):
            self.world.retry(process, offsets[which % len(offsets)])

    @rule(number=halves, begin=numbers, count=counts)
    def replay(self, number: int, begin: int, count: int) -> None:
        process, log = self._running(number), self.world.log
        if process and log and len(self.world.replays) < MOST_REPLAYS:
            begin %= len(log)
            replay = Replay([record.offset for record in log[begin : begin + count]])
            self.world.replays.append(replay)
            self.world.resume(process, replay)

    @rule(number=halves, which=numbers)
    def resume(self, number: int, which: int) -> None:
        open_ones = [replay for replay in self.world.replays if replay.offsets]
        if open_ones and (process := self._running(number)):
            self.world.resume(process, open_ones[which % len(open_ones)])

    def teardown(self) -> None:
        drain(self._fated(0), self.end)
        assert differences(self.world) == []


OrderRule.TestCase.settings = settings(
    max_examples=400,
    stateful_step_count=60,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to make a failure smaller takes minutes
)
test_at_rest_the_platform_holds_the_fold_of_what_was_delivered = OrderRule.TestCase


Action = Callable[[OrderRule, Random], None]

ALWAYS: list[Action] = [
    lambda rule, some: rule.take_over(some.randint(0, 1)),
    lambda rule, some: rule.take_over(some.randint(0, 1)),
    lambda rule, some: rule.read(some.randint(1, 4)),
    lambda rule, some: rule.read(some.randint(1, 4)),
    *[lambda rule, some: rule.work([(some.randrange(1000), some.randrange(1000))] * some.randint(1, 6))] * 8,
    lambda rule, some: rule.take_effect(some.randrange(1000)),
    lambda rule, some: rule.pass_time(some.choice([1.0, LONGEST / 2, LONGEST]), some.randrange(1000)),
    lambda rule, some: rule.pause(some.randint(0, 1)),
    lambda rule, some: rule.go_on(some.randint(0, 1)),
    lambda rule, some: rule.go_on(some.randint(0, 1)),
    lambda rule, some: rule.kill(some.randint(0, 1)),
    lambda rule, some: rule.lose(some.randint(0, 1)),
    lambda rule, some: rule.leave(some.randint(0, 1)),
    lambda rule, _some: rule.commit(),
    lambda rule, some: rule.retry(some.randint(0, 1), some.randrange(1000)),
]
REPLAYS: list[Action] = [
    lambda rule, some: rule.replay(some.randint(0, 1), some.randrange(1000), some.randint(1, 6)),
    lambda rule, some: rule.resume(some.randint(0, 1), some.randrange(1000)),
]


def walk(seed: int) -> World:
    """Return a world at rest after a random walk; half of them are without replays, and most are of few rows."""
    some, machine = Random(seed), OrderRule()
    known = ROWS[: some.choice([1, 1, 3, 6, 6])]

    def record() -> tuple[Verb, list[Person]]:
        verb: Verb = "add" if some.random() < 0.5 else "remove"
        return verb, some.sample(known, min(len(known), some.randint(1, 2)))

    machine.begin([record() for _ in range(some.randint(0, 4))], some.random() < 0.3, seed)
    actions = [lambda rule, _some: rule.append(*record()), *ALWAYS, *(REPLAYS if some.random() < 0.5 else [])]
    for _ in range(some.randint(5, 80)):
        some.choice(actions)(machine, some)
    machine.world.fate = lambda _most: 0
    drain(machine.world, some)
    return machine.world


@pytest.mark.timeout(600)
def test_so_it_does_after_thousands_of_random_walks() -> None:
    assert {seed: found for seed in range(WALKS) if (found := differences(walk(seed)))} == {}


# What random walks seldom meet.


def begun(*records: tuple[Verb, Person]) -> tuple[World, Process, Process]:
    """Return a world whose first process holds the partition and has read these records."""
    world = World()
    for verb, person in records:
        world.append(verb, [person])
    first, second = world.processes
    world.take_over(first)
    for _ in records:
        world.read(first)
    return world, first, second


def step(world: World, process: Process, answer: int = 0) -> None:
    """Let a process do what it can do first; an answer of 3 is none, and the call is made again at once."""
    world.fate = lambda most: answer if most > 2 else 0
    world.step(process, world.runnable(process)[0])


def run(world: World, process: Process) -> None:
    """Let a process do all that it can, and time pass where it waits."""
    for _ in range(100):
        if world.runnable(process):
            step(world, process)
        else:
            world.pass_time(1.0)


def test_a_call_that_ended_without_an_answer_and_whose_process_died_brings_nobody_back() -> None:
    """The record is finished, as the next call passed: nobody but the second removal knows of the first call."""
    world, first, second = begun(("add", (ADA,)))
    for answer in (0, 0, 3, 0, 0, 0):
        step(world, first, answer)
    world.commit(first)
    assert world.committed == {0}
    world.kill(first)
    world.append("remove", [(ADA,)])
    world.take_over(second)
    drain(world, Random(0))
    assert [world.delivered, world.members] == [{0, 1}, set()]


def test_a_removal_whose_call_ended_without_an_answer_takes_nobody_out_who_is_added_after_it() -> None:
    world, first, _ = begun(("remove", (ADA,)), ("add", (ADA,)))
    world.step(first, first.tasks[0])
    for answer in (0, 0, 3, 0, 0):
        step(world, first, answer)
    assert [call.until for call in world.calls] == [LONGEST]
    drain(world, Random(0))
    assert [world.delivered, world.members] == [{0, 1}, {ADA}]


@pytest.mark.parametrize("seconds", [1.0, 1000.0])
def test_a_process_that_is_stopped_right_before_its_bytes_brings_nobody_back_however_long(seconds: float) -> None:
    world, first, second = begun(("add", (ADA,)))
    step(world, first)  # it has asked whether the record is still its own
    first.is_paused = True
    world.lose(first)
    world.append("remove", [(ADA,)])
    world.take_over(second)
    for _ in range(2):
        world.read(second)
    run(world, second)
    assert [world.delivered, world.members] == [{0, 1}, set()]
    world.pass_time(seconds)
    first.is_paused = False
    drain(world, Random(0))
    assert world.members == set()


def test_a_process_that_is_stopped_before_it_asks_sends_nothing() -> None:
    world, first, second = begun(("add", (ADA,)))
    first.is_paused = True
    world.lose(first)
    world.take_over(second)
    first.is_paused = False
    step(world, first)
    assert [world.calls, first.tasks] == [[], []]


def test_a_record_that_was_lost_between_two_calls_is_not_sent_again() -> None:
    world, first, second = begun(("add", (ADA,)))
    for _ in range(2):
        step(world, first)
    world.lose(first)
    world.take_over(second)
    world.fate = lambda most: most - 3 if most > 2 else 0  # throttled, and tried again at once
    world.step(first, first.tasks[0])
    assert [world.calls, first.tasks] == [[], []]


def test_while_a_removal_is_postponed_nothing_that_is_later_is_sent() -> None:
    world, first, second = begun(("remove", (ADA,)), ("add", (ADA,)), ("remove", (ADA,)), ("add", (ALAN,)))
    world.step(first, first.tasks[0])
    for _ in range(2):
        step(world, first)
    world.fate = lambda most: most - 2 if most > 2 else 1  # throttled, and tried later
    world.step(first, first.tasks[0])
    assert list(world.pointers) == [0]
    run(world, first)
    assert list(world.pointers) == [0, 1, 2, 3]
    world.retry(second, 3)
    run(world, second)
    assert [list(world.pointers), world.members] == [[0, 1, 2, 3], set()]
    drain(world, Random(0))
    assert [world.delivered, world.members] == [{0, 1, 2, 3}, {ALAN}]
