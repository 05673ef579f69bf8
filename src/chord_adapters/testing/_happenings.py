"""What can happen to a world, as data: a kind and a few numbers, and what each kind does.

Numbers that name a node count among those that are up (or down) at that moment, modulo how many there are, so that a
happening makes sense in whatever is left of a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import attrs

from chord_adapters.memory import Handle
from chord_adapters.testing._choices import Choices
from chord_adapters.testing._lying import HOW
from chord_adapters.testing._trace import TraceError
from chord_adapters.testing._world import LIGHTHOUSE, World
from chord_proto.identifiers import content_key
from chord_proto.operations import ALL, MAJORITY, Delete, Fetch, Get, Locate, Operation, Put, Store

MOST_UP = 7
"""Processes that may be up at once."""
WHO = tuple(range(64))
KEYS = (b"", b"a", b"b", "schlüssel".encode())
BLOCKS = tuple(b"block %d" % number for number in range(4))
_PERMILLE = 1000.0
_CLIENTS_WITHIN = 10.0
"""Virtual seconds after which clients give up: while nobody answers, an operation takes all its time."""


@attrs.frozen
class Kind:
    """One kind of happening: for each of its numbers the values that it may have, and what it does.

    The first value is the dull one.
    """

    numbers: Mapping[str, tuple[int, ...]]
    do: Callable[..., None]
    when: Callable[[World], object]
    """Whether it makes sense at this moment; if not, nothing happens."""


KINDS: dict[str, Kind] = {}


@attrs.frozen
class Event:
    """One happening."""

    kind: str
    numbers: Mapping[str, int]

    def __str__(self) -> str:
        """Return the line of a trace."""
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.numbers.items())])

    @classmethod
    def parse(cls, line: str) -> Event:
        """Return what a line of a trace says; raises `TraceError`."""
        kind, *words = line.split()
        if kind not in KINDS:
            raise TraceError(f"nothing is called {kind!r}; there are {', '.join(KINDS)}")
        given = dict(word.partition("=")[::2] for word in words)
        wanted = KINDS[kind].numbers
        try:
            numbers = {name: int(given.pop(name, wanted[name][0])) for name in wanted}
        except ValueError as error:
            raise TraceError(f"{line!r}: {error}") from error
        if given:
            raise TraceError(f"{line!r}: {kind} has no {', '.join(given)}")
        wrong = [name for name, value in numbers.items() if not min(wanted[name]) <= value <= max(wanted[name])]
        if wrong:
            raise TraceError(f"{line!r}: {wrong[0]} lies between {min(wanted[wrong[0]])} and {max(wanted[wrong[0]])}")
        return cls(kind, numbers)

    @classmethod
    def draw(cls, choices: Choices, kind: str) -> Event:
        """Draw the numbers of a happening."""
        wanted = KINDS[kind].numbers
        return cls(kind, {name: values[choices.pick(f"{kind} {name}", len(values))] for name, values in wanted.items()})

    def happen(self, world: World) -> None:
        """Do it, if it makes sense now."""
        kind = KINDS[self.kind]
        if kind.when(world):
            usual = {name: values[0] for name, values in kind.numbers.items()}
            kind.do(world, **{**usual, **self.numbers})
        world.collect()


def _always(world: World) -> object:
    return True


def _some_up(world: World) -> object:
    return world.up


def _some_down(world: World) -> object:
    return world.net.down


def _room(world: World) -> object:
    return world.up and len(world.net.addresses) < MOST_UP


def happening(
    when: Callable[[World], object] = _some_up, **numbers: tuple[int, ...]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a kind of happening, by its name; ``when`` says whether it makes sense."""

    def register(do: Callable[..., None]) -> Callable[..., None]:
        KINDS[do.__name__] = Kind(numbers, do, when)
        return do

    return register


NO_YES = (0, 1)


def _up(world: World, who: int) -> str:
    return world.up[who % len(world.up)]


def _did(world: World, kind: str) -> None:
    world.overseer.seen[f"did: {kind}"] += 1


# Nodes


@happening(via=WHO, when=_room)
def join(world: World, via: int) -> None:
    """A new node joins."""
    _did(world, "join")
    world.join([_up(world, via), LIGHTHOUSE])


