"""The hello exchange: who belongs is welcomed, everyone else gets one refusal or nothing, and little is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chord_proto import messages as m
from chord_proto._wire_hello import REPLY_SIZE, Reply, pack_reply
from chord_proto.connection import LENGTH_SIZE, MAX_HELLO, Connection, Hello
from chord_proto.errors import DecodeError
from chord_proto.wire import WIRE_VERSION, Codec
from tests.proto import samples
from tests.proto.ends import CODEC, HELLO, PING, accepted, dialled, transfer

REACHED, FORWARD = samples.MESSAGES["Reached"], samples.MESSAGES["Forward"]
PLAIN = m.FindSuccessor(**samples.TO_B, request=1, place=2**160 - 1)
VECTORS = Path(__file__).parent / "vectors" / "hello.json"


def test_hello_and_welcome_establish_both_ends() -> None:
    """The acceptor is established by the hello, the initiator by the welcome."""
    initiator, acceptor = dialled(), accepted(Hello("chord"))
    seen = []
    for sender, receiver in ((initiator, acceptor), (acceptor, initiator)):
        seen.append((initiator.established, acceptor.established))
        assert transfer(sender, receiver) == []
    assert seen == [(False, False), (False, True)]
    assert initiator.established
    for end in (initiator, acceptor):
        assert end.version == WIRE_VERSION
        assert end.refused is None
        assert end.queued_bytes == 0
        assert end.data_to_send() == b""


def test_the_acceptor_learns_what_the_initiator_claims() -> None:
    """A node claims an address, a client has none, and the acceptor's own is not told."""
    for address, expected in (("127.0.0.1:7000", "127.0.0.1:7000"), ("", None)):
        initiator, acceptor = dialled(Hello("chord", address=address)), accepted()
        transfer(initiator, acceptor)
        transfer(acceptor, initiator)
        assert expected == acceptor.remote_address
        assert initiator.remote_address is None


def test_frames_may_follow_the_hello_at_once() -> None:
    """An initiator does not wait for the welcome, and the answer comes right behind it."""
    initiator, acceptor = dialled(), accepted()
    initiator.send(PING)
    assert transfer(initiator, acceptor) == [PING]
    acceptor.send(samples.MESSAGES["Pong"])
    assert transfer(acceptor, initiator) == [samples.MESSAGES["Pong"]]


@pytest.mark.parametrize(
    "ours, theirs, expected",
    [((1, 1), (1, 1), 1), ((1, 3), (1, 1), 1), ((1, 1), (1, 255), 1), ((1, 3), (2, 5), 3), ((2, 5), (1, 3), 3)],
)
def test_the_highest_common_version_is_agreed_on(ours: tuple[int, int], theirs: tuple[int, int], expected: int) -> None:
    """This version and the next can live in one ring: both ends know what they speak (property N19)."""
    initiator, acceptor = dialled(Hello("chord", versions=ours)), accepted(Hello("chord", versions=theirs))
    transfer(initiator, acceptor)
    transfer(acceptor, initiator)
    assert (expected, expected) == (initiator.version, acceptor.version)


@pytest.mark.parametrize("theirs, heard", [((1, 2), [REACHED]), ((1, 1), [])])
def test_what_not_every_version_knows_waits_for_the_welcome(theirs: tuple[int, int], heard: list[m.Message]) -> None:
    """It is held back, and counted, until the version is known, and dropped then and later if that does not know it."""
    initiator, acceptor = dialled(Hello("chord", versions=(1, 2))), accepted(Hello("chord", versions=theirs))
    initiator.send(REACHED)
    initiator.send(PING)
    waiting = initiator.queued_bytes
    hello = initiator.data_to_send()
    assert initiator.queued_bytes == waiting - len(hello) > 0
    assert acceptor.receive_data(hello) == [PING]
    transfer(acceptor, initiator)
    assert heard == transfer(initiator, acceptor)
    initiator.send(REACHED)
    assert heard == transfer(initiator, acceptor)
    assert initiator.queued_bytes == 0


@pytest.mark.parametrize("theirs, heard", [((1, 2), FORWARD), ((1, 1), PLAIN), ((2, 2), FORWARD)])
def test_a_question_to_pass_on_is_a_plain_one_to_who_cannot(theirs: tuple[int, int], heard: m.Message) -> None:
    """Of wire version 1 nobody passes questions on: such a host is asked as ever, and takes no other for a message."""
    initiator, acceptor = dialled(Hello("chord", versions=(1, 2))), accepted(Hello("chord", versions=theirs))
    if theirs[0] == 1:
        initiator.send(FORWARD)
        assert [PLAIN] == transfer(initiator, acceptor)
    else:
        transfer(initiator, acceptor)
    transfer(acceptor, initiator)
    initiator.send(FORWARD)
    assert [heard] == transfer(initiator, acceptor)
    with pytest.raises(DecodeError):
        Codec(version=1).decode(Codec().encode(FORWARD))


