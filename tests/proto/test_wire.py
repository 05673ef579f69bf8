"""Messages to bytes and back: nothing lost, nothing accepted that is no message, nothing without bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chord_adapters.testing._strategies import MESSAGE_CLASSES, OPERATION_CLASSES, RESULT_CLASSES, instances, messages
from chord_proto import messages as m
from chord_proto import operations as o
from chord_proto import wire
from chord_proto._wire_doc import describe_format
from chord_proto._wire_fields import Kinds
from chord_proto._wire_peers import PeerTable
from chord_proto._wire_types import MESSAGES, OPERATIONS, RESULTS, TAGGED
from chord_proto.errors import DecodeError, LocalProtocolError
from chord_proto.peer import Peer
from chord_proto.wire import Codec
from tests.proto import samples

CODEC = Codec()
CODECS = {bits: Codec(bits) for bits in (1, 8, 13, 159, 160)}
HEADER = (None, 0, None, 0)
ENCODED = {name: CODEC.encode(message) for name, message in samples.MESSAGES.items()}
HOSTILE_DEPTH = 100_000


def number_of(cls: type[m.Message]) -> int:
    """Return the type byte of a message class."""
    return next(number for number, known in MESSAGES.items() if known is cls)


def body(cls: type[m.Message], *fields: Any, header: tuple[Any, ...] = HEADER) -> bytes:
    """Return a body made by hand, whatever the fields are."""
    return bytes((number_of(cls),)) + msgspec.msgpack.encode((*header, *fields))


# The tables


def test_every_message_operation_and_result_has_one_number() -> None:
    """The tables number exactly the classes of the unions."""
    assert set(MESSAGE_CLASSES) == set(MESSAGES.values())
    assert set(OPERATION_CLASSES) == set(OPERATIONS.values())
    assert set(RESULT_CLASSES) == set(RESULTS.values())
    for table in (MESSAGES, OPERATIONS, RESULTS):
        assert len(table) == len(set(table.values()))


@pytest.mark.parametrize("cls", [*MESSAGE_CLASSES, *OPERATION_CLASSES, *RESULT_CLASSES, m.Record, m.Summary, o.Hop])
def test_no_field_is_private(cls: type[Any]) -> None:
    """Every field is written under its public name, and none begins with an underscore."""
    names = [field.name for field in attrs.fields(cls)]
    assert [name.lstrip("_") for name in names] == names


def test_a_field_without_known_bounds_is_refused_when_the_codec_is_built() -> None:
    """A class with a field that no table knows cannot be put on the wire by accident."""

    @attrs.define
    class Unknown:
        surprise: int

    kinds = Kinds(160, PeerTable(160, 1), TAGGED)
    with pytest.raises(TypeError, match="no kind is known for the field surprise"):
        kinds.of_field("surprise", int)
    with pytest.raises(TypeError, match="no kind is known for the field name"):
        kinds.of_field("name", int)


def test_the_reference_is_what_the_tables_say() -> None:
    """docs/reference/wire.md is the output of `describe_format`; write it anew after a change of the format."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "wire.md"
    assert describe_format() == page.read_text(encoding="utf-8")


# Golden bytes


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_a_message_has_its_golden_bytes(name: str) -> None:
    """Each sample is written as the reviewed file says, and read from it."""
    golden = bytes.fromhex(samples.vectors()[name])
    assert golden == CODEC.encode(samples.MESSAGES[name])
    assert samples.MESSAGES[name] == CODEC.decode(golden)


def test_the_golden_file_has_every_class() -> None:
    """No message, operation or result is without golden bytes, and none is left from before."""
    assert list(samples.MESSAGES) == list(samples.vectors())
    assert set(MESSAGE_CLASSES) == {type(message) for message in samples.MESSAGES.values()}
    assert set(OPERATION_CLASSES) == {type(operation) for operation in samples.OPERATIONS.values()}
    assert set(RESULT_CLASSES) == {type(result) for result in samples.RESULTS.values()}


# Round trips: property N7


