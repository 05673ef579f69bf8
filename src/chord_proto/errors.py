"""The errors of the core, one class for each side's fault."""

from __future__ import annotations


class CoreError(Exception):
    """Base of the core's errors; never raised itself."""


class LocalProtocolError(CoreError):
    """The caller's mistake (an operation id used twice, a node joined twice); raised before anything changed."""


class DecodeError(CoreError):
    """Bytes that are not a message; raised by `chord_proto.wire` only."""
