"""A model of processes that deliver one audience's records by the rules of `consumer.ordering`, in any interleaving.

The platform holds identifiers. A call takes effect at any moment from when its bytes go until `LONGEST` later, also
when its process has died or stopped waiting meanwhile. Processes are generators, which give way wherever a real one may
be paused or killed. Kafka is a few tables that all of them see at once.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from random import Random

from consumer.ordering.identifier_index import IdentifierIndex
from consumer.ordering.log_position import LogPosition, Verb
from consumer.ordering.removal_memory import RemovalMemory
from consumer.ordering.turns import Turns

LONGEST = 10.0
"""Seconds that a call can take, whatever becomes of its process."""

NEVER = float("-inf")

Person = tuple[bytes, ...]
Ready = Callable[[], bool]
Steps = Generator[Ready, None, str]
"""What a process does with a record: it yields what has to be true for it to go on, and returns how that ended."""


def at_once() -> bool:
    return True


@dataclass(frozen=True)
class Record:
    offset: int
    verb: Verb
    people: tuple[Person, ...]

    @property
    def place(self) -> LogPosition:
        return LogPosition(partition=0, offset=self.offset, appended_at=self.offset)


@dataclass(eq=False)
class Call:
    verb: Verb
    identifiers: frozenset[bytes]
    until: float
    is_open: bool = True
    has_passed: bool = False


@dataclass(eq=False)
class Pointer:
    """A pointer to a later attempt, which says until when calls of the earlier ones may take effect."""

    doubtful_until: float = NEVER
    has_job: Call | None = None
    owner: "Process | None" = None
    claim: int = 0


@dataclass(eq=False)
class Replay:
    """A replay, with what it has still to send; what it has begun may be under way when its process has died."""

    offsets: list[int]
    owner: "Process | None" = None
    claim: int = 0
    doubtful_until: float = NEVER


@dataclass(eq=False)
class Task:
    what: str
    steps: Steps
    ready: Ready = at_once


@dataclass(eq=False)
class Process:
    """A process of an account, with what it knows of the log."""

    number: int
    turns: Turns = field(default_factory=Turns)
    epoch: int = -1
    """Which of the partition's assignments was its last."""
    to_read: list[int] = field(default_factory=list)
    suspect_to: int = 0
    doubtful_until: float = NEVER
    finished: set[int] = field(default_factory=set)
    memory: RemovalMemory = field(default_factory=RemovalMemory)
    index: IdentifierIndex = field(default_factory=IdentifierIndex)
    known_to: int = 0
    tasks: list[Task] = field(default_factory=list)
    is_paused: bool = False
    astray: int = 0
    """Records that it has sent, having been paused after the check, when they were another's, and not settled yet."""
    going: set[int] = field(default_factory=set)
    behind: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class World:
    """All there is: the log, the platform, and two processes of the account. `fate` decides what chance does next."""

    begin: int = 0
    """Where the account's group began in the log."""
    now: float = 0.0
    fate: Callable[[int], int] = lambda _most: 0
    log: list[Record] = field(default_factory=list)
    members: set[bytes] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    committed: set[int] = field(default_factory=set)
    pointers: dict[int, Pointer] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    """Records that ended well at least once, live or in a replay."""
    failed: set[int] = field(default_factory=set)
    undecided: set[int] = field(default_factory=set)
    """Records that were sent by a replay before they had ended live, and failed there or here."""
    early: set[int] = field(default_factory=set)
    """Records that were sent by a replay before they had ended live."""
    replays: list[Replay] = field(default_factory=list)
    holder: Process | None = None
    epoch: int = 0
    is_left_open: bool = False
    processes: list[Process] = field(default_factory=lambda: [Process(0), Process(1)])
    is_calm: bool = False
    """Whether nothing fails any more, and what may still take effect does so at the last moment."""

    # What the world does.

    def append(self, verb: Verb, people: Sequence[Person]) -> None:
        self.log.append(Record(len(self.log), verb, tuple(people)))
        if self.holder is not None:
            self.holder.to_read.append(len(self.log) - 1)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; calls whose last moment that is take effect then, or never."""
        self.now += seconds
        for call in [call for call in self.calls if call.until <= self.now]:
            if self.is_calm or self.fate(2):
                self.take_effect(call)
            call.is_open = False
            self.calls.remove(call)

    def take_effect(self, call: Call) -> None:
        if not call.has_passed:
            call.has_passed = True
            change = self.members.update if call.verb == "add" else self.members.difference_update
            change(call.identifiers)

    def kill(self, process: Process) -> None:
        """Let a process die with what it has in hand; one of the same number starts, and holds nothing.

        One case is beyond any rule, as platforms have no fence: a process that is paused between the check and its
        bytes, goes on after others have waited for its calls, and dies before it has settled what it sent.
        """
        if process.astray:
            return
        self.processes[process.number] = Process(process.number)
        if self.holder is process:
            self.holder = None

    def lose(self, process: Process) -> None:
        """Take the partition from a process that does not leave in order, being paused or slow."""
        if self.holder is process:
            self.holder = None

    def leave(self, process: Process) -> bool:
        """Give the partition up in order, if the rules call that in order."""
        if self.holder is not process or process.is_paused or not process.turns.is_quiet(self.now):
            return False
        self.commit(process)
        self.holder, self.is_left_open = None, False
        return True

    def commit(self, process: Process) -> None:
        if self.holder is process:
            self.committed |= process.finished

    def take_over(self, process: Process) -> None:
        """Assign the partition: what is not committed is read, and suspect if it was not left in order."""
        self.epoch += 1
        floor = self.now + LONGEST if self.is_left_open else NEVER
        process.turns, process.doubtful_until = Turns(calls_of_dead_until=floor), floor
        process.going, process.behind, process.finished = set(), {}, set()
        process.suspect_to = len(self.log) if self.is_left_open else 0
        process.to_read = [o for o in range(self.begin, len(self.log)) if o not in self.committed]
        process.epoch, self.holder, self.is_left_open = self.epoch, process, True
        for offset, pointer in self.pointers.items():
            has_job = pointer.has_job is not None
            process.turns.postponed(offset, self.log[offset].verb, self.now, has_job=has_job)

    # What a process may do next.

    def read(self, process: Process) -> None:
        record = self.log[process.to_read.pop(0)]
        is_free = process.turns.met(record.offset, record.verb)  # in the order of the log, before any wait
        steps = self.live(process, record, is_free, process.turns, process.epoch)
        process.tasks.append(Task(f"live {record.offset}", steps))

    def retry(self, process: Process, offset: int) -> None:
        """Let a process see to a pointer that is due; one that another has in hand it takes over uncleanly."""
        pointer = self.pointers[offset]
        if pointer.owner is not None:
            pointer.doubtful_until = max(pointer.doubtful_until, self.now + LONGEST)
        pointer.owner, pointer.claim = process, pointer.claim + 1
        process.tasks.append(Task(f"late {offset}", self.late(process, self.log[offset], pointer, pointer.claim)))

    def resume(self, process: Process, replay: Replay) -> None:
        """Let a process go on with a replay, whose process before may have died with calls under way."""
        if replay.owner is not None:
            replay.doubtful_until = self.now + LONGEST
        replay.owner, replay.claim = process, replay.claim + 1
        process.tasks.append(Task("replay", self.replayed(process, replay, replay.claim)))

    def runnable(self, process: Process) -> list[Task]:
        return [] if process.is_paused else [task for task in process.tasks if task.ready()]

    def step(self, process: Process, task: Task) -> None:
        try:
            task.ready = next(task.steps)
        except StopIteration:
            process.tasks.remove(task)

    # How a process delivers.

    def holds(self, process: Process, epoch: int) -> bool:
        return self.holder is process and process.epoch == epoch

    def catch_up(self, process: Process) -> None:
        """Read the log to its end, into what a process knows."""
        for record in self.log[process.known_to :]:
            named = list(chain.from_iterable(record.people))
            if record.verb == "add":
                process.index.note(record.people)
            process.memory.note(record.place, record.verb, meant(process, named) if record.verb == "remove" else named)
        process.known_to = len(self.log)

    def has_turn(self, process: Process, offset: int) -> bool:
        turns = process.turns
        for ended in turns.ends_elsewhere().difference(self.pointers):
            turns.ended_elsewhere(ended)
        decided = turns.decide(self.now)
        process.going.update(decided.go)
        process.behind.update(decided.postpone)
        return offset in process.going or offset in process.behind

    def live(self, process: Process, record: Record, is_free: bool, turns: Turns, epoch: int) -> Steps:
        """Deliver a record of the partition in its turn."""
        offset = record.offset
        if not self.holds(process, epoch):
            return "lost"
        is_suspect = offset < process.suspect_to
        if not is_free:
            yield lambda: not self.holds(process, epoch) or self.has_turn(process, offset)
            if not self.holds(process, epoch):
                return "lost"
            if offset in process.behind:
                del process.behind[offset]
                return self.put_off(process, record, turns, epoch, Pointer())
        sending = Sending(
            self,
            process,
            record,
            turns,
            is_ours=lambda: self.holds(process, epoch),
            is_late=is_suspect,
            until=process.doubtful_until if is_suspect else NEVER,
        )
        result = yield from sending.run()
        if result == "postponed":
            return self.put_off(process, record, turns, epoch, Pointer(sending.until, sending.job))
        if self.holds(process, epoch):
            self.report(record, result)
            yield at_once  # until its completion is acknowledged
        if self.holds(process, epoch):
            process.finished.add(offset)
            turns.ended(offset, self.now)
        return result

    def put_off(self, process: Process, record: Record, turns: Turns, epoch: int, pointer: Pointer) -> str:
        if self.holds(process, epoch):
            self.pointers[record.offset] = both(self.pointers.get(record.offset), pointer)
            turns.postponed(record.offset, record.verb, self.now, has_job=pointer.has_job is not None)
            process.finished.add(record.offset)
        return "postponed"

    def is_behind(self, offset: int) -> bool:
        """Tell whether an earlier removal is postponed."""
        return any(before < offset and self.log[before].verb == "remove" for before in self.pointers)

    def late(self, process: Process, record: Record, pointer: Pointer, claim: int) -> Steps:
        """Deliver a record by its pointer, unless a removal before it still waits for its own."""

        def is_ours() -> bool:
            return self.pointers.get(record.offset) is pointer and pointer.claim == claim

        if self.is_behind(record.offset):
            if is_ours():
                pointer.owner = None
            return "postponed"
        turns = Turns()
        turns.met(record.offset, record.verb)
        turns.cut(record.offset, pointer.doubtful_until)
        sending = Sending(self, process, record, turns, is_ours, is_late=True, until=pointer.doubtful_until)
        sending.job = pointer.has_job
        result = yield from sending.run()
        if is_ours() and result == "postponed":
            pointer.owner, pointer.doubtful_until = None, max(pointer.doubtful_until, sending.until)
            pointer.has_job = sending.job
        elif is_ours():
            self.report(record, result)
            del self.pointers[record.offset]
        return result

    def replayed(self, process: Process, replay: Replay, claim: int) -> Steps:
        """Deliver records again, one after the other; what fails in the middle is tried in place."""
        while replay.claim == claim and replay.offsets:
            record = self.log[replay.offsets[0]]
            if record.offset >= self.begin and record.offset not in self.delivered | self.failed:
                self.early.add(record.offset)
            turns = Turns()
            turns.met(record.offset, record.verb)
            turns.cut(record.offset, replay.doubtful_until)
            sending = Sending(
                self,
                process,
                record,
                turns,
                is_ours=lambda: replay.claim == claim,
                is_late=True,
                until=replay.doubtful_until,
                is_patient=True,
            )
            result = yield from sending.run()
            if replay.claim == claim and result != "lost":
                self.report(record, result)
                replay.offsets.pop(0)
                replay.doubtful_until = NEVER
        return "replayed"

    def report(self, record: Record, result: str) -> None:
        """Have a completion acknowledged: the last one says what became of a record."""
        has_passed = result == "delivered"
        if record.offset in self.early and not has_passed:
            self.undecided.add(record.offset)
        (self.delivered if has_passed else self.failed).add(record.offset)
        (self.failed if has_passed else self.delivered).discard(record.offset)


def both(before: Pointer | None, pointer: Pointer) -> Pointer:
    """Return what two pointers to one record say together: it was read twice, as the first is not committed."""
    if before is None:
        return pointer
    before.doubtful_until = max(before.doubtful_until, pointer.doubtful_until)
    before.has_job = pointer.has_job or before.has_job  # the later one ends last
    return before


def meant(process: Process, named: Iterable[bytes]) -> list[bytes]:
    return process.index.meant_by(list(named))


RESULTS = {"ok": "delivered", "nobody": "delivered", "refused": "failed", "job": "postponed", "lost": "lost"}
"""How a record ends by the answer to its call; after others it is tried again, at once or later."""


@dataclass(eq=False)
class Sending:
    """The sending of one record, as often as the rules say."""

    world: World
    process: Process
    record: Record
    turns: Turns
    is_ours: Ready
    is_late: bool
    """Whether later records may have gone before it: only then the memory is asked."""
    until: float = NEVER
    """Until when calls may take effect that others made for it, or that ended without an answer."""
    is_patient: bool = False
    only: frozenset[bytes] | None = None
    sent: set[bytes] = field(default_factory=set)
    job: Call | None = None
    is_astray: bool = False

    def run(self) -> Steps:
        """1. Leave out whom later records decide about. 2. Send, once the record is seen to be ours. 3. Rest.

        4. Where later records may have gone meanwhile, do those again that our calls may have undone.
        """
        is_suspect = self.until > NEVER
        if is_suspect:
            self.sent |= self._all()  # by whoever had it before
        result = yield from self._send()
        if result == "postponed" and self.is_ours():
            return result
        if self.is_late or not self.is_ours():
            yield from self._settle(is_suspect)
        if self.is_astray:
            self.process.astray -= 1
        return result

    def _all(self) -> frozenset[bytes]:
        self.world.catch_up(self.process)
        named = list(chain.from_iterable(self.record.people))
        if self.record.verb == "remove":
            place, memory = self.record.place, self.process.memory
            named = [one for one in meant(self.process, named) if memory.is_meant(place, one)]
        return frozenset(named) if self.only is None else self.only.intersection(named)

    def _wanted(self) -> frozenset[bytes]:
        wanted = self._all()
        if not self.is_late:
            return wanted
        people = [(one,) for one in wanted]
        left = self.process.memory.superseded(self.record.place, self.record.verb, people)
        return frozenset(one for at, (one,) in enumerate(people) if at not in left)

    def _send(self) -> Steps:
        """Send until that passes, and a removal again where calls of the dead may have come after it."""
        if self.job is not None:
            return (yield from self._poll())
        while True:
            answer = yield from self._call()
            if answer == "refused":
                yield from self._wait(self.until)
            result = RESULTS.get(answer)
            if result is None and not self.is_patient and self.world.fate(2):
                result = "postponed"
            if result == "delivered" and answer == "ok":
                result = yield from self._rest()
            if result is not None:
                return result

    def _call(self) -> Steps:
        """Make one call, if somebody is left to be sent and the record is seen to be ours."""
        wanted = self._wanted()
        if not wanted:
            return "nobody"
        if not self.is_ours():
            return "lost"
        yield at_once  # it may be paused between the check and its bytes
        call = self._begin(wanted)
        yield at_once
        answer = self._answer(call)
        if answer == "job":
            self.job = call
        if answer == "cut":
            self.until = max(self.until, call.until)
            self.turns.cut(self.record.offset, call.until)
        return answer

    def _begin(self, wanted: frozenset[bytes]) -> Call:
        """Let the bytes go."""
        self.turns.begun(self.record.offset, self.world.now)
        call = Call(self.record.verb, wanted, self.world.now + LONGEST)
        self.world.calls.append(call)
        self.sent |= wanted
        if not self.is_astray and not self.is_ours():
            self.is_astray = True
            self.process.astray += 1
        return call

    def _rest(self) -> Generator[Ready, None, str | None]:
        """Wait for what a record that has passed waits for; None where all of it is to be sent again."""
        while (rest := self.turns.rest(self.record.offset, self.world.now)) is not None:
            yield from self._wait(rest.until)
            if rest.is_again:
                return None
        return "delivered"

    def _poll(self) -> Steps:
        """Ask for the end of a job that was taken."""
        job = self.job
        assert job is not None
        yield lambda: not job.is_open
        self.job = None
        return "delivered" if job.has_passed else "failed"

    def _answer(self, call: Call) -> str:
        """Return what the platform says of a call, or that nothing came."""
        world = self.world
        answers = ["ok", "ok", "ok", "cut"] if call.is_open or call.has_passed else ["cut"]
        if not call.has_passed and call.is_open:
            answers += ["throttled"] + ["refused"] * (self.only is None)
            answers += ["job"] * (self.record.verb == "add" and not self.is_patient and self.only is None)
        answer = "ok" if world.is_calm and "ok" in answers else answers[world.fate(len(answers))]
        if answer == "ok":
            world.take_effect(call)
        if answer in {"ok", "refused", "throttled"} and call in world.calls:
            world.calls.remove(call)
            call.is_open = False
        return answer

    def _wait(self, until: float) -> Generator[Ready, None, None]:
        if until > self.world.now:
            yield lambda: self.world.now >= until

    def _settle(self, is_suspect: bool) -> Generator[Ready, None, None]:
        """Do again for whom later records decide what a call of ours may have undone."""
        yield from self._wait(self.until)
        self.world.catch_up(self.process)
        memory, record = self.process.memory, self.record
        owed = memory.owed(record.place, record.verb, sorted(self.sent), is_suspect=is_suspect)
        for later, identifiers in owed.items():
            record, turns = self.world.log[later.offset], Turns()
            turns.met(record.offset, record.verb)
            again = Sending(
                self.world,
                self.process,
                record,
                turns,
                is_ours=at_once,
                is_late=True,
                is_patient=True,
                only=frozenset(identifiers),
            )
            yield from again.run()


def drain(world: World, some: Random) -> None:
    """Let everything come to its end in any order: nobody is paused, nothing fails any more, all that waits goes on."""
    world.is_calm = True
    for _ in range(10_000):
        for process in world.processes:
            process.is_paused = False
        if world.holder is None:
            world.take_over(some.choice(world.processes))
        if actions := list(_possible(world, some.choice(world.processes))):
            some.choice(actions)()
        elif world.calls or any(process.tasks for process in world.processes):
            world.pass_time(1.0)
        else:
            return
    raise AssertionError("it does not come to rest")


def _possible(world: World, whoever: Process) -> Iterator[Callable[[], None]]:
    """Yield all that can be done next, some of it by whoever does it."""
    for process in world.processes:
        for task in world.runnable(process):
            yield partial(world.step, process, task)
    if world.holder is not None and world.holder.to_read:
        yield partial(world.read, world.holder)
    for offset, pointer in sorted(world.pointers.items()):
        if pointer.owner not in world.processes and not world.is_behind(offset):
            yield partial(world.retry, whoever, offset)
    for replay in world.replays:
        if replay.offsets and replay.owner not in world.processes:
            yield partial(world.resume, whoever, replay)


def differences(world: World) -> list[str]:
    """Return where the platform does not hold what the log says, at rest.

    Of each identifier the last record decides that concerns it, if that was delivered.
    """
    last: dict[bytes, Record] = {}
    for record in world.log:
        last.update(dict.fromkeys(concerned(world, record), record))
    return [
        f"{one.decode()}: {'in' if one in world.members else 'out'} in spite of {record}"
        for one, record in sorted(last.items())
        if record.offset in world.delivered - world.undecided and (one in world.members) != (record.verb == "add")
    ]


def concerned(world: World, record: Record) -> set[bytes]:
    """Return the identifiers that a record says are in or out: a removal means all of a row that it names one of."""
    named = set(chain.from_iterable(record.people))
    if record.verb == "add":
        return named
    rows = chain.from_iterable(before.people for before in world.log[: record.offset] if before.verb == "add")
    return named.union(*(row for row in rows if named & set(row)))