def test_an_acceptor_sends_nothing_before_its_welcome() -> None:
    """What is sent to a stranger waits until the stranger has said hello."""
    initiator, acceptor = dialled(), accepted()
    acceptor.send(PING)
    assert acceptor.data_to_send() == b""
    transfer(initiator, acceptor)
    assert transfer(acceptor, initiator) == [PING]


def test_options_of_a_later_version_are_skipped() -> None:
    """A hello may carry more than this version knows."""
    hello = bytearray(HELLO.pack())
    hello[13] = 255
    acceptor = accepted()
    body = CODEC.encode(PING)
    frame = len(body).to_bytes(LENGTH_SIZE) + body
    assert acceptor.receive_data(bytes(hello) + bytes(255) + frame) == [PING]
    assert acceptor.remote_address == HELLO.address


REFUSALS = {
    "network": (Hello("chord"), Hello("other"), ["'chord'", "'other'"], ["another network", "'chord'"], "NETWORK"),
    "bits": (Hello("chord"), Hello("chord", bits=8), ["160 bits, ours 8"], ["8 bits, ours 160"], "BITS"),
    "later version": (
        Hello("chord", versions=(1, 1)),
        Hello("chord", versions=(2, 3)),
        ["no common wire version", "speaks 1 to 1, we 2 to 3"],
        ["no common wire version", "speaks 2 to 3, we 1 to 1"],
        "VERSION",
    ),
    "earlier version": (
        Hello("chord", versions=(4, 9)),
        Hello("chord", versions=(2, 3)),
        ["speaks 4 to 9, we 2 to 3"],
        ["speaks 2 to 3, we 4 to 9"],
        "VERSION",
    ),
    "all at once": (Hello("a", 8, versions=(3, 3)), Hello("b", 9), ["version"], ["version"], "VERSION"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_who_does_not_belong_is_refused_and_both_ends_know_why(
    case: tuple[Hello, Hello, list[str], list[str], str],
) -> None:
    """The stranger gets one refusal of fixed size and nothing else, and its frames are never read (property N1)."""
    theirs, ours, said_here, said_there, code = case
    initiator, acceptor = dialled(theirs), accepted(ours)
    initiator.send(m.Notify(None, 0, None, 0))
    assert transfer(initiator, acceptor) == []
    acceptor.send(m.Notify(None, 0, None, 0))
    assert acceptor.receive_data(b"anything") == []
    assert acceptor.queued_bytes == REPLY_SIZE
    reply = acceptor.data_to_send()
    assert len(reply) == REPLY_SIZE
    assert Reply[code] == reply[8]
    assert initiator.receive_data(reply + b"anything") == []
    for end, said in ((acceptor, said_here), (initiator, said_there)):
        assert not end.established
        assert end.refused is not None
        assert [part for part in said if part not in end.refused] == []
        assert end.data_to_send() == b""
        assert not end._buffer
        end.eof()


def test_who_belongs_is_refused_where_there_is_no_room() -> None:
    """It gets one refusal and hears why; who does not belong hears that instead, and who has said nothing yet nothing."""
    initiator, acceptor = dialled(), accepted()
    acceptor.full = True
    assert acceptor.receive_data(initiator.data_to_send()[:5]) == []
    assert acceptor.data_to_send() == b""
    initiator, acceptor = dialled(), accepted()
    acceptor.full = True
    transfer(initiator, acceptor)
    reply = acceptor.data_to_send()
    assert pack_reply(Reply.FULL) == reply
    initiator.receive_data(reply)
    assert (True, True) == (initiator.full, acceptor.full)
    assert "as many connections as it takes" in (initiator.refused or "")
    foreign, acceptor = dialled(Hello("other")), accepted()
    acceptor.full = True
    transfer(foreign, acceptor)
    assert pack_reply(Reply.NETWORK) == acceptor.data_to_send()


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x00", b"\x89Chorf", b"\x89ChordR\n", bytes(5000)],
    ids=["http", "tls", "zero", "almost", "a reply", "many zeros"],
)
def test_garbage_ends_the_connection_without_an_answer(garbage: bytes) -> None:
    """Bytes that can no longer become a hello raise DecodeError at once; nothing is sent, nothing is kept."""
    acceptor = accepted()
    with pytest.raises(DecodeError, match="another protocol"):
        acceptor.receive_data(garbage)
    assert acceptor.data_to_send() == b""
    assert not acceptor._buffer


@pytest.mark.parametrize(
    "at, value, reason",
    [
        (8, 0, "versions"),
        (9, 0, "versions"),
        (10, 0, "bits"),
        (10, 161, "bits"),
        (11, 0, "0 bytes"),
        (14, 0xFF, "utf-8"),
    ],
)
def test_a_hello_that_cannot_be_is_garbage(at: int, value: int, reason: str) -> None:
    """Versions, width, and text of a hello are checked."""
    hello = bytearray(HELLO.pack())
    hello[at] = value
    acceptor = accepted()
    with pytest.raises(DecodeError, match=reason):
        acceptor.receive_data(bytes(hello) + bytes(300))
    assert acceptor.data_to_send() == b""


@pytest.mark.parametrize(
    "reply, reason",
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "another protocol"),
        (HELLO.pack(), "another protocol"),
        (b"\x89ChordR\n\x07\x00\x00", "unknown code 7"),
        (pack_reply(Reply.WELCOME, 3), "version 3, which was not offered"),
        (pack_reply(Reply.WELCOME, 0), "version 0, which was not offered"),
    ],
)
def test_a_reply_that_cannot_be_is_garbage(reply: bytes, reason: str) -> None:
    """The initiator checks the acceptor just as well."""
    initiator = dialled()
    with pytest.raises(DecodeError, match=reason):
        initiator.receive_data(reply)
    assert not initiator.established


