"""Where choices come from: a seed, a tape of an earlier run, Hypothesis, or one after the other until all were made.

Every choice is a number below a bound, and 0 is the dull one: nothing goes wrong, nothing is late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Protocol

import attrs

_FINE = 1 << 20
"""Into how many steps the numbers from 0 to 1 are divided that links draw."""


class TapeError(ValueError):
    """A tape was made by something else than what reads it; the message says where they part."""


class Choices(Protocol):
    """One stream of choices."""

    def pick(self, label: str, bound: int) -> int:
        """Return a number from 0 to ``bound`` - 1; ``label`` says what for."""


class Seeded:
    """Choices from a seed.  Each label has a stream of its own: one more choice of one kind changes no other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, Random] = {}

    def pick(self, label: str, bound: int) -> int:
        """Return a number drawn evenly."""
        stream = self._streams.get(label)
        if stream is None:
            # Seeded by a string: the same numbers in every process, whatever the hash seed.
            stream = self._streams[label] = Random(f"{self.seed}/{label}")
        return stream.randrange(bound)


@attrs.frozen
class Choice:
    """One choice that was made."""

    label: str
    bound: int
    value: int


class Taped:
    """Passes choices on and keeps them: the tape by which a run can be repeated."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self.tape: list[Choice] = []

    def pick(self, label: str, bound: int) -> int:
        """Return what the other one picks."""
        value = self._choices.pick(label, bound)
        self.tape.append(Choice(label, bound, value))
        return value


class Tape:
    """Choices of an earlier run; at the tape's end, the dull ones."""

    def __init__(self, tape: Iterable[Choice]) -> None:
        self._tape = tuple(tape)
        self._position = 0

    def pick(self, label: str, bound: int) -> int:
        """Return the next choice; raises `TapeError` when it was made for something else."""
        if self._position >= len(self._tape):
            return 0
        choice = self._tape[self._position]
        if (choice.label, choice.bound) != (label, bound):
            raise TapeError(f"choice {self._position}: {label} of {bound} is asked for, the tape has {choice}")
        self._position += 1
        return choice.value


class Drawn:
    """Choices by Hypothesis: ``draw`` is given the bound and returns a number below it."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw

    def pick(self, label: str, bound: int) -> int:
        """Return what Hypothesis draws."""
        return self._draw(bound) if bound > 1 else 0


class Deviations:
    """The dull choice always, but for some: pairs of how many dull ones come before, and the choice (modulo its bound).

    A history is then in order but for a few messages, and shrinks to "in order but for message 36".
    """

    def __init__(self, deviations: Iterable[tuple[int, int]]) -> None:
        self._left = list(deviations)
        self._dull = 0

    def pick(self, label: str, bound: int) -> int:
        """Return 0, or the next deviation when its turn has come."""
        if not self._left or self._dull < self._left[0][0]:
            self._dull += 1
            return 0
        self._dull = 0
        return self._left.pop(0)[1] % bound


def every_choice(limit: int) -> Iterator[Choices]:
    """Yield a stream for each way in which choices can be made, at most ``limit``; use each to the end, then go on."""
    path: list[Choice] = []
    for _ in range(limit):
        recorder = Taped(Tape(path))
        yield recorder
        path = recorder.tape
        while path and path[-1].value + 1 == path[-1].bound:
            path.pop()
        if not path:
            return
        last = path.pop()
        path.append(Choice(last.label, last.bound, last.value + 1))


def chance_of(choices: Choices) -> Callable[[], float]:
    """Return what links draw by: numbers from 0 to 1, the dull one being 1, by which nothing is ever lost."""
    return lambda: (_FINE - 1 - choices.pick("link", _FINE)) / _FINE
