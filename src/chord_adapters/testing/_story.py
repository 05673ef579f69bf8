"""The text of a story: commands, and below a line ``----`` what was seen.  Read, checked and written, not run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

HEADER = "# chord story 1"
RULE = "----"
LONGEST = 1_000_000
"""Most characters of a story."""


class StoryError(ValueError):
    """A story is written wrongly; the message begins with the file and the line."""


@attrs.frozen
class Syntax:
    """How a command is written: ``words`` without brackets are required, ``[word]`` may be left out, ``word...`` repeats."""

    words: str
    options: tuple[str, ...] = ()
    """Named, as ``timeout=2``."""
    flags: tuple[str, ...] = ()
    """Said or not said."""
    virtual: bool = False
    """Only where time is virtual and addresses are chosen, since elsewhere what is seen differs each time."""

    def usage(self, verb: str) -> str:
        """Return the command as a reference shows it."""
        extra = [f"[{flag}]" for flag in self.flags] + [f"[{option}=…]" for option in self.options]
        return " ".join([verb, *self.words.split(), *extra])

    @property
    def least(self) -> int:
        """How many words must stand behind the verb."""
        return sum(not word.startswith("[") for word in self.words.split())

    def takes(self, count: int) -> bool:
        """Tell whether so many words may stand behind the verb."""
        return self.least <= count and (count <= len(self.words.split()) or self.words.endswith("..."))


VERBS: Mapping[str, Syntax] = {
    "config": Syntax("FIELD=VALUE..."),
    "seed": Syntax("NUMBER"),
    "ring": Syntax("NAME..."),
    "start": Syntax("NAME", ("join", "virtual", "network", "timeout")),
    "leave": Syntax("NAME", flags=("drain",)),
    "crash": Syntax("NAME", flags=("silent",)),
    "client": Syntax("NAME", ("at", "network")),
    "put": Syntax("WHO KEY [VALUE]", ("size", "timeout")),
    "get": Syntax("WHO KEY", ("timeout",)),
    "delete": Syntax("WHO KEY", ("timeout",)),
    "store": Syntax("WHO NAME [VALUE]", ("size", "timeout")),
    "fetch": Syntax("WHO NAME", ("timeout",)),
    "owner": Syntax("KEY", ("timeout",)),
    "settle": Syntax(""),
    "locate": Syntax("WHO KEY", ("timeout",), virtual=True),
    "pointers": Syntax("", virtual=True),
    "advance": Syntax("SECONDS", virtual=True),
    "links": Syntax("", ("loss", "duplicate", "reorder"), virtual=True),
    "partition": Syntax("NAMES...", virtual=True),
    "heal": Syntax("", virtual=True),
}


@attrs.frozen
class Command:
    """One command: its verb, the words behind it, its options by name, its flags, and the number of its line."""

    verb: str
    words: tuple[str, ...]
    options: Mapping[str, str]
    flags: frozenset[str]
    line: int

    @property
    def virtual(self) -> bool:
        """True when it can be carried out in virtual time only."""
        return VERBS[self.verb].virtual or "silent" in self.flags


@attrs.frozen
class Block:
    """Commands and what was seen; ``before`` are the lines above, comments and blank ones, and ``text`` the commands'."""

    before: tuple[str, ...]
    text: tuple[str, ...]
    commands: tuple[Command, ...]
    seen: tuple[str, ...]


@attrs.frozen
class Story:
    """A story that was read."""

    name: str
    blocks: tuple[Block, ...]
    after: tuple[str, ...]
    """Comments behind the last block."""

    @property
    def needs_virtual_time(self) -> Command | None:
        """The first command that can be carried out in virtual time only."""
        commands = (command for block in self.blocks for command in block.commands)
        return next((command for command in commands if command.virtual), None)

    def text(self, seen: Sequence[Sequence[str]] | None = None) -> str:
        """Return it as a file has it; ``seen`` says for each block what was seen instead."""
        lines: list[str] = []
        for number, block in enumerate(self.blocks):
            lines += [*block.before, *block.text, RULE, *(block.seen if seen is None else seen[number]), ""]
        if self.after:
            lines += self.after
        else:
            del lines[-1:]
        return "\n".join(lines) + "\n"


def read_story(path: str | Path) -> Story:
    """Read a file; raises `StoryError`, and `OSError` when it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StoryError(f"{path}:1: this is no UTF-8: {error}") from None
    return parse_story(text, name=str(path))


def parse_story(text: str, *, name: str = "story") -> Story:
    """Return the story that ``text`` is; ``name`` says in errors where it stands.  Raises `StoryError`."""
    lines = text.split("\n")
    if len(text) > LONGEST:
        raise StoryError(f"{name}:1: a story has at most {LONGEST} characters")
    if lines[0].rstrip() != HEADER:
        raise StoryError(f"{name}:1: the first line of a story is {HEADER!r}, not {lines[0][:60]!r}")
    blocks: list[Block] = []
    before: list[str] = []
    number = 0
    while number < len(lines):
        if not lines[number].strip() or lines[number].startswith("#"):
            before.append(lines[number].rstrip())
            number += 1
            continue
        end = number
        while end < len(lines) and lines[end].strip():
            end += 1
        blocks.append(_block(tuple(before), lines[number:end], number + 1, name))
        before, number = [], end + 1  # Without the blank line that ended it.
    while before and not before[-1]:
        before.pop()
    return Story(name, tuple(blocks), tuple(before))


def _block(before: tuple[str, ...], lines: list[str], first: int, name: str) -> Block:
    rule = lines.index(RULE) if RULE in lines else len(lines)
    if rule == 0:
        raise StoryError(f"{name}:{first}: there is no command above {RULE}")
    commands = [
        _command(line, first + offset, name) for offset, line in enumerate(lines[:rule]) if not line.startswith("#")
    ]
    return Block(before, tuple(lines[:rule]), tuple(commands), tuple(lines[rule + 1 :]))


def _command(text: str, line: int, name: str) -> Command:
    where = f"{name}:{line}"
    try:
        verb, *rest = shlex.split(text)
    except ValueError as error:
        raise StoryError(f"{where}: {str(error).lower()}: {text}") from None
    syntax = VERBS.get(verb)
    if syntax is None:
        raise StoryError(f"{where}: there is no command {verb!r}; there are: {' '.join(VERBS)}")
    words: list[str] = []
    options: dict[str, str] = {}
    flags: set[str] = set()
    for word in rest:
        option, equals, value = word.partition("=")
        if equals and option in syntax.options:
            if option in options:
                raise StoryError(f"{where}: {option}= is said twice")
            options[option] = value
        elif word in syntax.flags and len(words) >= syntax.least:
            flags.add(word)
        else:
            words.append(word)
    if not syntax.takes(len(words)):
        raise StoryError(f"{where}: {text.strip()!r} is not written {syntax.usage(verb)!r}")
    return Command(verb, tuple(words), options, frozenset(flags), line)
