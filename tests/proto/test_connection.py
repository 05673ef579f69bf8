"""One stream between two processes: frames and their bounds, whatever the split and whatever the other side sends."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chord_adapters.testing._strategies import messages
from chord_proto import messages as m
from chord_proto._wire_hello import REPLY_SIZE, Reply, pack_reply
from chord_proto.config import Config
from chord_proto.connection import LENGTH_SIZE, frame_limit
from chord_proto.errors import DecodeError, LocalProtocolError
from chord_proto.peer import Peer
from chord_proto.wire import WIRE_VERSION, Codec
from tests.proto import samples
from tests.proto.ends import ALL, CODEC, HELLO, MAX_FRAME, PING, accepted, dialled, pair, pieces, transfer

NEWEST = attrs.evolve(HELLO, versions=(WIRE_VERSION, WIRE_VERSION))
"""With it nothing waits for the welcome."""

# Frames


def test_queued_messages_leave_in_one_piece() -> None:
    """All that was queued comes out joined, once, and is counted until then."""
    initiator, acceptor = pair()
    for message in ALL:
        initiator.send(message)
    expected = sum(LENGTH_SIZE + len(CODEC.encode(message)) for message in ALL)
    assert expected == initiator.queued_bytes
    data = initiator.data_to_send()
    assert expected == len(data)
    assert initiator.queued_bytes == 0
    assert initiator.data_to_send() == b""
    assert acceptor.receive_data(data) == ALL


def test_both_directions_carry_messages() -> None:
    """After the hello neither end is special."""
    initiator, acceptor = pair()
    for sender, receiver in ((initiator, acceptor), (acceptor, initiator)) * 3:
        for message in ALL:
            sender.send(message)
        assert transfer(sender, receiver) == ALL


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_split_gives_the_same_messages(data: st.DataObject) -> None:
    """However a stream is cut, hello and reply included, both ends read the same (property N9)."""
    sent = data.draw(st.lists(st.sampled_from(ALL) | messages(), max_size=6))
    initiator, acceptor = dialled(NEWEST), accepted()
    for message in sent:
        initiator.send(message)
    for sender, receiver in ((initiator, acceptor), (acceptor, initiator)):
        stream = sender.data_to_send()
        cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
        received = [message for piece in pieces(stream, cuts) for message in receiver.receive_data(piece)]
        assert sent == received
        assert receiver.established
        assert not receiver._buffer
        for message in sent:
            receiver.send(message)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000])
def test_pieces_of_any_size_give_the_same_messages(size: int) -> None:
    """Byte by byte, or in pieces that fit nothing, all messages arrive in order."""
    initiator, acceptor = dialled(NEWEST), accepted()
    for message in ALL:
        initiator.send(message)
    stream = initiator.data_to_send()
    cuts = list(range(size, len(stream), size))
    assert [message for piece in pieces(stream, cuts) for message in acceptor.receive_data(piece)] == ALL


def test_a_long_frame_arrives_in_many_pieces_and_the_next_with_it() -> None:
    """A frame of megabytes is put together from small pieces, and what follows its end is not lost."""
    record = m.Record(m.Space.RECORD, b"long", bytes(range(256)) * 16_384, "1", 1)
    long = m.Replicate(samples.A, 1, None, 0, request=1, records=(record,), decided=True)
    limit = frame_limit(Config())
    initiator, acceptor = dialled(max_frame=limit), accepted(max_frame=limit)
    for message in (PING, long, PING):
        initiator.send(message)
    stream = initiator.data_to_send()
    cuts = list(range(1000, len(stream), 1000))
    assert [PING, long, PING] == [got for piece in pieces(stream, cuts) for got in acceptor.receive_data(piece)]
    assert not acceptor._buffer


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 2**32 - 1])
def test_a_frame_beyond_the_limit_is_refused_before_it_comes(length: int) -> None:
    """The length alone ends the connection: not a byte of such a body is kept (property N3)."""
    _, acceptor = pair()
    with pytest.raises(DecodeError, match=f"a frame of {length} bytes"):
        acceptor.receive_data(length.to_bytes(LENGTH_SIZE))
    assert not acceptor._buffer


def test_a_frame_at_the_limit_passes_and_one_beyond_cannot_be_sent() -> None:
    """Both ends count alike; the sender is told, and nothing of it is queued."""
    value = m.PutRecord(
        None,
        0,
        None,
        0,
        request=1,
        space=0,
        name=b"k",
        value=bytes(5000),
        write_id=1,
        expires=0,
        condition=None,
        quorum=0,
    )
    limit = len(CODEC.encode(value))
    initiator, acceptor = dialled(max_frame=limit), accepted(max_frame=limit)
    initiator.send(value)
    assert transfer(initiator, acceptor) == [value]
    longer = m.PutRecord(
        None,
        0,
        None,
        0,
        request=1,
        space=0,
        name=b"kk",
        value=bytes(5000),
        write_id=1,
        expires=0,
        condition=None,
        quorum=0,
    )
    with pytest.raises(LocalProtocolError, match=f"more than a frame's {limit}"):
        initiator.send(longer)
    assert initiator.queued_bytes == 0


def test_a_message_that_cannot_be_written_is_not_queued() -> None:
    """The codec's refusal leaves the connection as it was."""
    initiator, acceptor = pair()
    with pytest.raises(LocalProtocolError):
        initiator.send(m.Notify(Peer(7, "127.0.0.1:7000"), 0, None, 0))
    initiator.send(PING)
    assert transfer(initiator, acceptor) == [PING]


