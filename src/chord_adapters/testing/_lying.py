"""Lies: what a host sends instead of what its nodes say.  Each is a function of a message and of choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from chord_adapters.testing._choices import Choices
from chord_proto._wire_types import MESSAGES
from chord_proto.identifiers import distance
from chord_proto.messages import (
    Acknowledged,
    Answer,
    Closer,
    Copies,
    Digest,
    Done,
    Elsewhere,
    Found,
    Leaving,
    Listing,
    Message,
    Neighbours,
    Pong,
    Reached,
    Record,
    Refused,
    Replicate,
    Space,
    Value,
)
from chord_proto.peer import Peer

GHOSTS = 16
"""How many peers liars invent."""
_FEWEST = 2
_FINE = 1000
ANYHOW = "lies anyhow"
HOW = ("forges lists", "owns everything", "names itself", "changes values", "holds nothing", "says nothing", ANYHOW)
"""The ways to lie."""

M = TypeVar("M")
Lie = Callable[["Liar", Any], Message | None]


def ghosts(bits: int) -> tuple[Peer, ...]:
    """Return peers that nobody is, in the order of the circle: their ids are what their addresses give."""
    invented = (Peer.at(f"ghost{number // 2}", number % 2, bits=bits) for number in range(GHOSTS))
    return tuple(sorted({peer.id: peer for peer in invented}.values(), key=lambda peer: peer.id))


@attrs.define(eq=False)
class Liar:
    """A function for `Network.tamper`: what a lying host sends instead of what its nodes say.

    ``how`` is "forges lists" (names peers that never were, with the ids that their addresses give), "owns everything",
    "names itself" wherever it names somebody, "changes values" of records and bytes of blocks, "holds nothing" (and
    acknowledges it all the same), "says nothing", or "lies anyhow", in each message in another of these ways.  It lies
    in the share ``share`` of its messages; with dull choices in none, unless that is 1.  ``bits`` is the width of the
    circle, ``invented`` whom it invents, in the order of the circle.  Raises ``ValueError`` for what cannot be.
    """

    how: str = attrs.field(validator=attrs.validators.in_(HOW))
    choices: Choices
    bits: int = 160
    share: float = attrs.field(default=1.0, validator=(attrs.validators.ge(0), attrs.validators.le(1)))
    invented: Sequence[Peer] = attrs.field()

    @invented.default
    def _default_invented(self) -> Sequence[Peer]:
        return ghosts(self.bits)

    @invented.validator
    def _check_invented(self, attribute: object, value: Sequence[Peer]) -> None:
        if len(value) < _FEWEST:
            raise ValueError(f"on a circle of {self.bits} bits there is no room for invented peers")

    def __call__(self, message: Message) -> Message | None:
        """Return what is sent instead of ``message``; None for nothing."""
        if self.share < 1 and self.choices.pick("lie: whether", _FINE) < round(_FINE * (1 - self.share)):
            return message
        ways = _WAYS[self.choices.pick("lie: how", len(_WAYS))] if self.how == ANYHOW else LIES[self.how]
        lie = ways.get(type(message))
        return message if lie is None or message.source is None else lie(self, message)

    def ghosts(self, least: int = 1) -> tuple[Peer, ...]:
        """Return some invented peers, as they follow each other on the circle."""
        count = len(self.invented)
        first = self.choices.pick("lie: who", count)
        some = least + self.choices.pick("lie: how many", count - least)
        return tuple(self.invented[(first + turn) % count] for turn in range(some))

    def after(self, me: Peer) -> tuple[Peer, ...]:
        """Return invented peers in the order of the circle after ``me``."""
        return tuple(sorted(self.ghosts(), key=lambda peer: distance(me.id, peer.id, self.bits)))

    def before(self, me: Peer) -> tuple[Peer, ...]:
        """Return invented peers in the order of the circle before ``me``, the nearest first."""
        return tuple(sorted(self.ghosts(), key=lambda peer: distance(peer.id, me.id, self.bits)))


def _me(message: Message) -> Peer:
    assert message.source is not None
    return message.source


def _but(message: M, **changes: object) -> M:
    whole: Any = message
    changed: M = attrs.evolve(whole, **changes)
    return changed


# Peers that never were


def _ghosts_around(liar: Liar, message: Neighbours | Leaving) -> Message:
    before, after = liar.before(_me(message)), liar.after(_me(message))
    kept = _but(message, predecessor=before[0], successors=after)
    return _but(kept, predecessors=before) if isinstance(kept, Leaving) else kept


def _ghosts_before(liar: Liar, message: Pong) -> Message:
    return _but(message, predecessors=liar.before(_me(message)))


def _ghosts_own(liar: Liar, message: Found | Closer) -> Message:
    """Name ghosts as closer, or one of them as the owner."""
    if isinstance(message, Closer) or liar.choices.pick("lie: found", 2):
        return _answer(Closer, message, liar.ghosts())
    owner, *rest = liar.ghosts(2)
    return _but(message, predecessor=rest[-1], successors=(owner, *rest[:-1]))


def _ghosts_reached(liar: Liar, message: Reached) -> Message:
    owner, *rest = liar.ghosts(2)
    return _but(message, predecessor=rest[-1], successors=(owner, *rest[:-1]))


def _ghosts_hold(liar: Liar, message: Elsewhere | Value) -> Message:
    peers = liar.ghosts()
    return _but(message, replicas=peers) if isinstance(message, Value) else _but(message, peers=peers)


# I am everything


def _i_own(liar: Liar, message: Found | Closer) -> Message:
    me = _me(message)
    return _answer(Found, message, me, (me,), False)  # (me, me] is the whole circle.


def _i_was_reached(liar: Liar, message: Reached) -> Message:
    return _but(message, predecessor=_me(message), successors=(_me(message),))


def _i_am_next(liar: Liar, message: Neighbours) -> Message:
    """Tell a ring of one: who joins here follows the liar and nobody else."""
    return _but(message, predecessor=None, successors=(), came_round=True, width=1)


def _me_around(liar: Liar, message: Neighbours | Leaving) -> Message:
    me = _me(message)
    kept = _but(message, predecessor=me, successors=(me,) * max(1, len(message.successors)))
    return _but(kept, predecessors=(me,)) if isinstance(kept, Leaving) else kept


def _me_before(liar: Liar, message: Pong) -> Message:
    return _but(message, predecessors=(_me(message),) * max(1, len(message.predecessors)))


def _ask_me(liar: Liar, message: Elsewhere | Closer) -> Message:
    return _but(message, peers=(_me(message),))


def _i_hold(liar: Liar, message: Value | Acknowledged) -> Message:
    me = (_me(message),)
    return _but(message, replicas=me) if isinstance(message, Value) else _but(message, acked=me)


# Wrong values


def _forged(record: Record) -> Record:
    """Return a record with another value under the same version; a block with other bytes under the same key."""
    if record.space == Space.BLOCK:
        return _but(record, value=b"forged" + (record.value or b"")[6:] + b"!")
    return _but(record, value=b"forged " + (record.value or b"by somebody who deleted it"))


def _wrong_value(liar: Liar, message: Value) -> Message:
    return message if message.held is None else _but(message, held=_forged(message.held))


def _wrong_records(liar: Liar, message: Copies | Replicate) -> Message:
    return _but(message, records=tuple(map(_forged, message.records)))


# Acknowledging without holding


def _done(liar: Liar, message: Answer) -> Message:
    return _answer(Done, message)


def _nothing_held(liar: Liar, message: Value) -> Message:
    return _but(message, held=None, replicas=())


def _nothing_listed(liar: Liar, message: Listing | Copies) -> Message:
    if isinstance(message, Listing):
        return _but(message, entries=(), more=False)
    return _but(message, records=())


def _empty(liar: Liar, message: Digest) -> Message:
    return _but(message, count=0, digest=bytes(16))


def _answer(kind: type[Answer], message: Message, *fields: object) -> Message:
    """Return another answer to what ``message`` answers."""
    assert isinstance(message, Answer)
    header = (message.source, message.incarnation, message.target, message.target_incarnation, message.request)
    return kind(*header, *fields)


def _silence(liar: Liar, message: Message) -> None:
    return None


LIES: Mapping[str, Mapping[type[Message], Lie]] = {
    "forges lists": {
        Neighbours: _ghosts_around,
        Leaving: _ghosts_around,
        Pong: _ghosts_before,
        Found: _ghosts_own,
        Closer: _ghosts_own,
        Reached: _ghosts_reached,
        Elsewhere: _ghosts_hold,
        Value: _ghosts_hold,
    },
    "owns everything": {
        Found: _i_own,
        Closer: _i_own,
        Reached: _i_was_reached,
        Neighbours: _i_am_next,
        Elsewhere: _ask_me,
    },
    "names itself": {
        Neighbours: _me_around,
        Leaving: _me_around,
        Pong: _me_before,
        Closer: _ask_me,
        Elsewhere: _ask_me,
        Value: _i_hold,
        Acknowledged: _i_hold,
    },
    "changes values": {Value: _wrong_value, Copies: _wrong_records, Replicate: _wrong_records},
    "holds nothing": {
        Refused: _done,
        Value: _nothing_held,
        Listing: _nothing_listed,
        Copies: _nothing_listed,
        Digest: _empty,
    },
    "says nothing": dict.fromkeys(MESSAGES.values(), _silence),
}
"""What is done to which messages in each way; all others are sent as they are."""
assert (*LIES, ANYHOW) == HOW
_WAYS = tuple(LIES.values())
