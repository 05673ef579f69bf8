"""``chord put``, ``get`` and ``delete``: named records."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Annotated

from cyclopts import Parameter

from chord_adapters._arguments import Quorum
from chord_adapters._errors import ValueTooLarge
from chord_adapters.cli._files import STANDARD, opened, written
from chord_adapters.cli._options import PLAIN, Asking, PathOrStandard, ask
from chord_adapters.cli._outcome import NotFound, Status, UsageError
from chord_adapters.cli._output import peer_fields, print_json, say
from chord_proto.config import Config

_LONGEST = Config().max_value_size

Key = Annotated[str, Parameter(help="The name of the record, any text.")]
IfVersion = Annotated[str | None, Parameter(help="Write only if the record has this version; status 5 otherwise.")]
Writers = Annotated[
    str,
    Parameter(name=["-w", "--w"], help="Done when so many replicas have it durably: one, majority, all or a number."),
]


def put(
    key: Key,
    value: Annotated[str | None, Parameter(help="What to write.")] = None,
    /,
    *,
    file: Annotated[
        PathOrStandard | None, Parameter(help="Write the bytes of this file instead; - is standard input.")
    ] = None,
    ttl: Annotated[float | None, Parameter(help="For how many seconds it can be read; by default for ever.")] = None,
    if_version: IfVersion = None,
    if_absent: Annotated[bool, Parameter(help="Write only if there is no such record.", negative=())] = False,
    w: Writers = "majority",
    asking: Asking = PLAIN,
) -> int:
    """Write a record; done when a majority of its replicas has it, or as many as -w says."""
    if (value is None) == (file is None):
        raise UsageError("put takes a VALUE or --file, one of them")
    name = name_of(key)
    if file is None:
        data = os.fsencode(value or "")
    else:
        with opened(file) as source:
            data = source.read(_LONGEST + 1)  # A device may have no end.
        if len(data) > _LONGEST:
            raise ValueTooLarge(f"the value is too large, the most is {_LONGEST} bytes")
    quorum = quorum_of(w)
    result = ask(
        asking,
        lambda client: client.put(
            name, data, ttl=ttl, w=quorum, if_version=if_version, if_absent=if_absent, timeout=asking.patience
        ),
    )
    if asking.json:
        acked = [peer_fields(peer) for peer in result.acked]
        print_json({"key": key, "version": result.version, "owner": peer_fields(result.owner), "acked": acked})
    else:
        say(f"written, version {result.version}, on {', '.join(peer.address for peer in result.acked)}")
    return Status.FINE


def get(
    key: Key,
    /,
    *,
    out: Annotated[
        PathOrStandard, Parameter(help="Write the value to this file, by default to standard output.")
    ] = STANDARD,
    r: Annotated[
        str, Parameter(name=["-r", "--r"], help="Read the newest of so many copies: one, majority, all or a number.")
    ] = "one",
    asking: Asking = PLAIN,
) -> int:
    """Read a record and write its exact bytes; status 3 when there is none."""
    name = name_of(key)
    quorum = quorum_of(r)
    entry = ask(asking, lambda client: client.get(name, r=quorum, timeout=asking.patience))
    if entry is None:
        raise NotFound(f"no record {key!r}")
    if not asking.json or out != STANDARD:
        with written(out) as sink:
            sink.write(entry.value)
    if asking.json:
        value = b64encode(entry.value).decode()
        print_json({"key": key, "value": value, "version": entry.version, "expires_at": entry.expires_at})
    return Status.FINE


def delete(key: Key, /, *, if_version: IfVersion = None, w: Writers = "majority", asking: Asking = PLAIN) -> int:
    """Delete a record; deleting what is absent is fine."""
    name, quorum = name_of(key), quorum_of(w)
    result = ask(asking, lambda client: client.delete(name, w=quorum, if_version=if_version, timeout=asking.patience))
    if asking.json:
        acked = [peer_fields(peer) for peer in result.acked]
        print_json({"key": key, "version": result.version, "owner": peer_fields(result.owner), "acked": acked})
    else:
        say(f"deleted, version {result.version}")
    return Status.FINE


def name_of(key: str) -> bytes:
    """Return the name that a KEY on the command line means: the UTF-8 of its text."""
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise UsageError("the key is not UTF-8 text") from None


def quorum_of(word: str) -> Quorum:
    """Return the quorum that -w or -r means."""
    match word:
        case "one" | "majority" | "all":
            return word
    if not word.isdecimal() or not word.isascii() or int(word) < 1:
        raise UsageError(f"a quorum is one, majority, all or a number of replicas, not {word!r}")
    return int(word)
