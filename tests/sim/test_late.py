"""Nothing arrives that was sent long ago: whoever asked has given it up, and has asked somebody else."""

from __future__ import annotations

import pytest

from chord_adapters.memory import current_time, sleep
from chord_adapters.testing import VirtualRing
from chord_proto.config import Config
from chord_proto.messages import Message, Request
from chord_proto.peer import Address

CUT = 6.0
"""Seconds: longer than a silent peer is asked, shorter than connections last on which a process says nothing."""


@pytest.mark.parametrize("begins", [0.0, 0.3, 0.7])
def test_nothing_arrives_late(begins: float) -> None:
    """What a cut has held back for as long as it takes to suspect somebody does not arrive when it heals."""
    ring = VirtualRing(4, seed=1)
    one, other = ring.nodes[:2]
    sent: dict[int, float] = {}
    late: list[float] = []
    send, receive = one._driver.links.send, other._driver.links._receive

    def sending(to: Address, message: Message, now: float) -> None:
        if to == other.address and isinstance(message, Request):
            sent[message.request] = now
        send(to, message, now)

    def receiving(message: Message, sender: Address) -> None:
        if isinstance(message, Request) and message.request in sent:
            late.append(current_time() - sent[message.request])
        receive(message, sender)

    one._driver.links.send = sending  # type: ignore[method-assign]
    other._driver.links._receive = receiving

    async def cut_and_heal() -> None:
        await sleep(begins)
        ring.net.partition(ring.addresses[:1])
        await sleep(CUT)
        ring.net.heal()
        await sleep(CUT)

    ring.run(cut_and_heal)
    ring.close()
    assert late
    assert max(late) < Config().shortest_suspicion + 0.25
