"""Check what callers pass, before anything happens."""

from __future__ import annotations

import math

from chord_adapters._errors import ValueTooLarge
from chord_proto.config import Config
from chord_proto.identifiers import CONTENT_BITS, place_of_content, place_of_name

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


def timeout_of(timeout: float | None) -> float | None:
    """Return ``timeout`` in seconds if it is one: None, or positive."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout is a number of seconds, not {type(timeout).__name__}")
    if math.isnan(timeout) or timeout <= 0:
        raise ValueError(f"a timeout is positive, not {timeout}")
    return min(float(timeout), LONGEST_TIMEOUT)