@pytest.mark.parametrize("cls", MESSAGE_CLASSES)
def test_a_message_survives_the_wire(cls: type[m.Message]) -> None:
    """What is decoded equals what was encoded, for every class (property N7)."""

    @settings(max_examples=25, deadline=None)
    @given(instances(cls))
    def check(message: m.Message) -> None:
        assert message == CODEC.decode(CODEC.encode(message))

    check()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_message_survives_on_a_circle_of_any_width(data: st.DataObject) -> None:
    """Places that do not fill their bytes are written and read as well."""
    bits = data.draw(st.sampled_from(sorted(CODECS)))
    message = data.draw(messages(bits))
    assert message == CODECS[bits].decode(CODECS[bits].encode(message))


@settings(max_examples=50, deadline=None)
@given(messages())
def test_a_body_is_read_from_any_buffer(message: m.Message) -> None:
    """A view of a larger buffer gives the same message, and nothing of it refers to the buffer."""
    buffer = bytearray(b"before" + CODEC.encode(message) + b"after")
    with memoryview(buffer) as view:
        decoded = CODEC.decode(view[len(b"before") : -len(b"after")])
    buffer[:] = bytes(len(buffer))
    buffer.clear()
    assert message == decoded


def test_decoded_fields_have_the_types_of_the_class() -> None:
    """Records come out as records, enumerations of text as their members, lists as tuples."""
    replicate = CODEC.decode(ENCODED["Replicate"])
    assert isinstance(replicate, m.Replicate)
    assert replicate == samples.MESSAGES["Replicate"]
    assert {m.Record} == {type(record) for record in replicate.records}
    assert type(replicate.records) is tuple
    failed = CODEC.decode(ENCODED["Performed Failed"])
    assert isinstance(failed, m.Performed)
    assert isinstance(failed.result, o.Failed)
    assert failed.result.reason is o.Failure.NO_QUORUM


# Nonsense: property N8


def decodes_or_refuses(data: bytes) -> None:
    """Check property N8 for one body: a message, which then has one canonical form, or `DecodeError`."""
    try:
        message = CODEC.decode(data)
    except DecodeError:
        return
    canonical = CODEC.encode(message)
    assert message == CODEC.decode(canonical)
    assert canonical == CODEC.encode(CODEC.decode(canonical))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*MESSAGES, 0, 255]), st.binary(max_size=80))
