"""What was said on the command line, as the engine takes it; what does not go together is refused."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from audience_client.columns.mapping import MappingOptions
from audience_client.errors import InputError
from audience_client.files.options import ReadOptions
from audience_client.upload.options import UploadOptions

STDIN = "-"


def upload_options(options: argparse.Namespace) -> UploadOptions:
    """Return what is uploaded to which audience, and how. Raises InputError."""
    return UploadOptions(
        name=options.name,
        type=options.type,
        mode=options.mode,
        channels=options.channels,
        disable_prefix=options.disable_prefix,
        pull_date=options.pull_date,
        country=options.country,
        limit=options.limit,
        batch_size=options.batch_size,
        lanes=options.lanes,
    )


def read_options(options: argparse.Namespace) -> ReadOptions:
    """Return how files are read."""
    return ReadOptions(encoding=options.encoding, separator=options.separator, sheet=options.sheet)


def mapping_options(options: argparse.Namespace) -> MappingOptions:
    """Return what is said of columns."""
    return MappingOptions(
        maps=tuple(options.map),
        ignored=tuple(options.ignore_column),
        only_consented=options.only_consented,
        consents=tuple(options.consent),
    )


def check_together(options: argparse.Namespace) -> None:
    """Raise InputError where options do not go together, before any file is read."""
    for is_wrong, problem in (
        (options.resume and options.new, "--new: begins anew and --resume goes on; say one of them"),
        (options.session is not None and not options.resume, "--session: says what --resume goes on with; add that"),
        (options.timeout is not None and not waits(options), "--timeout: is of --wait; add that"),
        (_has_twice(options.files), "a file is named twice; name each once"),
        (
            options.rejected is not None and len(options.files) > 1,
            "--rejected: writes the rows and columns of one file; upload the files one by one",
        ),
    ):
        if is_wrong:
            raise InputError(problem)
    if options.rejected is not None:
        _check_place(options.rejected, options.files)


def waits(options: argparse.Namespace) -> bool:
    """Tell whether the platforms are waited for."""
    return bool(options.wait or options.rejected is not None)


def _has_twice(files: Sequence[str]) -> bool:
    paths = [file if file == STDIN else str(Path(file).resolve()) for file in files]
    return len(set(paths)) < len(paths)


def _check_place(rejected: str, files: Sequence[str]) -> None:
    """Raise InputError where rejected rows can't be written in the end."""
    place = Path(rejected)
    if place.resolve() in [Path(file).resolve() for file in files if file != STDIN]:
        raise InputError(f"--rejected: {rejected} is the file that is uploaded; name another one")
    if place.is_dir() or not place.resolve().parent.is_dir():
        raise InputError(f"--rejected: {rejected} can't be written; name a file in a folder that there is")
