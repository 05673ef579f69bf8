"""A run as data: how a world begins, and what happens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from chord_adapters.testing._choices import Choices, Deviations
from chord_adapters.testing._happenings import KINDS, Event
from chord_adapters.testing._trace import Trace, TraceError
from chord_adapters.testing._world import World
from chord_proto.config import Config

MakeWorld = Callable[..., World]
"""Makes a world, with the arguments of `World`."""
_BOUNDS = {
    "size": (1, 64),
    "virtual_nodes": (1, 16),
    "write_ms": (0, 60_000),
    "successors": (1, 64),
    "versions": (0, 1),
    "recursive": (0, 1),
}
"""A trace from elsewhere may say anything."""
_OFTEN = ("advance", "advance", "advance", "put", "get")
"""What happens in every plan, beside the kinds that it draws."""


@attrs.frozen(kw_only=True)
class Setup:
    """How a world begins: ``size`` processes of ``virtual_nodes`` nodes each, an ideal ring."""

    seed: int = 0
    size: int = 4
    successors: int = 2
    replicas: int = 3
    bits: int = 160
    virtual_nodes: int = 1
    write_ms: int = 0
    """Milliseconds that a write takes."""
    versions: int = 0
    """1: every second host speaks the next wire version, too."""
    recursive: int = 0
    """1: lookups are recursive, and go by fingers and neighbours alone."""
    deviations: tuple[tuple[int, int], ...] | None = None
    """None: the links choose by the seed.  Else messages arrive in order after equal times, but for these: pairs of
    how many choices before are dull, and what is chosen."""

    def __attrs_post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} lies between {least} and {most}, it is not {getattr(self, name)}")

    def world(self, make: MakeWorld = World) -> World:
        """Return the world."""
        r = self.successors
        return make(
            self.seed,
            Config(
                bits=self.bits,
                successors=r,
                predecessors=r,
                replicas=self.replicas,
                routing="recursive" if self.recursive else "iterative",
                peer_cache=not self.recursive,
            ),
            size=self.size,
            virtual_nodes=self.virtual_nodes,
            write_delay=self.write_ms / 1000,
            versions=self.versions,
            choices=None if self.deviations is None else Deviations(self.deviations),
        )

    def but(self, name: str, value: int) -> Setup:
        """Return the same with another number."""
        changes: dict[str, Any] = {name: value}
        return attrs.evolve(self, **changes)

    def deviating(self, deviations: tuple[tuple[int, int], ...]) -> Setup:
        """Return the same with messages in order but for these choices."""
        return attrs.evolve(self, deviations=deviations)

    def settings(self) -> dict[str, str]:
        """Return the second line of a trace."""
        told = {name: str(value) for name, value in attrs.asdict(self, recurse=False).items() if name != "deviations"}
        if self.deviations is not None:
            told["deviations"] = ",".join(f"{gap}:{value}" for gap, value in self.deviations) or "none"
        return told

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Setup:
        """Return what a trace tells; raises `TraceError`."""
        numbers = dict(settings)
        told = numbers.pop("deviations", None)
        try:
            deviations = None if told is None else tuple(_pair(pair) for pair in told.split(",") if pair != "none")
            return cls(**{name: int(value) for name, value in numbers.items()}, deviations=deviations)
        except (TypeError, ValueError) as error:
            raise TraceError(f"line 2: {error}") from error

    @classmethod
    def draw(cls, choices: Choices) -> Setup:
        """Draw one: rings of one, of r, of r + 1 and more; short and long lists; circles small and large."""
        r = 1 + choices.pick("r", 4)
        seed = choices.pick("seed", 1 << 32)
        return cls(
            seed=seed,
            size=(1, r, r + 1, r + 3)[choices.pick("size", 4)],
            successors=r,
            replicas=(3, 3, 2, 1)[choices.pick("replicas", 4)],
            bits=(160, 16)[choices.pick("bits", 2)],
            virtual_nodes=(1, 1, 2)[choices.pick("virtual nodes", 3)],
            write_ms=(0, 20)[choices.pick("write", 2)],
            versions=(0, 0, 0, 1)[choices.pick("versions", 4)],
            recursive=int(seed % 4 == 3),
        )


def _pair(text: str) -> tuple[int, int]:
    gap, _, value = text.partition(":")
    return int(gap), int(value)


@attrs.frozen
class Plan:
    """How a world begins and what happens then.  Afterwards it becomes quiet."""

    setup: Setup
    events: tuple[Event, ...]

    @classmethod
    def draw(cls, choices: Choices, steps: int) -> Plan:
        """Draw a plan of up to ``steps`` happenings: short ones meet the beginnings, long ones what comes of them.

        Each leaves some kinds of faults out, so that others meet more often.
        """
        setup = Setup.draw(choices)
        kinds = [kind for kind in KINDS if choices.pick(f"use {kind}", 2)]
        kinds += _OFTEN
        drawn = [kinds[choices.pick("kind", len(kinds))] for _ in range(1 + choices.pick("steps", steps))]
        return cls(setup, tuple(Event.draw(choices, kind) for kind in drawn))

    def run(self, make: MakeWorld = World, *, then: Callable[[World], None] = World.settle) -> World:
        """Carry it out, become quiet, and return the world; raises `Broken` with what does not hold."""
        world = self.setup.world(make)
        for event in self.events:
            event.happen(world)
        then(world)
        return world

    def trace(self, verdict: str | None = None) -> Trace:
        """Return it as text."""
        return Trace(
            kind="simulate",
            settings=self.setup.settings(),
            steps=tuple(map(str, self.events)),
            verdict=verdict,
        )

    @classmethod
    def of(cls, trace: Trace) -> Plan:
        """Return the plan that a trace tells; raises `TraceError`."""
        if trace.kind != "simulate":
            raise TraceError(f"a trace of {trace.kind}, not of simulate")
        return cls(Setup.of(trace.settings), tuple(map(Event.parse, trace.steps)))