@happening(who=WHO)
def leave(world: World, who: int) -> None:
    """A node leaves gracefully."""
    _did(world, "leave")
    world.leave(_up(world, who))


@happening(who=WHO, silent=NO_YES)
def crash(world: World, who: int, silent: int) -> None:
    """A process is killed, or a machine loses its power."""
    _did(world, "crash, silent" if silent else "crash")
    world.crash(_up(world, who), silent=bool(silent))


@happening(who=WHO, via=WHO, disk=(2, 1, 0), speaks=(0, 1, 2), when=_some_down)
def restart(world: World, who: int, via: int, disk: int, speaks: int) -> None:
    """A node that crashed or left comes back: with its disk (2), with a torn one (1), or without (0).

    In a world of two wire versions it then speaks one (1), both (2), or what it did before (0).
    """
    down = world.net.down
    address = down[who % len(down)]
    if address == LIGHTHOUSE:
        contacts = [peer.address for peer in world.members()]
    else:
        contacts = [*([world.up[via % len(world.up)]] if world.up else []), LIGHTHOUSE]
    _did(world, ("restart without its disk", "restart with a torn disk", "restart")[disk])
    world.restart(address, disk=bool(disk), torn=disk == 1, via=contacts, speaks=speaks)


@happening(who=WHO, ms=(300, 2_000, 20_000))
def pause(world: World, who: int, ms: int) -> None:
    """A process sleeps."""
    _did(world, "pause")
    world.pause(_up(world, who), ms / _PERMILLE)


@happening(who=WHO, ms=(50, 400, 2_000))
def slow_disk(world: World, who: int, ms: int) -> None:
    """Writes of a node take long."""
    _did(world, "slow disk")
    world.slow_disk(_up(world, who), ms / _PERMILLE)


@happening(who=WHO, ms=(-2_000, 2_000, -60_000, 60_000))
def clock(world: World, who: int, ms: int) -> None:
    """Somebody sets a civil clock."""
    _did(world, "clock")
    world.set_clock(_up(world, who), ms / _PERMILLE)


@happening(who=WHO, permille=(1_001, 950, 1_050))
def drift(world: World, who: int, permille: int) -> None:
    """The clocks of a node run fast or slowly."""
    _did(world, "drift")
    world.drift(_up(world, who), permille / _PERMILLE)


@happening(who=WHO, how=tuple(range(len(HOW))), permille=(1_000, 300), ms=(500, 5_000, 30_000))
def lie(world: World, who: int, how: int, permille: int, ms: int) -> None:
    """A host lies for a while in a share of what it sends."""
    _did(world, "lie")
    _did(world, HOW[how])
    world.lie(_up(world, who), HOW[how], ms / _PERMILLE, share=permille / _PERMILLE)


# The network


@happening(side=tuple(range(1, 2**MOST_UP - 1)), oneway=NO_YES)
def partition(world: World, side: int, oneway: int) -> None:
    """Two groups no longer reach each other, or one no longer reaches the other."""
    _did(world, "partition, one way" if oneway else "partition")
    groups = [[address for i, address in enumerate(world.net.addresses) if side >> i & 1 == bit] for bit in (0, 1)]
    world.partition(*groups, oneway=bool(oneway))


@happening(a=WHO, b=WHO, oneway=NO_YES)
def cut(world: World, a: int, b: int, oneway: int) -> None:
    """Two nodes no longer reach each other though others reach both."""
    first, second = _up(world, a), _up(world, b)
    if first != second:
        _did(world, "cut, one way" if oneway else "cut")
        world.cut(first, second, oneway=bool(oneway))


@happening(when=_always)
def heal(world: World) -> None:
    """Everybody reaches everybody again."""
    world.net.heal()


@happening(
    when=_always,
    loss=(0, 100, 300),
    duplicate=(0, 200),
    reorder=(0, 500),
    corrupt=(0, 0, 0, 50),
    slowest=(5, 5, 100, 1_500),
)
def weather(world: World, loss: int, duplicate: int, reorder: int, corrupt: int, slowest: int) -> None:
    """Links get worse, or better: shares in thousandths, the longest time that a message takes in milliseconds."""
    shares = {"loss": loss, "duplicate": duplicate, "reorder": reorder, "corrupt": corrupt}
    for name, share in shares.items():
        if share:
            _did(world, name)
    if slowest > 5:
        _did(world, "delay")
    world.weather(**{name: share / _PERMILLE for name, share in shares.items()}, slowest=slowest / _PERMILLE)


