"""A ring under churn in virtual time: what its upkeep costs, and how many lookups name an owner that is not there."""

from __future__ import annotations

from random import Random

import attrs

from chord_adapters.memory import Handle, Network
from chord_proto.config import Config
from chord_proto.operations import Locate, Located
from chord_proto.phase import Phase


@attrs.define
class Churned:
    """What came of some time under churn."""

    lookups: int = 0
    failed: int = 0
    """Those that ended without an owner, or named one that was down."""
    messages: int = 0
    """All that nodes sent, for whatever reason."""
    periods: list[float] = attrs.field(factory=list)
    """What `Context.interval` was at those that asked."""


class Churning:
    """A ring of ``size`` nodes, each of which dies without a word sooner or later and is replaced by a new one.

    It holds no records, and comparing ranges and probing for lost parts are made rare: what is measured is the upkeep of
    pointers.  Everything follows from the seed.
    """

    def __init__(
        self, size: int, seed: int, *, period: float, longest: float | None = None, routing: str = "iterative"
    ) -> None:
        config = Config(
            routing=routing,  # type: ignore[arg-type]
            peer_cache=routing == "iterative",
            stabilize_interval=period,
            stabilize_interval_max=longest,
            finger_interval=2 * period,
            repair_interval=600.0,
            probe_interval=300.0,
            probe_interval_max=300.0,
        )
        self.net = Network(seed, config=config, latency=(0.02, 0.08))
        self._size = size
        self._draw = Random(f"{seed}/churn")
        self._spawned = 0
        for _ in range(size):
            self._join()
            self.net.run_for(0.5)
        self.net.run_until(lambda: len(self._members()) == size, within=120.0, every=0.5)

    def _members(self) -> list[str]:
        return [node.me.address for node in self.net.nodes if node.phase is Phase.ACTIVE]

    def _join(self) -> None:
        members = self._members()
        contacts = self._draw.sample(members, min(3, len(members)))
        self.net.spawn(f"n{self._spawned}", join=contacts)
        self._spawned += 1

    def run(self, seconds: float, *, lifetime: float, every: float) -> Churned:
        """Let time pass in which nodes live for ``lifetime`` in the mean; somebody looks a place up ``every`` so many seconds."""
        net, draw, came = self.net, self._draw, Churned()
        until, sent = net.now + seconds, net.counts["sent"]
        death, lookup = (net.now + draw.expovariate(1.0 / mean) for mean in (lifetime / self._size, every))
        under_way: list[Handle] = []
        while min(death, lookup) < until:
            net.run_for(min(death, lookup) - net.now)
            if death < lookup:
                net.crash(draw.choice(self._members()), silent=True)
                self._join()
                death += draw.expovariate(self._size / lifetime)
            else:
                asker = draw.choice(self._members())
                came.periods.append(net.node(asker).ctx.interval)
                under_way.append(net.perform(asker, Locate(draw.getrandbits(net.config.bits))))
                lookup += draw.expovariate(1.0 / every)
            under_way = [handle for handle in under_way if not self._judged(handle, came)]
        net.run_for(until - net.now)
        came.messages = net.counts["sent"] - sent
        return came

    def _judged(self, handle: Handle, came: Churned) -> bool:
        """Tell whether a lookup has ended, and count it, unless it was its asker that died."""
        if handle.result is None:
            return False
        if handle.address in self.net.addresses:
            came.lookups += 1
            found = handle.result
            came.failed += not isinstance(found, Located) or found.owner.address not in self.net.addresses
        return True
