"""What a figure says: what each contestant reached, and what of that was to be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

CHORD, ECHO = "this project", "bare echo"
COLUMNS: Mapping[str, tuple[str, str]] = {
    "rate_per_s": ("rate", "{:,.0f}/s"),
    "mb_per_s": ("rate", "{:,.0f} MB/s"),
    "cpu_us": ("CPU each", "{:,.1f} µs"),
    "cpu_ms_per_mb": ("CPU a MB", "{:,.2f} ms"),
    "median_ms": ("median", "{:,.3f} ms"),
    "p99_ms": ("p99", "{:,.2f} ms"),
    "slowest_ms": ("slowest", "{:,.0f} ms"),
    "seconds": ("took", "{:,.2f} s"),
    "readable": ("readable", "{:.1%}"),
    "cpu_share": ("of a core a node", "{:.3%}"),
    "messages_per_s": ("messages a node", "{:,.1f}/s"),
    "rss_mb": ("memory a process", "{:,.1f} MB"),
}
"""The quantities that there are: the name in JSON, the heading of the column, how it is written."""


@attrs.frozen
class Line:
    """What one contestant reached: quantities of `COLUMNS`, or in words why there are none."""

    who: str
    values: Mapping[str, float] = attrs.field(factory=dict)
    note: str = ""


@attrs.frozen
class Goal:
    """Something that was to be reached; ``reached`` None where nothing of it could be measured.

    Not ``judged``: it was measured on too little to say whether it was reached.
    """

    what: str
    reached: float | None
    wanted: float
    at_least: bool = True
    shown: str = "{:.2f}"
    judged: bool = True

    @property
    def met(self) -> bool | None:
        """Whether it was reached, None where that cannot be said."""
        if self.reached is None or not self.judged:
            return None
        return self.reached >= self.wanted if self.at_least else self.reached <= self.wanted

    def __str__(self) -> str:
        wanted = f"{'at least' if self.at_least else 'at most'} {self.shown.format(self.wanted)}"
        if self.reached is None:
            return f"{self.what}: not measured (to reach: {wanted})"
        verdict = ": reached" if self.met else ": MISSED" if self.judged else ""
        return f"{self.what}: {self.shown.format(self.reached)} (to reach: {wanted}){verdict}"

    def fields(self) -> dict[str, object]:
        """Return it as it stands in JSON."""
        limit = "at_least" if self.at_least else "at_most"
        return {"what": self.what, "reached": self.reached, limit: self.wanted, "met": self.met, "words": str(self)}


@attrs.frozen
class Outcome:
    """A figure that was measured."""

    title: str
    lines: tuple[Line, ...]
    goals: tuple[Goal, ...] = ()

    def rows(self) -> list[Sequence[str]]:
        """Return the table of all lines, with its heading."""
        columns = [name for name in COLUMNS if any(name in line.values for line in self.lines)]
        rows: list[Sequence[str]] = [("", *(COLUMNS[name][0] for name in columns), "")]
        for line in self.lines:
            cells = [COLUMNS[name][1].format(line.values[name]) if name in line.values else "" for name in columns]
            rows.append((line.who, *cells, line.note))
        return rows

    def unjudged(self) -> Outcome:
        """Return the same without a word on what was reached of the goals."""
        return attrs.evolve(self, goals=tuple(attrs.evolve(goal, judged=False) for goal in self.goals))

    def fields(self) -> dict[str, object]:
        """Return it as it stands in JSON."""
        lines = [{"who": line.who, **line.values, **({"note": line.note} if line.note else {})} for line in self.lines]
        return {"title": self.title, "lines": lines, "goals": [goal.fields() for goal in self.goals]}


def _silent(_: str) -> None:
    """Tell nobody."""


@attrs.frozen
class Effort:
    """How long and how large to measure."""

    seconds: float = 1.0
    """Of one sample."""
    rounds: int = 5
    """Samples of each contestant, all of them in turns."""
    megabytes: float = 1000.0
    """Of a transfer."""
    quick: bool = False
    """Only to see that all works: rings of a few nodes."""
    tell: Callable[[str], None] = _silent
    """Shows a person how far it is."""

    def size(self, usual: int, quick: int) -> int:
        """Return how many there are to be of something."""
        return quick if self.quick else usual


def value_of(lines: Iterable[Line], who: str, name: str) -> float | None:
    """Return what a contestant reached."""
    return next((line.values.get(name) for line in lines if line.who == who), None)


def ratio(over: float | None, under: float | None) -> float | None:
    """Return how many times the second the first is."""
    return None if over is None or not under else over / under
