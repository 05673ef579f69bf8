"""The simulated ring that the hunts use."""

from __future__ import annotations

from chord_adapters.testing import World
from chord_proto.config import Config


def ring(size: int, *, seed: int = 1, write_delay: float = 0.0, virtual_nodes: int = 1, **config: int) -> World:
    """Return an ideal ring of ``size`` addresses."""
    chosen = Config(**config)  # type: ignore[arg-type]
    return World(seed, chosen, size=size, virtual_nodes=virtual_nodes, write_delay=write_delay)
