"""Carries out the commands of a story on a stage, and says in words what was seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NoReturn

import attrs

from chord_adapters._errors import ChordError
from chord_adapters._node import Node
from chord_adapters.memory import Network
from chord_adapters.testing._stage import LOOPBACK, PATIENCE, QUICK, Stage, is_settled
from chord_adapters.testing._story import Command, Story, StoryError
from chord_proto.config import Config
from chord_proto.identifiers import distance

MOST_BYTES = 64_000_000
"""Longest value that a story may ask for by ``size=``."""


class Player:
    """One performance of one story.  Its nodes leave when ``stack`` is closed."""

    def __init__(self, story: Story, stage: Stage, stack: AsyncExitStack, *, seed: int) -> None:
        self._story = story
        self._stage = stage
        self._stack = stack
        self._seed = seed
        self._config = QUICK
        self._callers: dict[str, Any] = {}
        """Nodes and clients by name, those that are gone too."""
        self._members: dict[str, Node] = {}
        self._keys: dict[str, tuple[int, bytes]] = {}
        """What was stored, by the story's name for it."""
        self._versions: dict[str, list[str]] = {}
        """The versions of each key, numbered in the order in which they were seen."""
        self._verbs: dict[str, Callable[[Command], Awaitable[list[str]]]] = {
            "config": self._set_config,
            "seed": self._say_seed,
            "ring": self._ring,
            "start": self._start,
            "leave": self._leave,
            "crash": self._crash,
            "client": self._client,
            "put": self._put,
            "get": self._get,
            "delete": self._delete,
            "store": self._store,
            "fetch": self._fetch,
            "owner": self._owner,
            "settle": self._settle,
            "locate": self._locate,
            "pointers": self._pointers,
            "advance": self._advance,
            "links": self._links,
            "partition": self._partition,
            "heal": self._heal,
        }

    async def perform(self, command: Command) -> list[str]:
        """Carry out one command and return what was seen; raises `StoryError` for one that makes no sense here."""
        try:
            return await self._verbs[command.verb](command)
        except ChordError as error:
            unknown = ", outcome unknown" if error.outcome_unknown else ""
            return [f"{type(error).__name__}{unknown}"]

    # Nodes come and go

    async def _set_config(self, command: Command) -> list[str]:
        for word in command.words:
            name, equals, value = word.partition("=")
            if not equals or name not in attrs.fields_dict(Config):
                self._wrong(command, f"Config has no field {name!r}")
            try:
                change: dict[str, Any] = {name: type(getattr(self._config, name))(value)}
                self._config = attrs.evolve(self._config, **change)
            except (ValueError, TypeError) as error:
                self._wrong(command, f"{word}: {error}")
        return ["ok"]

    async def _say_seed(self, command: Command) -> list[str]:
        return ["ok"]

    async def _ring(self, command: Command) -> list[str]:
        first, *others = command.words
        await self._open(command, first, [])
        for name in others:
            await self._open(command, name, [first])
        return await self._settle(command)

    async def _start(self, command: Command) -> list[str]:
        join = [name for name in command.options.get("join", "").split(",") if name]
        await self._open(command, command.words[0], join)
        return ["ready"]

    async def _open(self, command: Command, name: str, join: list[str]) -> None:
        before = self._callers.get(name)
        if name in self._members or (before is not None and not isinstance(before, Node)):
            self._wrong(command, f"there is a {name} already")
        if not (name.isascii() and name.isalnum() and name.islower() and name[0].isalpha()):
            self._wrong(command, f"a name has small letters and digits, and begins with a letter, unlike {name!r}")
        where = LOOPBACK if self._stage.net is None else f"{name}:1"
        node = await self._stack.enter_async_context(
            self._stage.open_node(
                where if before is None else before.address,
                join=[self._who(command, other).address for other in join],
                config=self._config,
                virtual_nodes=self._number(command, "virtual", 1),
                network=command.options.get("network", "chord"),
                seed=self._seed + len(self._callers),
            )
        )
        self._callers[name] = node
        await node.wait_ready(timeout=self._timeout(command) or PATIENCE)
        self._members[name] = node

    async def _leave(self, command: Command) -> list[str]:
        name = command.words[0]
        node = self._member(command, name)
        del self._members[name]
        await node.leave(drain="drain" in command.flags)
        return ["left"]

    async def _crash(self, command: Command) -> list[str]:
        name = command.words[0]
        node = self._member(command, name)
        del self._members[name]
        if "silent" in command.flags:
            self._net.crash(node.address, silent=True)
        else:
            node.abort()
        return ["crashed"]

    async def _client(self, command: Command) -> list[str]:
        name = command.words[0]
        if name in self._callers:
            self._wrong(command, f"there is a {name} already")
        if "at" not in command.options:
            self._wrong(command, "a client asks a node: client NAME at=NODE")
        address = self._who(command, command.options["at"]).address
        network = command.options.get("network", "chord")
        self._callers[name] = await self._stack.enter_async_context(
            self._stage.connect(address, network=network, config=self._config)
        )
        return ["ok"]

    # Records and blocks

    async def _put(self, command: Command) -> list[str]:
        who, key, value = self._value(command)
        try:
            done = await self._who(command, who).put(key, value, timeout=self._timeout(command))
        except ValueError as error:
            return [type(error).__name__]
        return [self._version(key, done.version, written=True)]

    async def _get(self, command: Command) -> list[str]:
        who, key = command.words
        entry = await self._who(command, who).get(key, timeout=self._timeout(command))
        if entry is None:
            return ["nothing"]
        return [f"{shown(entry.value)} ({self._version(key, entry.version)})"]

    async def _delete(self, command: Command) -> list[str]:
        who, key = command.words
        done = await self._who(command, who).delete(key, timeout=self._timeout(command))
        return [self._version(key, done.version, written=True)]

    async def _store(self, command: Command) -> list[str]:
        who, name, value = self._value(command)
        if name in self._keys:
            self._wrong(command, f"{name} was stored already")
        key = await self._who(command, who).store(value, timeout=self._timeout(command))
        self._keys[name] = key, value
        return [f"{key:040x}, {len(value)} bytes"]

    async def _fetch(self, command: Command) -> list[str]:
        who, name = command.words
        if name in self._keys:
            key, stored = self._keys[name]
        else:
            try:
                key, stored = int(name, 16), None
            except ValueError:
                self._wrong(command, f"{name} was not stored, and is no content key in hexadecimal")
        value = await self._who(command, who).fetch(key, timeout=self._timeout(command))
        if value is None:
            return ["nothing"]
        if value == stored:
            return [f"{len(value)} bytes, as stored"]
        return [f"{len(value)} bytes" + (", NOT as stored" if stored is not None else "")]

    def _version(self, key: str, version: str, *, written: bool = False) -> str:
        """Return the version by its number among those of the key, since versions tell the time."""
        known = self._versions.setdefault(key, [])
        if version not in known:
            known.append(version)
            late = [f", not later than version {n + 1}" for n, each in enumerate(known[:-1]) if each >= version]
            return f"version {len(known)}" + (late[-1] if late else "")
        number = known.index(version) + 1
        return f"version {number}" + (" again" if written else "")

    # The ring

    async def _settle(self, command: Command) -> list[str]:
        nodes = list(self._members.values())
        deadline = self._stage.now() + PATIENCE
        while not is_settled(nodes, self._config):
            if self._stage.now() >= deadline:
                return [f"NOT ideal within {PATIENCE:g} s", *(repr(node) for node in nodes)]
            await self._stage.sleep(0.01)
        return [f"ideal ring of {len(nodes)}"]

    async def _owner(self, command: Command) -> list[str]:
        key = command.words[0]
        said = {
            name: self._name((await node.locate(key, timeout=self._timeout(command))).address)
            for name, node in self._members.items()
        }
        owning = [name for name, node in self._members.items() if node.owns(key)]
        if len(owning) == 1 and set(said.values()) == set(owning):
            return [f"one owner, named by all {len(said)}"]
        return [f"owned by {' '.join(owning) or 'nobody'}", *(f"{name} names {who}" for name, who in said.items())]

    async def _locate(self, command: Command) -> list[str]:
        who, key = command.words
        return [self._name((await self._who(command, who).locate(key, timeout=self._timeout(command))).address)]

    async def _pointers(self, command: Command) -> list[str]:
        lines = []
        for name, node in sorted(self._members.items(), key=lambda item: distance(0, item[1].id, self._config.bits)):
            before = "-" if node.predecessor is None else self._name(node.predecessor.address)
            after = " ".join(self._name(peer.address) for peer in node.successors) or "-"
            lines.append(f"{before} < {name} < {after}")
        return lines

    def _name(self, address: str) -> str:
        names = [name for name, caller in self._callers.items() if caller.address == address]
        return names[0] if names else address

    # Time and faults

    async def _advance(self, command: Command) -> list[str]:
        try:
            seconds = float(command.words[0])
        except ValueError:
            self._wrong(command, f"{command.words[0]} is no number of seconds")
        await self._stage.sleep(seconds)
        return ["ok"]

    async def _links(self, command: Command) -> list[str]:
        try:
            shares: dict[str, Any] = {name: float(share) for name, share in command.options.items()}
            self._net.set_links(**shares)
        except ValueError as error:
            self._wrong(command, str(error))
        return ["ok"]

    async def _partition(self, command: Command) -> list[str]:
        groups: list[list[str]] = [[]]
        for word in command.words:
            if word == "/":
                groups.append([])
            else:
                groups[-1].append(self._who(command, word).address)
        self._net.partition(*groups)
        return ["ok"]

    async def _heal(self, command: Command) -> list[str]:
        self._net.heal()
        return ["ok"]

    # What commands say

    @property
    def _net(self) -> Network:
        assert self._stage.net is not None, "the command was checked to need virtual time"
        return self._stage.net

    def _wrong(self, command: Command, what: str) -> NoReturn:
        raise StoryError(f"{self._story.name}:{command.line}: {what}")

    def _who(self, command: Command, name: str) -> Any:
        if name not in self._callers:
            self._wrong(command, f"there is nobody called {name!r}; there are: {' '.join(self._callers) or 'none'}")
        return self._callers[name]

    def _member(self, command: Command, name: str) -> Node:
        if name not in self._members:
            self._wrong(command, f"no member is called {name!r}; there are: {' '.join(self._members) or 'none'}")
        return self._members[name]

    def _number(self, command: Command, option: str, default: int) -> int:
        text = command.options.get(option, str(default))
        if not (text.isascii() and text.isdecimal()):
            self._wrong(command, f"{option}={text} is no number")
        return int(text)

    def _timeout(self, command: Command) -> float | None:
        text = command.options.get("timeout")
        if text is None:
            return None
        try:
            seconds = float(text)
        except ValueError:
            self._wrong(command, f"timeout={text} is no number of seconds")
        if not 0 < seconds < 1000:
            self._wrong(command, f"timeout={text} is not from 0 to 1000 seconds")
        return seconds

    def _value(self, command: Command) -> tuple[str, str, bytes]:
        """Return the three words of a command whose third, a value, may be given by its size instead."""
        who, name, *said = command.words
        if bool(said) == ("size" in command.options):
            self._wrong(command, "a value is given either as a word or by size=")
        if said:
            return who, name, said[0].encode()
        size = self._number(command, "size", 0)
        if size > MOST_BYTES:
            self._wrong(command, f"size={size} is more than {MOST_BYTES} bytes")
        return who, name, made_up(size)


def made_up(size: int) -> bytes:
    """Return so many bytes, always the same, in which no block is like another."""
    return b"".join(number.to_bytes(8) for number in range(size // 8 + 1))[:size]


def shown(value: bytes) -> str:
    """Return a value as a line shows it: as text where that leaves no doubt, else as Python writes bytes."""
    if len(value) > 100:
        return f"{len(value)} bytes"
    text = value.decode(errors="replace")
    plain = value and "\N{REPLACEMENT CHARACTER}" not in text and text.isprintable() and text == text.strip()
    return text if plain and not text.startswith(("b'", 'b"')) else repr(value)
