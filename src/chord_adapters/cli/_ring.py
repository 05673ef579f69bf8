"""The whole ring from what its members say of themselves: walked, ordered, judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import anyio
import attrs
from anyio.abc import TaskGroup

from chord_adapters._errors import ChordError
from chord_adapters.cli._options import Asking
from chord_adapters.cli._output import hexadecimal, peer_fields, print_columns
from chord_proto.config import Config
from chord_proto.operations import Description
from chord_proto.peer import Peer

LONGEST_WALK = 9.0
"""Seconds; ``ring`` answers within 10 although members are silent."""
QUESTIONS = 32
"""Most members asked at once."""


@attrs.frozen
class Ring:
    """The members that answered, in order round the circle, and the places named by them that did not."""

    members: tuple[Description, ...]
    silent: tuple[Peer, ...] = ()

    @property
    def ideal(self) -> bool:
        """Whether every pointer is exact: each predecessor, each successor list in order and as long as it should be.

        How long lists should be is not told.  No shorter than the default, or than the longest that there is, or than
        the ring less oneself; with virtual nodes lists may run on past that.
        """
        order = [member.me for member in self.members]
        longest = max(len(member.successors) for member in self.members)
        least = min(len(order) - 1, max(1, min(Config().successors, longest)))
        return not self.silent and all(
            member.phase == "active"
            and member.predecessor == (order[at - 1] if len(order) > 1 else None)
            and least <= len(member.successors)
            and member.successors == tuple((order[at + 1 :] + order[:at])[: len(member.successors)])
            for at, member in enumerate(self.members)
        )

    def fields(self) -> dict[str, object]:
        """Return the ring as it stands in JSON."""
        members = [
            {
                **(peer_fields(member.me) or {}),
                "predecessor": peer_fields(member.predecessor),
                "successors": [peer_fields(peer) for peer in member.successors],
                "keys": member.keys,
            }
            for member in self.members
        ]
        return {"members": members, "ideal": self.ideal, "size": len(members)}

    def print(self) -> None:
        """Print a table for people."""
        rows: list[Sequence[object]] = [("ID", "ADDRESS", "PREDECESSOR", "SUCCESSORS", "KEYS")]
        for member in self.members:
            before = short(member.predecessor.id) if member.predecessor else "-"
            after = " ".join(short(peer.id) for peer in member.successors[:3])
            more = f" +{len(member.successors) - 3}" if len(member.successors) > 3 else ""
            rows.append((short(member.me.id), member.me.address, before, (after or "-") + more, member.keys))
        print_columns(rows)
        for peer in self.silent:
            print(f"{short(peer.id)}  {peer.address} does not answer")
        places = "1 place" if len(self.members) == 1 else f"{len(self.members)} places"
        print(f"{places}, {'ideal' if self.ideal else 'not ideal'}")


def short(place: int) -> str:
    """Return the first digits of a place, enough for a person to tell places apart."""
    return hexadecimal(place)[:10]


def ring_of(descriptions: Iterable[Description], silent: Iterable[Peer] = ()) -> Ring:
    """Return the ring that these members say they are."""
    members = sorted(descriptions, key=lambda description: description.me.id)
    return Ring(tuple(members), tuple(sorted(silent, key=lambda peer: peer.id)))


async def walk(asking: Asking) -> Ring:
    """Ask the node that was named, then whoever it names, and so on until everybody was asked or time is up.

    Raises what the first question raises; a member that does not answer is only noted.
    """
    from chord_adapters.asyncio import connect

    patience = min(asking.patience, LONGEST_WALK)
    until = anyio.current_time() + patience
    async with connect(asking.node, network=asking.network, tls=asking.tls) as client:
        first = await client.describe(timeout=patience)
    answered = {first.me: first}
    asked = {first.me}
    limiter = anyio.CapacityLimiter(QUESTIONS)

    async def question(peer: Peer, tasks: TaskGroup) -> None:
        async with limiter:
            left = until - anyio.current_time()
            with suppress(ChordError):
                async with connect(peer.address, network=asking.network, tls=asking.tls) as client:
                    answered[peer] = await client.describe(place=peer.id, timeout=max(left, 0.01))
                    follow(answered[peer], tasks)

    def follow(said: Description, tasks: TaskGroup) -> None:
        for peer in (said.predecessor, *said.successors):
            if peer is not None and peer not in asked:
                asked.add(peer)
                tasks.start_soon(question, peer, tasks)

    with anyio.CancelScope(deadline=until):
        async with anyio.create_task_group() as tasks:
            follow(first, tasks)
    return ring_of(answered.values(), asked - answered.keys())
