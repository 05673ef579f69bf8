"""Many nodes in virtual time, in one process: a `Network` with latency, loss, partitions, crashes and restarts."""

from __future__ import annotations

from chord_adapters._memory_host import Handle, InFlight, Logged, Step
from chord_adapters._memory_network import Network, NotReached

__all__ = ["Handle", "InFlight", "Logged", "Network", "NotReached", "Step"]
