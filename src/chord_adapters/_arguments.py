"""Check what callers pass, before anything happens."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from chord_adapters._errors import ValueTooLarge
from chord_proto.config import Config
from chord_proto.identifiers import CONTENT_BITS, place_of_content, place_of_name
from chord_proto.operations import ALL, MAJORITY
from chord_proto.versions import is_version

Quorum: TypeAlias = Literal["one", "majority", "all"] | int
"""How many replicas: so many, or in words."""
_QUORUMS = {"one": 1, "majority": MAJORITY, "all": ALL}
LONGEST_TTL = 1e10
"""Seconds: three hundred years."""
LONGEST_TIMEOUT = 1e6
"""Seconds; a longer timeout, infinity too, counts as this."""


def name_of(key: str | bytes, config: Config) -> bytes:
    """Return the name of the record that ``key`` means: a ``str`` equals its UTF-8."""
    if isinstance(key, str):
        name = key.encode()
    elif isinstance(key, bytes):
        name = key
    else:
        raise TypeError(f"a key is str or bytes, not {type(key).__name__}")
    if len(name) > config.max_key_size:
        raise ValueError(f"the key has {len(name)} bytes, the most is {config.max_key_size}")
    return name


def value_of(value: bytes, config: Config) -> bytes:
    """Return ``value`` if it is one for a named record."""
    if len(bytes_of(value)) > config.max_value_size:
        raise ValueTooLarge(f"the value has {len(value)} bytes, the most is {config.max_value_size}")
    return value


def bytes_of(value: bytes) -> bytes:
    """Return ``value`` if it is ``bytes``."""
    if not isinstance(value, bytes):
        raise TypeError(f"a value is bytes, not {type(value).__name__}")
    return value


def content_key_of(key: int) -> int:
    """Return ``key`` if it can be a content key."""
    if isinstance(key, bool) or not isinstance(key, int):
        raise TypeError(f"a content key is an int, not {type(key).__name__}")
    if not 0 <= key < 1 << CONTENT_BITS:
        raise ValueError(f"a content key has {CONTENT_BITS} bits and is not negative")
    return key


def place_of(key: str | bytes | int, config: Config) -> int:
    """Return the place on the circle that ``key`` means.

    An int below ``2**bits`` is a place.  A greater one is a content key, and on the circle of 160 bits both are one.
    """
    if isinstance(key, (str, bytes)):
        return place_of_name(name_of(key, config), config.bits)
    place = content_key_of(key)
    return place if place < 1 << config.bits else place_of_content(place, config.bits)


def ttl_of(ttl: float | None) -> int:
    """Return ``ttl``, seconds that a record can be read for, in milliseconds; 0 for None, for ever."""
    if ttl is None:
        return 0
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError(f"a ttl is a number of seconds, not {type(ttl).__name__}")
    if not 0 < ttl <= LONGEST_TTL:
        raise ValueError(f"a ttl is positive and at most {LONGEST_TTL:,.0f} seconds, not {ttl}")
    return max(1, round(ttl * 1000))


def quorum_of(name: str, quorum: Quorum, config: Config) -> int:
    """Return the quorum that ``w=`` or ``r=`` means."""
    if isinstance(quorum, str):
        if quorum not in _QUORUMS:
            raise ValueError(f"{name} is one of {', '.join(map(repr, _QUORUMS))} or a number, not {quorum!r}")
        return _QUORUMS[quorum]
    if isinstance(quorum, bool) or not isinstance(quorum, int):
        raise TypeError(f"{name} is a str or an int, not {type(quorum).__name__}")
    if not 1 <= quorum <= config.replicas:
        raise ValueError(f"{name} is from 1 to {config.replicas}, the number of replicas, not {quorum}")
    return quorum


def condition_of(if_version: str | None, if_absent: bool) -> str | None:
    """Return the condition of a write that ``if_version`` and ``if_absent`` mean."""
    if not isinstance(if_absent, bool):
        raise TypeError(f"if_absent is a bool, not {type(if_absent).__name__}")
    if if_version is None:
        return "" if if_absent else None
    if not isinstance(if_version, str):
        raise TypeError(f"if_version is the str of a version, not {type(if_version).__name__}")
    if if_absent:
        raise ValueError("if_version and if_absent exclude each other")
    if not is_version(if_version):
        raise ValueError(f"{if_version!r} is no version")
    return if_version


def timeout_of(timeout: float | None) -> float | None:
    """Return ``timeout`` in seconds if it is one: None, or positive."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout is a number of seconds, not {type(timeout).__name__}")
    if math.isnan(timeout) or timeout <= 0:
        raise ValueError(f"a timeout is positive, not {timeout}")
    return min(float(timeout), LONGEST_TIMEOUT)
