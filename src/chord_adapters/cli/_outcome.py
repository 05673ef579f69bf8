"""How a command ends: the exit status of each error, and the error as JSON."""

from __future__ import annotations

from enum import IntEnum

from chord_adapters._errors import (
    ChordError,
    JoinRefused,
    NoQuorum,
    NotReady,
    Timeout,
    Unreachable,
    VersionMismatch,
)

WRITES = frozenset({"put", "delete", "store", "import"})
"""The commands whose outcome is unknown when they are interrupted."""


class Status(IntEnum):
    """Exit statuses, part of the interface."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_REACHED = 4
    VERSION_MISMATCH = 5
    INTERRUPTED = 130


class UsageError(ValueError):
    """The command was called in a way that cannot be right."""


class Damaged(ValueError):
    """A file is not what it should be."""


class NotFound(Exception):
    """Nobody has what was asked for."""


_STATUS: tuple[tuple[type[BaseException], Status], ...] = (
    (KeyboardInterrupt, Status.INTERRUPTED),
    (NotFound, Status.NOT_FOUND),
    (VersionMismatch, Status.VERSION_MISMATCH),
    (Unreachable, Status.NOT_REACHED),
    (Timeout, Status.NOT_REACHED),
    (NotReady, Status.NOT_REACHED),
    (NoQuorum, Status.NOT_REACHED),
    (JoinRefused, Status.NOT_REACHED),
    (ChordError, Status.FAILED),
    (OSError, Status.FAILED),
    (Damaged, Status.FAILED),
    (ImportError, Status.FAILED),
    (ValueError, Status.USAGE),
)
"""In order: `Unreachable` and `Timeout` are ``OSError`` too."""

EXPECTED = (NotFound, ChordError, OSError, ValueError, ImportError)
"""What a command may raise besides an interruption; anything else is a bug.  An extra may not be installed."""


def innermost(error: BaseException) -> BaseException:
    """Return the error that a group is about: an interruption in it, else its only or first member."""
    while isinstance(error, BaseExceptionGroup):
        interruption, _ = error.split(KeyboardInterrupt)
        error = (interruption or error).exceptions[0]
    return error


def failure(error: BaseException, *, writes: bool) -> tuple[Status | None, dict[str, object]]:
    """Return the exit status of ``error``, None for a bug, and its fields in JSON."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
    message = "interrupted" if status is Status.INTERRUPTED else str(error) or type(error).__name__
    return status, {
        "name": "Interrupted" if status is Status.INTERRUPTED else type(error).__name__,
        "message": message,
        "retryable": getattr(error, "retryable", status is Status.INTERRUPTED),
        "outcome_unknown": getattr(error, "outcome_unknown", writes and status is Status.INTERRUPTED),
    }