def test_random_bytes_are_a_message_or_refused(number: int, data: bytes) -> None:
    """Any bytes behind any type byte decode or raise DecodeError, nothing else (property N8)."""
    decodes_or_refuses(data)
    decodes_or_refuses(bytes((number,)) + data)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_mutated_message_is_a_message_or_refused(data: st.DataObject) -> None:
    """Bytes changed, put in, cut out or moved to another type decode or raise DecodeError (property N8)."""
    mutated = bytearray(data.draw(st.sampled_from(list(ENCODED.values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(mutated) - 1)))
        cut = data.draw(st.integers(0, 3))
        mutated[at : at + cut] = data.draw(st.binary(max_size=3))
    decodes_or_refuses(bytes(mutated))
    decodes_or_refuses(bytes((data.draw(st.sampled_from(list(MESSAGES))),)) + bytes(mutated[1:]))


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_every_cut_and_every_rest_is_refused(name: str) -> None:
    """A message cut short anywhere, or followed by a byte, is no message."""
    for size in range(len(ENCODED[name])):
        with pytest.raises(DecodeError):
            CODEC.decode(ENCODED[name][:size])
    with pytest.raises(DecodeError, match="trailing"):
        CODEC.decode(ENCODED[name] + b"\xc0")


@pytest.mark.parametrize("number", sorted(MESSAGES))
@pytest.mark.parametrize("nest", [b"\x91", b"\x81", b"\xdd\x00\x00\x00\x02"], ids=["arrays", "maps", "long arrays"])
def test_deep_nesting_is_refused(number: int, nest: bytes) -> None:
    """A body that nests without end raises DecodeError, not RecursionError."""
    with pytest.raises(DecodeError):
        CODEC.decode(bytes((number,)) + nest * HOSTILE_DEPTH)


@pytest.mark.parametrize("cls, fields", [(m.Perform, 7), (m.Performed, 6)])
@pytest.mark.parametrize("tag", [1, 2, 7])
def test_deep_nesting_within_an_operation_or_result_is_refused(cls: type[m.Message], fields: int, tag: int) -> None:
    """The part that is decoded apart is no way around the limit."""
    head = bytes((number_of(cls), 0x90 | fields)) + b"".join(map(msgspec.msgpack.encode, (*HEADER, 1)))
    nested = b"\x91" * HOSTILE_DEPTH + b"\xc0"
    with pytest.raises(DecodeError):
        CODEC.decode(head + b"\x92" + bytes((tag,)) + nested + b"\x01" * (fields - 6))


@pytest.mark.parametrize(
    "claim", [b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("number", sorted(MESSAGES))
def test_a_claimed_length_is_not_believed(number: int, claim: bytes) -> None:
    """Four thousand million elements that do not come are refused, and no memory is set aside for them."""
    with pytest.raises(DecodeError):
        CODEC.decode(bytes((number,)) + claim)


PEER = b"\x00\x00" + b"127.0.0.1:7000"
PLACE = bytes(20)
LIVING = (PEER, 5, PLACE, 5)
REFUSED_BODIES = {
    "empty": b"",
    "unknown type": b"\x00" + msgspec.msgpack.encode(HEADER),
    "no array": body(m.Notify)[:1] + b"\xc0",
    "a map": body(m.Notify)[:1] + msgspec.msgpack.encode({"source": None}),
    "missing field": body(m.Ping),
    "further field": body(m.Notify, 0),
    "negative incarnation": body(m.Notify, header=(None, -1, None, 0)),
    "incarnation of 64 bits": body(m.Notify, header=(None, 2**63, None, 0)),
    "incarnation nil": body(m.Notify, header=(None, None, None, 0)),
    "incarnation as float": body(m.Notify, header=(None, 1.0, None, 0)),
    "request as boolean": body(m.Ping, True),
    "target too short": body(m.Notify, header=(PEER, 0, bytes(19), 0)),
    "target too long": body(m.Notify, header=(PEER, 0, bytes(21), 0)),
    "target as number": body(m.Notify, header=(PEER, 0, 7, 0)),
    "peer without address": body(m.Notify, header=(b"\x00\x00", 0, None, 0)),
    "peer too long": body(m.Notify, header=(b"\x00\x00" + b"a" * 256, 0, None, 0)),
    "peer not in UTF-8": body(m.Notify, header=(b"\x00\x00\xff\xfe", 0, None, 0)),
    "peer with a lone surrogate": body(m.Notify, header=(b"\x00\x00\xed\xa0\x80", 0, None, 0)),
    "peer as text": body(m.Notify, header=("127.0.0.1:7000", 0, None, 0)),
    "peer as array": body(m.Notify, header=((0, "127.0.0.1:7000"), 0, None, 0)),
    "unknown reason": body(m.Refused, 1, max(m.Reason) + 1),
    "unknown space": body(m.GetRecord, 1, 2, b"k", False, 1),
    "name as text": body(m.GetRecord, 1, 0, "k", False, 1),
    "name too long": body(m.GetRecord, 1, 0, bytes(wire.MAX_NAME + 1), False, 1),
    "flag as number": body(m.GetRecord, 1, 0, b"k", 1, 1),
    "quorum": body(m.GetRecord, 1, 0, b"k", False, 256),
    "condition too long": body(m.PutRecord, 1, 0, b"k", b"", 1, 0, "v" * 129, 0),
    "found without predecessor": body(m.Found, 1, None, (), False),
    "257 peers": body(m.Closer, 1, (PEER,) * 257),
    "a bad peer in a list": body(m.Closer, 1, (PEER, b"\x00\x00\xff")),
    "width": body(m.Neighbours, 1, None, (), True, 256),
    "16,385 names": body(m.GetCopies, 1, ((0, b""),) * 16_385),
    "name without space": body(m.GetCopies, 1, ((b"k",),)),
    "record without write id": body(m.Copies, 1, ((0, b"k", b"v", ""),), 1),
    "digest of 15 bytes": body(m.Digest, 1, 1, bytes(15)),
    "version too long": body(m.Acknowledged, 1, "v" * 129, ()),
    "version not in UTF-8": body(m.Acknowledged, 1, "v", ()).replace(b"\xa1v", b"\xa1\xff"),
    "unknown operation": body(m.Perform, 1, (99, ()), 1000),
    "operation without number": body(m.Perform, 1, (), 1000),
    "operation with a further field": body(m.Perform, 1, (7, (0,)), 1000),
    "operation as something else": body(m.Perform, 1, (2, 5), 1000),
    "content key of 19 bytes": body(m.Perform, 1, (6, (bytes(19),)), 1000),
    "timeout of 33 bits": body(m.Perform, 1, (7, ()), 2**32),
    "negative timeout": body(m.Perform, 1, (7, ()), -1),
    "unknown result": body(m.Performed, 1, (0, ())),
    "unknown failure": body(m.Performed, 1, (1, ("x" * 100_000, False))),
    "hop that took for ever": body(m.Performed, 1, (2, (PEER, (), ((PEER, float("inf")),)))),
    "hop that took no number": body(m.Performed, 1, (2, (PEER, (), ((PEER, float("nan")),)))),
    "hop that took less than nothing": body(m.Performed, 1, (2, (PEER, (), ((PEER, -0.5),)))),
    "1,025 hops": body(m.Performed, 1, (2, (PEER, (), ((PEER, 0.5),) * 1025))),
}


@pytest.mark.parametrize("data", REFUSED_BODIES.values(), ids=REFUSED_BODIES)
def test_a_body_beyond_its_bounds_is_refused(data: bytes) -> None:
    """Each bound of each field is checked when it is read, and the error stays short."""
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(data)
    assert len(str(caught.value)) < 300


def test_bodies_made_by_hand_are_read_within_their_bounds() -> None:
    """What the refused bodies get wrong is all that is wrong with them: at the bounds they are messages."""
    for data in (
        body(m.Notify, header=LIVING),
        body(m.Notify, header=(b"\xff\xff" + b"a" * 255, 2**63 - 1, b"\xff" * 20, 2**63 - 1)),
        body(m.Refused, 1, max(m.Reason)),
        body(m.GetRecord, 1, 1, bytes(wire.MAX_NAME), False, 255),
        body(m.Closer, 1, (PEER,) * 256),
        body(m.Neighbours, 1, None, (), True, 255, 2**63 - 1, 2**63 - 1),
        body(m.GetCopies, 1, ((0, b""),) * 16_384),
        body(m.Digest, 1, 1, bytes(16), True),
        body(m.Acknowledged, 1, "v" * 128, ()),
        body(m.Perform, 1, (6, (bytes(20),)), 2**32 - 1),
        body(m.Performed, 1, (1, ("busy", False))),
        body(m.Performed, 1, (2, (PEER, (), ((PEER, 0.5),) * 1024))),
    ):
        assert data == CODEC.encode(CODEC.decode(data))


def test_a_place_beyond_a_narrow_circle_is_refused() -> None:
    """On a circle of 13 bits a place has two bytes, and the three bits too many must be 0."""
    codec = CODECS[13]
    target = 2**13 - 1
    assert target == codec.decode(body(m.Notify, header=(None, 0, b"\x1f\xff", 0))).target
    with pytest.raises(DecodeError, match="13 bits"):
        codec.decode(body(m.Notify, header=(None, 0, b"\x20\x00", 0)))


# What cannot be sent

TO_NOBODY: dict[str, Any] = {"source": None, "incarnation": 0, "target": None, "target_incarnation": 0}
UNSENDABLE: dict[str, m.Message] = {
    "incarnation": m.Notify(None, -1, None, 0),
    "incarnation of 64 bits": m.Notify(None, 2**63, None, 0),
    "incarnation of 80 bits": m.Notify(None, 2**80, None, 0),
    "target incarnation": m.Notify(None, 0, None, 2**63),
    "request": m.Ping(**TO_NOBODY, request=-1),
    "target": m.Notify(None, 0, 2**160, 0),
    "negative target": m.Notify(None, 0, -1, 0),
    "chosen place": m.Notify(Peer(7, "127.0.0.1:7000"), 0, None, 0),
    "index": m.Notify(Peer.at("a", 65_536), 0, None, 0),
    "long address": m.Notify(Peer.at("ä" * 128), 0, None, 0),
    "empty address": m.Notify(Peer.at(""), 0, None, 0),
    "name": m.GetRecord(**TO_NOBODY, request=1, space=0, name=bytes(65_536), through=False, quorum=1),
    "space": m.GetRecord(**TO_NOBODY, request=1, space=2, name=b"", through=False, quorum=1),
    "reason": m.Refused(**TO_NOBODY, request=1, reason=99),
    "many peers": m.Closer(**TO_NOBODY, request=1, peers=(samples.A,) * 257),
    "many names": m.GetCopies(**TO_NOBODY, request=1, names=((0, b""),) * 16_385),
    "page": m.ListRange(**TO_NOBODY, request=1, start=0, end=0, after=(2**160, 0, b"")),
    "count": m.Digest(**TO_NOBODY, request=1, count=2**63, digest=bytes(16)),
    "digest": m.Digest(**TO_NOBODY, request=1, count=1, digest=bytes(17)),
    "version": m.Acknowledged(**TO_NOBODY, request=1, version="v" * 129, acked=()),
    "version with a lone surrogate": m.Acknowledged(**TO_NOBODY, request=1, version="\ud800", acked=()),
    "timeout": m.Perform(**TO_NOBODY, request=1, operation=o.Describe(), timeout=2**32),
    "content key": m.Perform(**TO_NOBODY, request=1, operation=o.Fetch(2**160), timeout=1),
    "seconds": m.Performed(**TO_NOBODY, request=1, result=o.Located(samples.A, (), (o.Hop(samples.A, float("nan")),))),
    "no message": m.Message(None, 0, None, 0),
}


@pytest.mark.parametrize("message", UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_would_be_refused_cannot_be_sent(message: m.Message) -> None:
    """A message beyond the bounds is its sender's mistake, found before the other side closes the connection."""
    with pytest.raises(LocalProtocolError):
        CODEC.encode(message)


# Peers


def test_a_repeated_peer_is_the_same_object() -> None:
    """Peers are interned: a peer met again is not made again."""
    codec = Codec()
    first, second = (codec.decode(ENCODED[name]) for name in ("Pong", "Neighbours"))
    assert first.source is second.source
    assert first.source == samples.A


def test_the_place_of_a_peer_follows_from_index_and_address() -> None:
    """A peer read from the wire is well formed, whatever the circle (property S10)."""
    for bits, codec in CODECS.items():
        source = codec.decode(body(m.Notify, header=(b"\x01\x2c[::1]:7002", 0, None, 0))).source
        assert Peer.at("[::1]:7002", 300, bits=bits) == source


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_invented_peers_do_not_make_the_table_grow(limit: int) -> None:
    """However many peers a stream names, the table keeps its bound both ways, and goes on working (property N3)."""
    table = PeerTable(160, limit)
    for port in range(1000):
        peer = Peer.at(f"127.0.0.1:{port}", port % 3)
        assert peer == table.unpack(table.pack(peer))
        assert table.pack(peer) == table.pack(Peer.at(peer.address, peer.index))
        assert 1 <= len(table) <= limit


@pytest.mark.parametrize("blob", [b"", b"\x00\x00", b"\x00\x00" + b"a" * 256, b"\x00\x00\xff"])
def test_what_is_no_packed_peer_is_refused_by_the_table(blob: bytes) -> None:
    """The table has its bounds of its own, and does not remember what it refused."""
    table = PeerTable(160, 1)
    with pytest.raises(ValueError, match=r"packed peer|utf-8"):
        table.unpack(blob)
    assert len(table) == 0


def test_two_peers_of_one_place_are_told_apart() -> None:
    """On a tiny circle ids collide; each peer is still written as itself."""
    codec = CODECS[1]
    for port in range(20):
        message = m.Notify(Peer.at(f"127.0.0.1:{port}", bits=1), 0, None, 0)
        assert message == codec.decode(codec.encode(message))


@pytest.mark.parametrize("bits, interned", [(0, 1), (161, 1), (160, 0)])
def test_a_codec_of_no_circle_or_no_table_is_refused(bits: int, interned: int) -> None:
    """Bad arguments raise ValueError at once."""
    with pytest.raises(ValueError, match=r"160|at least one"):
        Codec(bits, interned=interned)
