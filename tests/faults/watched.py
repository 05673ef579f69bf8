"""The simulated ring that the hunts use: it names what was waited for in vain, and checks three things more (D3, D7, D11).

The one place where the hunts take the simulation from.
"""

from __future__ import annotations

from chord_adapters.memory import Handle, Step
from chord_proto.config import Config
from chord_proto.effects import Send, Write
from chord_proto.messages import Acknowledged
from chord_proto.operations import Failed, Operation, Put
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from tests.sim.world import LIGHTHOUSE, World

__all__ = ["LIGHTHOUSE", "Watched", "ring"]


class Watched(World):
    """A ring under the eyes of the overseer and of the ledger."""

    def __init__(
        self, seed: int, config: Config, *, size: int, virtual_nodes: int = 1, write_delay: float = 0.0
    ) -> None:
        super().__init__(seed, config, size=size, virtual_nodes=virtual_nodes, write_delay=write_delay)
        self.puts: list[Handle] = []
        self.net.watch = self._watch

    def _watch(self, step: Step) -> None:
        self.overseer(step)
        for effect in step.effects:
            if isinstance(effect, Send) and isinstance(effect.message, Acknowledged):
                self._check_named(effect.message)
            elif isinstance(effect, Write):
                self._check_write(step.node.me, effect)

    def _check_named(self, message: Acknowledged) -> None:
        """D3: whoever an acknowledgement names has that version on disk, or a newer one of something."""
        for peer in message.acked:
            if peer in self.members():
                durable = [record.version for record in self.net.disk(peer.address, peer.index).values()]
                assert message.version <= max(durable, default=""), (
                    f"D3: {peer.address} is named for {message.version}, which is not durable there"
                )

    def _check_write(self, me: Peer, write: Write) -> None:
        """D7: a node's version of a name never goes back."""
        disk = self.net.disk(me.address, me.index)
        for item in write.changes:
            kept = disk.get((item.space, item.name))
            assert kept is None or kept.version <= item.version, (
                f"D7: {me.address} has {kept.version} of {item.name!r} and writes {item.version}"
            )

    def perform(self, address: str, operation: Operation) -> Handle:
        """Start an operation of a client at a node."""
        handle = super().perform(address, operation)
        if isinstance(operation, Put):
            self.puts.append(handle)
        return handle

    def settle(self) -> None:
        """End all faults, wait, and judge; then nothing that is said to have failed may be there (D11)."""
        super().settle()
        held = {record.value for node in self.net.nodes for record in self.net.disk(*_place(node.me)).values()}
        for handle in self.puts:
            result, operation = handle.result, handle.operation
            if isinstance(result, Failed) and not result.outcome_unknown and isinstance(operation, Put):
                assert operation.value not in held, f"D11: {operation} failed, {result}, and its value is there"

    def why_not_ideal(self) -> str | None:
        """Say what keeps the ring from being ideal (L1), or who has not joined (L3)."""
        reason = super().why_not_ideal()
        if reason is not None:
            return f"L1: {reason}"
        joining = [node.me.address for node in self.net.nodes if node.phase is Phase.JOINING]
        return f"L3: {joining} do not become members" if joining else None

    def _who_is_not_ready(self) -> object:
        return f"S18: nobody serves some arcs: {super()._who_is_not_ready()}"

    def _what_is_out_of_place(self) -> object:
        return f"D4: {super()._what_is_out_of_place()}"


def _place(me: Peer) -> tuple[str, int]:
    return me.address, me.index


def ring(size: int, *, seed: int = 1, write_delay: float = 0.0, virtual_nodes: int = 1, **config: int) -> Watched:
    """Return an ideal ring of ``size`` addresses."""
    chosen = Config(**config)  # type: ignore[arg-type]
    return Watched(seed, chosen, size=size, virtual_nodes=virtual_nodes, write_delay=write_delay)