def test_little_is_kept_of_a_stranger() -> None:
    """However the longest hello arrives, no more than it is kept before it is complete (property N3)."""
    hello = bytearray(Hello("n" * 255, address="a" * 255).pack() + bytes(255))
    hello[13] = 255
    assert len(hello) == MAX_HELLO
    acceptor = accepted(Hello("n" * 255))
    for byte in hello[:-1]:
        assert acceptor.receive_data(bytes((byte,))) == []
        assert len(acceptor._buffer) < MAX_HELLO
        assert not acceptor.established
    acceptor.receive_data(bytes(hello[-1:]))
    assert acceptor.established
    assert not acceptor._buffer


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.binary(max_size=40), st.binary(max_size=300), st.data())
def test_no_bytes_do_harm_before_the_hello(initiator: bool, head: bytes, tail: bytes, data: st.DataObject) -> None:
    """Whatever a stranger sends, the end waits, refuses, or raises DecodeError, and sends one reply at most."""
    end = dialled() if initiator else accepted()
    end.data_to_send()
    good = pack_reply(Reply.WELCOME, 1) if initiator else HELLO.pack()
    stream = good[: data.draw(st.integers(0, len(good)))] + head + tail
    try:
        end.receive_data(stream)
    except DecodeError:
        assert end.data_to_send() == b""
    assert len(end.data_to_send()) <= REPLY_SIZE
    assert len(end._buffer) <= len(stream)


@pytest.mark.parametrize(
    "network, bits, address, versions",
    [
        ("", 160, "", (1, 1)),
        ("n" * 256, 160, "", (1, 1)),
        ("ä" * 128, 160, "", (1, 1)),
        ("chord", 0, "", (1, 1)),
        ("chord", 161, "", (1, 1)),
        ("chord", 160, "a" * 256, (1, 1)),
        ("chord", 160, "", (0, 1)),
        ("chord", 160, "", (2, 1)),
        ("chord", 160, "", (1, 256)),
        ("\ud800", 160, "", (1, 1)),
    ],
)
def test_a_hello_that_cannot_be_said_is_refused_at_once(
    network: str, bits: int, address: str, versions: tuple[int, int]
) -> None:
    """A hello beyond its bounds is a ValueError where it is made."""
    with pytest.raises(ValueError, match=r"bytes|bits|versions|surrogates"):
        Hello(network, bits, address, versions)


def test_bad_arguments_are_refused_at_once() -> None:
    """Hello and codec must be of one circle, and a frame holds at least a byte."""
    for hello, max_frame in ((Hello("chord", bits=8), 100), (HELLO, 0), (HELLO, 2**32)):
        with pytest.raises(ValueError, match=r"bits|max_frame"):
            Connection(initiator=True, hello=hello, codec=CODEC, max_frame=max_frame)


def test_hello_and_replies_have_their_golden_bytes() -> None:
    """The layout by which versions find each other is for good."""
    golden = json.loads(VECTORS.read_text(encoding="utf-8"))
    hellos = {
        "hello of a node": HELLO,
        "hello of a client": Hello("chord"),
        "hello of another circle": Hello("möwe", 8, "[::1]:7002", (1, 3)),
    }
    written = {name: hello.pack().hex() for name, hello in hellos.items()}
    replies = {
        "welcome": (Reply.WELCOME, 1, 0),
        "no common version": (Reply.VERSION, 1, 3),
        "other network": (Reply.NETWORK, 0, 0),
        "other circle": (Reply.BITS, 160, 0),
        "no room": (Reply.FULL, 0, 0),
    }
    written |= {name: pack_reply(*reply).hex() for name, reply in replies.items()}
    assert golden == written
