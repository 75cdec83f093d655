"""`python -m checks.equality`: exit 0 only if the fast ways made the same as the general ones of every case."""

import argparse
import logging
import random
import sys
from collections.abc import Callable, Mapping

import structlog

from checks.equality import codec, phones, rows
from checks.equality.verdict import Verdict

SUBJECTS: Mapping[str, Callable[[int, int], Verdict]] = {
    "codec": codec.compare,
    "rows": rows.compare,
    "phones": phones.compare,
}
CASES = 2_000_000
"""Of all subjects together."""


def main() -> None:
    """Compare, print what was found, and exit."""
    options = _options()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"equality: --seed {options.seed} --cases {options.cases}")  # noqa: T201 -- the output
    has_differences = False
    for name in options.subjects:
        verdict = SUBJECTS[name](options.seed, options.cases // len(options.subjects))
        has_differences |= bool(verdict.differences)
        print(f"{name}: {verdict}", flush=True)  # noqa: T201 -- the output
    sys.exit(1 if has_differences else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m checks.equality", description="Compare fast ways with general ones."
    )
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--cases", type=int, default=CASES, help="how many in all")
    options = parser.parse_args()
    if unknown := set(options.subjects) - SUBJECTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    options.subjects = options.subjects or list(SUBJECTS)
    return options


if __name__ == "__main__":
    main()
