"""The driver of nodes that outlive their process: writes go to a storage, and a new life goes on from what it holds."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from chord_adapters._driver import Driver
from chord_adapters._keeper import Keeper
from chord_adapters._links import Standing
from chord_adapters._recording import Recorder
from chord_adapters._runtime import Runtime
from chord_adapters.storage import Saved
from chord_proto.config import Config
from chord_proto.effects import Effect, OutdatedDropped, Write, WriteId
from chord_proto.messages import Answer, Message, Pong, Refused
from chord_proto.node import Node
from chord_proto.peer import Address
from chord_proto.phase import Phase

ALONE_AFTER = 2.0
"""Seconds without a word of a member after which a node that was one before becomes a ring of its own."""
ALONE_SPREAD = 3.0
"""By up to so much nodes differ in that: of several that begin at once the first is one that the others can join by."""

_log = logging.getLogger("chord_adapters")


class KeptDriver(Driver):
    """Hosts the nodes of one address, whose records and neighbours are kept.

    A node joins by those that it was told of and by those that it knew.  If it has been a member before and finds none
    now, it becomes a ring of its own, with what it holds, and merges with others when it meets them (chord.md section
    4): after a power cut of everything each would wait for another otherwise.
    """

    keeper: Keeper

    def __init__(
        self,
        keeper: Keeper,
        runtime: Runtime,
        address: Address,
        *,
        config: Config,
        network: str,
        virtual_nodes: int,
        contacts: Sequence[Address],
        seed: int,
        recorder: Recorder | None = None,
    ) -> None:
        self.keeper = keeper
        saved = keeper.saved
        super().__init__(
            runtime,
            address,
            config=config,
            network=network,
            virtual_nodes=virtual_nodes,
            contacts=contacts,
            seed=seed,
            recorder=recorder,
            remembered=[peer for peer in saved.peers if peer != address],
            incarnation=saved.incarnation,
            records=keeper.take_records,
            life={"width": saved.width, "founded": saved.founded, "away": _away(saved, runtime)},
        )
        self._patience = ALONE_AFTER + ALONE_SPREAD * (seed % 1000) / 1000
        self._alone_at: float | None = None
        """When it stops waiting for others."""

    # Membership

    def _start(self) -> None:
        super()._start()
        if self.contacts and self.keeper.saved.was_member:
            self._alone_at = self._now + self._patience

    def _receive(self, message: Message, sender: Address) -> None:
        if self._alone_at is not None:
            if self._is_member():
                self._alone_at = None
            elif isinstance(message, Answer) and not isinstance(message, Refused | Pong):
                self._alone_at = self.runtime.now() + self._patience  # There is a member, and joining goes on.
        super()._receive(message, sender)

    def _go_alone(self) -> None:
        self._alone_at = None
        refused = any(self.links.contact(address).standing is Standing.REFUSED for address in self._told)
        if refused or any(node.phase is not Phase.JOINING for node in self.nodes):
            return
        first, *others = self.nodes
        for node in self.nodes:
            self._carry_out(node, node.cancel(self._joining[node.me.index], now=self._now))
        # It keeps the contacts that it was to join by, and probes them for a ring to merge with.
        self._carry_out(first, first.create(now=self._now))
        for node in others:
            self._join(node, (self.address,))

    def _tick(self, now: float) -> None:
        super()._tick(now)
        if self._alone_at is not None and self._alone_at <= now:
            self._go_alone()

    def _deadline(self) -> float | None:
        earliest = super()._deadline()
        if self._alone_at is not None and (earliest is None or self._alone_at < earliest):
            return self._alone_at
        return earliest

    # Durability

    def _is_durable(self, node: Node, write: Write) -> bool:
        self.keeper.keep(node.me.index, write)
        return False

    def _settled(self, now: float) -> None:
        batch = self.keeper.next(now, self.runtime.civil, self._is_member, self._known, self._is_current)
        if batch is not None:
            self.runtime.persist(self.keeper.work(batch), self._persisted)
        super()._settled(now)

    def _persisted(self, error: Exception | None) -> None:
        if not self.is_over:
            self._safely(self._written, error)

    def _written(self, error: Exception | None) -> None:
        """Tell the nodes what has become durable; all of them, when nothing can any more."""
        now = self._enter()
        written = self.keeper.ended(error)
        if error is not None:
            self._report("the storage has failed, so that no more writes are taken; reads are served", error)
            for node in self.nodes:
                write = written.get(node.me.index, WriteId(0))
                self._carry_out(node, node.write_failed(write, now=now))
            return
        for index, write in written.items():
            self._carry_out(self.nodes[index], self.nodes[index].written(write, now=now))

    def _is_member(self) -> bool:
        return any(node.phase in (Phase.ACTIVE, Phase.LEAVING) for node in self.nodes)

    def _is_current(self) -> bool:
        return self._is_member() and all(node.is_current for node in self.nodes)

    def _known(self) -> list[Address]:
        """Return the members to join by after a restart: neighbours first, then whom it talks to."""
        near = [peer.address for node in self.nodes for peer in (*node.successors, *node.predecessors)]
        talking = [link.name for link in self.links.outbound.values() if link.connection.established]
        return [address for address in dict.fromkeys((*near, *talking)) if address != self.address]

    def _report(self, what: str, error: Exception) -> None:
        _log.warning("%s: %s: %s", self.address, what, str(error) or type(error).__name__)

    def _notice(self, node: Node, event: Effect) -> None:
        if isinstance(event, OutdatedDropped):
            self.keeper.set_aside(event.records)
            _log.warning(
                "%s: away for longer than %s s while the ring lived on: %s records of then are set aside (keep_outdated)",
                self.address,
                node.config.grace_period,
                len(event.records),
            )
        super()._notice(node, event)

    # The end

    def end(self, why: str, cause: BaseException | None = None, *, politely: bool = False) -> None:
        """Stop; what waits is still written if ``politely``, and the storage is let go."""
        if not self.is_over:
            super().end(why, cause, politely=politely)
            self.keeper.close(self.runtime, flush=politely, report=self._report)


def _away(saved: Saved, runtime: Runtime) -> float:
    """Return how many seconds ago an earlier life last said that it ran; 0.0 if none did."""
    return max(0.0, runtime.civil() - saved.seen) if saved.seen else 0.0