@happening(when=_always)
def calm(world: World) -> None:
    """Faults pause, so that Zave's assumptions may come true again, and operations be in one order."""
    before = world.ledger.history.steady
    world.steady()
    if world.ledger.history.steady and not before:
        _did(world, "steady again")


@happening(when=_always, ms=(2, 10, 100, 500, 3_000, 20_000))
def advance(world: World, ms: int) -> None:
    """Time passes."""
    world.net.run_for(ms / _PERMILLE)


# Clients


@happening(
    who=WHO,
    key=tuple(range(len(KEYS))),
    size=(0, 1, 300),
    count=(1, 1, 1, 8),
    ttl=(0, 0, 0, 2_000),
    quorum=(MAJORITY, MAJORITY, 1, ALL),
    condition=(0, 0, 1, 2),
)
def put(world: World, who: int, key: int, size: int, count: int, ttl: int, quorum: int, condition: int) -> None:
    """Somebody writes a record, or several do so at the same time.

    For ``ttl`` milliseconds (0: for ever); if there is none (1), or if it has the version that was written last (2).
    """
    name = KEYS[key]
    newest = world.ledger.newest(name)
    if condition and (condition == 1 or newest is not None):
        _did(world, "conditional put")
    if ttl:
        _did(world, "put with a ttl")
    for turn in range(count):
        world.values += 1
        value = b"%d" % world.values + b"x" * size
        world.perform(_up(world, who + turn), Put(name, value, ttl, (None, "", newest)[condition], quorum))


@happening(who=WHO, key=tuple(range(len(KEYS))), count=(1, 1, 1, 8), quorum=(1, 1, MAJORITY, ALL))
def get(world: World, who: int, key: int, count: int, quorum: int) -> None:
    """Somebody reads a record, or several do."""
    if quorum != 1:
        _did(world, "read of several")
    for turn in range(count):
        world.perform(_up(world, who + turn), Get(KEYS[key], quorum))


@happening(who=WHO, key=tuple(range(len(KEYS))))
def delete(world: World, who: int, key: int) -> None:
    """Somebody deletes a record."""
    world.perform(_up(world, who), Delete(KEYS[key]))


@happening(who=WHO, count=(2, 4), each=(4, 12), wait=(0, 50), draw=tuple(range(1 << 16)))
def clients(world: World, who: int, count: int, each: int, wait: int, draw: int) -> None:
    """Several clients do ``each`` operations, one after the other, each of a majority, ``wait`` milliseconds between."""
    _did(world, "clients")
    chance = Random(draw)
    left, handles = [each] * count, list[Handle | None](None for _ in range(count))
    until = world.net.now + _CLIENTS_WITHIN
    while any(left) and world.up and world.net.now < until:
        for lane in range(count):
            handle = handles[lane]
            if left[lane] and world.up and (handle is None or handle.done):
                left[lane] -= 1
                handles[lane] = world.perform(_up(world, who + lane), _drawn(world, chance))
        world.net.run_for((1 + wait) / _PERMILLE)


def _drawn(world: World, chance: Random) -> Operation:
    name = chance.choice(KEYS)
    kind = chance.choice("ppgggd")
    if kind == "p":
        world.values += 1
        return Put(name, b"%d" % world.values)
    return Get(name, MAJORITY) if kind == "g" else Delete(name)


@happening(who=WHO, block=tuple(range(len(BLOCKS))))
def store(world: World, who: int, block: int) -> None:
    """Somebody stores a block."""
    world.perform(_up(world, who), Store(BLOCKS[block]))


@happening(who=WHO, block=tuple(range(len(BLOCKS))))
def fetch(world: World, who: int, block: int) -> None:
    """Somebody fetches a block."""
    world.perform(_up(world, who), Fetch(content_key(BLOCKS[block])))


@happening(who=WHO, place=tuple(range(2**16)))
def locate(world: World, who: int, place: int) -> None:
    """Somebody asks for an owner."""
    world.perform(_up(world, who), Locate(place << world.config.bits - 16))
