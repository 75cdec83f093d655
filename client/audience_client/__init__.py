"""Customer files of any kind, as users of an Audience API: all that other programs import of this package."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audience_client.clients import AsyncClient, Client, Report
    from audience_client.columns.mapping import MappingOptions
    from audience_client.columns.resolving import map_columns
    from audience_client.errors import (
        AmbiguousColumnsError,
        AudienceError,
        FileError,
        InputError,
        MappingError,
        MissingExtraError,
    )
    from audience_client.files.options import ReadOptions
    from audience_client.files.reading import read_table
    from audience_client.http.batches import Accepted, BatchToSend, IgnoredName
    from audience_client.http.errors import (
        AccessError,
        ContradictionError,
        NotKnownError,
        RefusedError,
        TooLargeError,
        UnexpectedAnswerError,
        UnreachableError,
    )
    from audience_client.http.retry import Retry, WaitNotice
    from audience_client.http.statuses import (
        AccountPage,
        BatchStatus,
        Rejection,
        RunStatus,
        SessionStatus,
        SessionSummary,
        TargetStatus,
        UserCounts,
    )
    from audience_client.upload.outcome import Outcome, PlatformOutcome
    from audience_client.upload.progress import Progress
    from audience_client.upload.rejected_rows import RejectedRows
    from audience_client.upload.resuming import SplitUploadError, UnfinishedUploadError
    from audience_client.upload.state import StateError
    from audience_client.users.user_reader import UserReader
else:
    _MODULES = {
        "clients": (
            "AsyncClient",
            "Client",
            "Report",
        ),
        "columns.mapping": ("MappingOptions",),
        "columns.resolving": ("map_columns",),
        "errors": (
            "AmbiguousColumnsError",
            "AudienceError",
            "FileError",
            "InputError",
            "MappingError",
            "MissingExtraError",
        ),
        "files.options": ("ReadOptions",),
        "files.reading": ("read_table",),
        "http.batches": (
            "Accepted",
            "BatchToSend",
            "IgnoredName",
        ),
        "http.errors": (
            "AccessError",
            "ContradictionError",
            "NotKnownError",
            "RefusedError",
            "TooLargeError",
            "UnexpectedAnswerError",
            "UnreachableError",
        ),
        "http.retry": (
            "Retry",
            "WaitNotice",
        ),
        "http.statuses": (
            "AccountPage",
            "BatchStatus",
            "Rejection",
            "RunStatus",
            "SessionStatus",
            "SessionSummary",
            "TargetStatus",
            "UserCounts",
        ),
        "upload.outcome": (
            "Outcome",
            "PlatformOutcome",
        ),
        "upload.progress": ("Progress",),
        "upload.rejected_rows": ("RejectedRows",),
        "upload.resuming": (
            "SplitUploadError",
            "UnfinishedUploadError",
        ),
        "upload.state": ("StateError",),
        "users.user_reader": ("UserReader",),
    }

    def __getattr__(name: str) -> object:
        """Import what is asked for: the command's help needs neither a client of HTTP nor what reads files."""
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Accepted",
    "AccessError",
    "AccountPage",
    "AmbiguousColumnsError",
    "AsyncClient",
    "AudienceError",
    "BatchStatus",
    "BatchToSend",
    "Client",
    "ContradictionError",
    "FileError",
    "IgnoredName",
    "InputError",
    "MappingError",
    "MappingOptions",
    "MissingExtraError",
    "NotKnownError",
    "Outcome",
    "PlatformOutcome",
    "Progress",
    "ReadOptions",
    "RefusedError",
    "RejectedRows",
    "Rejection",
    "Report",
    "Retry",
    "RunStatus",
    "SessionStatus",
    "SessionSummary",
    "SplitUploadError",
    "StateError",
    "TargetStatus",
    "TooLargeError",
    "UnexpectedAnswerError",
    "UnfinishedUploadError",
    "UnreachableError",
    "UserCounts",
    "UserReader",
    "WaitNotice",
    "map_columns",
    "read_table",
]
