"""Whether a process of a run may have ended by itself: only at its start, while Kafka was away."""

import re

REFUSED = 1
"""Code of a process that ends with a sentence on what can't be done."""

KNOWN = re.compile(
    rb"audience (?:serve|consume): (?:"
    rb"No Kafka answers at "
    rb"|No broker answers: nothing was sent"
    rb"|Brokers answer and acknowledge nothing"
    rb"|Kafka did not confirm the record"
    rb"|Kafka did not hand over a whole topic in time"
    rb"|Kafka at \S+ does not lead its new topics"
    rb"|Kafka does not (?:describe|hand over|say how far|say what|say where) "
    rb")"
)
"""Last lines of a start that Kafka did not answer; a supervisor starts the process again, as we do.

What a client failed by for good, a topic made anew and a thread's end are none: in a run they have no cause.
"""

AT_WORK = re.compile(rb'"event": "(?:Listening|Partitions assigned)\."')
"""What a process says once it has started; from then on it bears a Kafka that is away, as long as that takes."""


def is_known_end(code: int, said: bytes) -> bool:
    """Tell whether a process that said this since its start, and ended by itself, had a reason to."""
    lines = said.strip().splitlines()
    return code == REFUSED and bool(lines) and bool(KNOWN.match(lines[-1])) and not AT_WORK.search(said)
