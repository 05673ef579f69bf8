"""What can go wrong, as exceptions: absence is ``None``, inability is one of these.

Bad arguments are ``ValueError`` and ``TypeError``, a port in use is the ``OSError`` that it always is.
"""

from __future__ import annotations

from chord_proto.operations import Failed, Failure


class ChordError(Exception):
    """Base of all errors of the adapters.

    ``retryable`` says whether the same call may succeed later.  ``outcome_unknown`` says of a write that it may
    have taken effect all the same (property D11).
    """

    retryable: bool = False

    def __init__(self, message: str = "", *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class Timeout(ChordError, TimeoutError):
    """The operation did not end within its timeout."""

    retryable = True


class Unreachable(ChordError, OSError):
    """The node that was asked, or every node that could answer, cannot be reached."""

    retryable = True


class NotReady(ChordError):
    """The node has not become a member of a ring in time, or does not serve the range yet."""

    retryable = True


class NoQuorum(ChordError):
    """Too few replicas can be reached."""

    retryable = True


class VersionMismatch(ChordError):
    """Somebody else wrote the record in the meantime.

    ``outcome_unknown``: this write was sent before to somebody who did not answer, and may have taken effect and been
    overwritten since.
    """


class ValueTooLarge(ChordError):
    """The value is longer than ``Config.max_value_size`` of the node that was asked, or of the owner."""


class Busy(ChordError):
    """Too many calls wait already, here or at the node that was asked."""

    retryable = True


class Closed(ChordError):
    """The node or client has left, was aborted, or died; then ``__cause__`` says of what."""


class StorageFailed(ChordError):
    """The owner could not make the write durable, or what is stored is damaged."""


class JoinRefused(ChordError):
    """Joining is hopeless: another network, no wire version in common, or our address is another member's."""


_BY_FAILURE: dict[Failure, tuple[type[ChordError], str]] = {
    Failure.TIMED_OUT: (Timeout, "the operation did not end within its timeout"),
    Failure.UNREACHABLE: (Unreachable, "no node that could answer was reached"),
    Failure.NOT_READY: (NotReady, "the node is not a member of a ring yet"),
    Failure.NO_QUORUM: (NoQuorum, "too few replicas were reached"),
    Failure.TOO_LARGE: (ValueTooLarge, "the value is too large"),
    Failure.BUSY: (Busy, "too many operations are under way"),
    Failure.VERSION_MISMATCH: (VersionMismatch, "the record has another version"),
    Failure.CANCELLED: (Closed, "the operation was cancelled"),
    Failure.STORAGE_FAILED: (StorageFailed, "the write could not be made durable"),
    Failure.STOPPED: (Closed, "the node has stopped"),
    Failure.ADDRESS_IN_USE: (JoinRefused, "another member of the ring advertises this address"),
}


def error_of(failed: Failed) -> Exception:
    """Return the exception that a failed operation is to its caller."""
    if failed.reason is Failure.INVALID:
        return ValueError("the node that was asked refuses these arguments")
    kind, message = _BY_FAILURE[failed.reason]
    return kind(message, outcome_unknown=failed.outcome_unknown)
