"""A history as text: what was set up, what happened in what order, and what was wrong with it.

A trace is a counterexample, a regression test and a report at once::

    # chord trace 1
    explore members=3 joiners=1 failures=0 successors=2 predecessors=1 replicas=1 grain=exchanges
    join n3 n0
    stabilize n0
    ----
    S1 at n3#0 (…): no live node among its successors []

The first word of the second line says by which tool it goes on; the steps are that tool's.  Lines that begin with
``#`` are remarks.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

FIRST_LINE = "# chord trace 1"
_END = "----"
MAX_LINES = 100_000


class TraceError(ValueError):
    """A text that is no trace, or a trace that cannot be followed; the message says where."""


@attrs.frozen(kw_only=True)
class Trace:
    """What was set up, what happened, and what was wrong (None: nothing)."""

    kind: str
    settings: Mapping[str, str]
    steps: tuple[str, ...]
    verdict: str | None = None

    def __str__(self) -> str:
        """Return the text."""
        settings = " ".join(f"{name}={value}" for name, value in self.settings.items())
        lines = [FIRST_LINE, f"{self.kind} {settings}", *self.steps, _END]
        return "\n".join([*lines, *(() if self.verdict is None else (self.verdict,)), ""])

    @classmethod
    def parse(cls, text: str) -> Trace:
        """Return what a text says; raises `TraceError`."""
        lines = text.splitlines()
        if not lines or lines[0].strip() != FIRST_LINE:
            raise TraceError(f"not a trace: its first line is not {FIRST_LINE!r}")
        if len(lines) > MAX_LINES:
            raise TraceError(f"a trace of more than {MAX_LINES} lines")
        body = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        end = body.index(_END) if _END in body else len(body)
        if not body[:end]:
            raise TraceError("a trace that does not say what is set up")
        kind, *words = body[0].split()
        settings = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not value:
                raise TraceError(f"line 2: {word!r} is no setting, name=value")
            settings[name] = value
        verdict = "\n".join(body[end + 1 :])
        return cls(kind=kind, settings=settings, steps=tuple(body[1:end]), verdict=verdict or None)
