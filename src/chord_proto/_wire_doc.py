"""The wire format in words, made from the tables that the codec itself is made of: docs/reference/wire.md."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from chord_proto import _wire_hello as hello
from chord_proto import blocks
from chord_proto._wire_fields import Kinds, field_types
from chord_proto._wire_peers import MAX_ADDRESS, PeerTable
from chord_proto._wire_types import INSTEAD, MESSAGES, OPERATIONS, RESULTS, SINCE, TAGGED
from chord_proto.connection import LENGTH_SIZE
from chord_proto.identifiers import CONTENT_BITS
from chord_proto.messages import Answer, Grant, Message, Reason, Record, Request, Space, Summary
from chord_proto.operations import Change, Entry, Hop
from chord_proto.wire import OLDEST_VERSION, WIRE_VERSION

_REPLIES = {
    hello.Reply.WELCOME: ("Frames of the agreed version follow, both ways.", "the version, 0"),
    hello.Reply.VERSION: ("No wire version is spoken by both sides.", "the acceptor's lowest and highest version"),
    hello.Reply.NETWORK: ("The acceptor belongs to a network of another name.", "0, 0"),
    hello.Reply.BITS: ("The acceptor's circle has another width.", "the acceptor's bits, 0"),
    hello.Reply.FULL: ("The acceptor has as many connections as it takes: try again later.", "0, 0"),
}


_KINDS: tuple[tuple[str, type[Message]], ...] = (("request", Request), ("answer", Answer), ("one way", Message))


def describe_format() -> str:
    """Return the reference of the wire format, as Markdown."""
    return "\n".join([*_opening(), *_frames(), *_messages(), *_parts(), *_blocks()])


def _opening() -> Iterable[str]:
    yield from ("# Wire format", "")
    yield from (
        "<!-- Made by chord_proto._wire_doc.describe_format() from the codec's tables; a test compares. -->",
        "",
    )
    yield from _text(f"""
        Versions {OLDEST_VERSION} to {WIRE_VERSION}. All numbers outside MessagePack are unsigned and big-endian. A connection is a stream
        (TCP, perhaps TLS) that one process, the *initiator*, opens to the address of another, the *acceptor*.
    """)
    yield from ("## Opening a connection", "")
    yield from _text(f"""
        The initiator says hello. Bytes that can no longer become a hello close the connection without an answer. The
        layout of hello and reply is the same in every version, and a hello has at most {hello.MAX_HELLO} bytes.
    """)
    yield from _table(
        ("bytes", "hello"),
        [
            (len(hello.MARK), f"mark, `{hello.MARK!r}`"),
            (1, "lowest wire version that the initiator speaks, 1 to 255"),
            (1, "highest wire version that it speaks"),
            (1, f"width of its circle in bits, 1 to {CONTENT_BITS}"),
            (1, f"length of the network's name, 1 to {hello.MAX_NETWORK}"),
            (
                1,
                f"length of the initiator's address, 0 to {MAX_ADDRESS}; 0 for a client, which is not reached anywhere",
            ),
            (1, "length of the options"),
            ("…", "the network's name, UTF-8"),
            ("…", "the address, UTF-8; a claim, which counts once a peer has answered there"),
            ("…", "options: for later versions, ignored by this one"),
        ],
    )
    yield f"The acceptor replies with {hello.REPLY_SIZE} bytes, and to whom it refuses with nothing else."
    yield ""
    yield from _table(
        ("bytes", "reply"),
        [(len(hello.REPLY_MARK), f"mark, `{hello.REPLY_MARK!r}`"), (1, "code"), (2, "two details of one byte each")],
    )
    yield from _table(
        ("code", "name", "meaning", "details"), [(code, code.name, *_REPLIES[code]) for code in hello.Reply]
    )
    yield from _text("""
        The version is the highest that both speak. An initiator may send frames right behind its hello, before it is
        welcomed, if they are the same in all versions that it speaks.
    """)


def _frames() -> Iterable[str]:
    yield from ("## Frames", "")
    yield from _text(f"""
        A frame is the length of its body in {LENGTH_SIZE} bytes, and the body: 1 byte for the type of message, then one
        MessagePack array of the message's fields in the order given below. A body is not empty, and not longer than the
        receiver's limit, which is compared before any of it is kept. An unknown type, a field of another type or beyond
        its bounds, a missing field, a further one, bytes left over: each closes the connection.
    """)
    yield from ("## Fields", "")
    yield from _table(
        ("field", "encoding"),
        [
            ("*place*", "binary of ⌈bits/8⌉ bytes, big-endian, less than 2^bits"),
            ("*content key*", f"binary of {CONTENT_BITS // 8} bytes: the SHA-1 of a block"),
            ("*peer*", f"binary: index of the virtual node (2 bytes), address (UTF-8, 1 to {MAX_ADDRESS} bytes)"),
        ],
    )
    yield from _text("""
        The id of a peer is not sent. The receiver computes it, as the leading bits of SHA-1(`address#index`), so that
        nobody chooses their own place.
    """)
    for enum in (Space, Reason):
        yield from _table((f"*{enum.__name__}*", "name"), _members(enum))


def _messages() -> Iterable[str]:
    yield from ("## Messages", "", "Every message begins with:", "")
    yield from _fields(Message, ())
    yield from _text("""
        Requests and answers go on with the request's id, which the answer repeats; the tables below leave these fields
        out.
    """)
    yield from _fields(Request, field_types(Message))
    yield from _text(f"""
        To who does not know a message it is not sent. {" ".join(_stand_ins())}
    """)
    for number, cls in MESSAGES.items():
        kind, base = next(entry for entry in _KINDS if issubclass(cls, entry[1]))
        since = f", since version {SINCE[cls]}" if cls in SINCE else ""
        yield from _described(f"0x{number:02x} {cls.__name__} ({kind}{since})", cls, field_types(base))


def _stand_ins() -> Iterable[str]:
    return (f"*{cls.__name__}* becomes *{other.__name__}*, of its first fields." for cls, other in INSTEAD.items())


def _parts() -> Iterable[str]:
    yield from ("## Parts of messages", "")
    yield from ("These are arrays of their fields, in order.", "")
    for cls in (Record, Summary, Grant, Entry, Change, Hop):
        yield from _described(cls.__name__, cls, ())
    for title, field, numbers in (("Operations", "operation", OPERATIONS), ("Results", "result", RESULTS)):
        yield from (f"## {title}", "")
        yield from (
            f"The field *{field}* is an array of a number and the array of the fields of what it stands for.",
            "",
        )
        for number, part in numbers.items():
            yield from _described(f"{number} {part.__name__}", part, ())


def _blocks() -> Iterable[str]:
    yield from ("## Blocks", "")
    yield from _text(f"""
        A value of at most {blocks.BLOCK_SIZE:,} bytes that does not begin with the mark is one block, and its content
        key is the SHA-1 of its bytes. Every other value is a tree, and its content key is that of the root. The leaves,
        level 0, are the value's bytes, {blocks.BLOCK_SIZE:,} in each but the last. A branch block of level n names
        blocks of level n - 1, all of them full but the last: a full branch of level n stands for
        {blocks.BLOCK_SIZE:,} times {blocks.FAN_OUT:,}^n bytes.
    """)
    yield from _table(
        ("bytes", "branch block"),
        [
            (len(blocks.MARK), f"mark, `{blocks.MARK!r}`"),
            (1, f"level, 1 to {blocks.MAX_LEVEL}"),
            (8, "how many bytes of the value lie below"),
            (blocks.KEY_SIZE, f"each, 1 to {blocks.FAN_OUT:,} times: the content key of a child"),
        ],
    )


def _text(text: str) -> Iterable[str]:
    yield from (" ".join(text.split()), "")


def _described(title: str, cls: type, left_out: Iterable[str]) -> Iterable[str]:
    yield from (f"### {title}", "")
    yield from ((inspect.getdoc(cls) or "").replace("``", "`"), "")
    yield from _fields(cls, left_out)


def _fields(cls: type, left_out: Iterable[str]) -> Iterable[str]:
    kinds = Kinds(CONTENT_BITS, PeerTable(CONTENT_BITS, 1), TAGGED)
    shown: Mapping[str, object] = {name: hint for name, hint in field_types(cls).items() if name not in left_out}
    if not shown:
        yield from ("No fields of its own.", "")
        return
    yield from _table(
        ("field", "encoding"), [(f"`{name}`", kinds.of_field(name, hint).text) for name, hint in shown.items()]
    )


def _members(enum: type[IntEnum]) -> list[tuple[object, ...]]:
    return [(member.value, member.name) for member in enum]


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(format(cell) for cell in cells)} |"
    yield ""