def test_the_limit_leaves_room_for_the_longest_messages() -> None:
    """Whatever a configuration allows fits: its longest value, its longest batch, and all that stands around them."""
    for config in (Config(), Config(max_value_size=1), Config(max_value_size=10**7), Config(max_batch_bytes=10**7)):
        limit = frame_limit(config)
        codec = Codec()
        value, name = bytes(config.max_value_size), bytes(65_535)
        record = m.Record(0, name, value, "v" * 128, 2**63 - 1)
        peers = tuple(Peer.at(f"{'a' * 240}:{port}") for port in range(256))
        for message in (
            m.Value(samples.A, 1, 1, 1, request=1, held=record, replicas=peers),
            m.Replicate(samples.A, 1, 1, 1, request=1, records=(record,), decided=True),
            m.Replicate(
                samples.A, 1, 1, 1, request=1, decided=True,
                records=(m.Record(1, bytes(20), bytes(config.max_batch_bytes // 4096), "", 0),) * 4096,
            ),
        ):  # fmt: skip
            assert len(codec.encode(message)) <= limit


# The end


def test_a_bad_frame_ends_the_connection_for_good() -> None:
    """After a DecodeError nothing is read or sent any more, and each further call says why."""
    initiator, acceptor = pair()
    acceptor.send(PING)
    bad = bytes((0, 0, 0, 2, 0, 0))
    for data in (bad, b"", CODEC.encode(PING)):
        with pytest.raises(DecodeError, match="unknown type 0"):
            acceptor.receive_data(data)
    acceptor.send(PING)
    assert acceptor.data_to_send() == b""
    assert acceptor.queued_bytes == 0
    acceptor.eof()
    assert initiator.receive_data(b"") == []


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_stream_gone_bad_gives_a_prefix_of_its_messages(data: st.DataObject) -> None:
    """Up to the damage the messages are the right ones, then comes DecodeError or another message (property N8)."""
    initiator, acceptor = pair()
    sent = data.draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=5))
    sizes = []
    for message in sent:
        before = initiator.queued_bytes
        initiator.send(message)
        sizes.append(initiator.queued_bytes - before)
    stream = bytearray(initiator.data_to_send())
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    whole = next(count for count in range(len(sizes)) if sum(sizes[: count + 1]) > at)
    received: list[m.Message] = []
    try:
        for byte in stream:
            received += acceptor.receive_data(bytes((byte,)))
    except DecodeError:
        assert acceptor.data_to_send() == b""
    assert sent[:whole] == received[:whole]
    assert len(acceptor._buffer) <= len(stream)


def test_the_end_between_two_frames_is_no_error() -> None:
    """A peer may go at any time; afterwards bytes are ignored and messages dropped, as on the way they might be."""
    for end in (*pair(), dialled(), accepted()):
        end.eof()
        end.eof()
        end.send(PING)
        assert end.data_to_send() == b""
        assert end.receive_data(b"anything") == []
        assert end.refused is None


def test_the_end_within_a_frame_or_hello_is_an_error() -> None:
    """Half a frame, half a hello or half a reply is garbage, and is told apart from a peer that goes."""
    _, acceptor = pair()
    acceptor.receive_data(bytes((0, 0, 0, 53, 16)))
    stranger, initiator = accepted(), dialled()
    stranger.receive_data(HELLO.pack()[:-1])
    initiator.receive_data(pack_reply(Reply.WELCOME, 1)[:-1])
    for end, kept in ((acceptor, 5), (stranger, len(HELLO.pack()) - 1), (initiator, REPLY_SIZE - 1)):
        with pytest.raises(DecodeError, match=f"ended after {kept} bytes"):
            end.eof()
        with pytest.raises(DecodeError, match=f"ended after {kept} bytes"):
            end.receive_data(b"")
        assert not end._buffer
