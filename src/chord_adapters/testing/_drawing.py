"""A history drawn: a lane for each node, time downwards, messages as arrows; one HTML file that needs nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from html import escape

import attrs

from chord_adapters._words import of_value
from chord_adapters.memory import Step
from chord_proto.effects import Event as NodeEvent
from chord_proto.effects import Send
from chord_proto.peer import Address

MOST = 600
"""The latest so many things are drawn; what came before is left out."""
_LONGEST = 60
_LANE, _ROW, _TOP, _LEFT = 150, 22, 60, 90

_STYLE = (
    "body{font:14px sans-serif;margin:1em}pre{background:#f4f4f4;padding:1em;overflow:auto}"
    "svg{font:11px sans-serif}.lane{stroke:#bbb}.arrow{stroke:#357;fill:none;marker-end:url(#head)}"
    ".lost{stroke:#c33;stroke-dasharray:4 3}.mark{fill:#222}.time{fill:#888}.wrong{fill:#c00;font-weight:bold}"
)

_HEAD = (
    '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
    '<path d="M0,0 L7,3 L0,6 z" fill="#357"/></marker></defs>'
)


@attrs.frozen
class Arrow:
    """A message, and when it was sent and arrived (None: it was lost, or is still under way)."""

    sender: Address
    to: Address
    text: str
    sent: float
    arrived: float | None


@attrs.frozen
class Mark:
    """Something that happened at one node."""

    lane: Address
    text: str
    at: float
    row: int = 0
    """How many others there are in the same lane at the same time: each has a row of its own."""


Moment = tuple[float, int]


class Drawing:
    """Collects what happens, and makes the picture.  ``Drawing.watch`` is for ``Network(watch=…)``."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._items: deque[Arrow | Mark] = deque(maxlen=MOST)
        self._under_way: dict[int, tuple[object, Address, Address, float]] = {}

    def arrow(self, sender: Address, to: Address, text: str, *, sent: float, arrived: float | None) -> None:
        """Add a message."""
        self._items.append(Arrow(sender, to, text, sent, arrived))

    def mark(self, lane: Address, text: str, at: float) -> None:
        """Add something that happened at one node."""
        before = sum(isinstance(item, Mark) and (item.lane, item.at) == (lane, at) for item in self._items)
        self._items.append(Mark(lane, text, at, before))

    def watch(self, step: Step) -> None:
        """Take one input of one node of a simulated network."""
        me = step.node.me.address
        if step.kind == "receive":
            sent = self._under_way.pop(id(step.argument), None)
            began = step.at if sent is None else sent[3]
            self.arrow(step.keywords["sender"], me, type(step.argument).__name__, sent=began, arrived=step.at)
        elif step.kind not in ("tick", "wall", "written"):
            words = "" if step.argument is None else f" {_short(step.argument)}"
            self.mark(me, f"{step.kind}{words}", step.at)
        for effect in step.effects:
            if isinstance(effect, Send):
                # The message itself is kept, so that no other one is taken for it.
                self._under_way[id(effect.message)] = (effect.message, me, effect.to, step.at)
            elif isinstance(effect, NodeEvent):
                self.mark(me, _short(effect), step.at)
        while len(self._under_way) > MOST:
            message, sender, to, at = self._under_way.pop(next(iter(self._under_way)))
            self.arrow(sender, to, type(message).__name__, sent=at, arrived=None)

    def html(self, text: str, problem: str) -> str:
        """Return the page: what was wrong, the picture, and the trace as text."""
        return (
            f"<!doctype html><meta charset=utf-8><title>{escape(self.title)}</title><style>{_STYLE}</style>"
            f"<h1>{escape(self.title)}</h1><p class=wrong>{escape(problem)}</p>{self.svg()}"
            f"<h2>The trace</h2><pre>{escape(text)}</pre>\n"
        )

    def svg(self) -> str:
        """Return the picture alone."""
        items = sorted(self._items, key=_end)
        lanes = sorted({lane for item in items for lane in _lanes(item)}, key=_by_number)
        x = {lane: _LEFT + _LANE * number + _LANE // 2 for number, lane in enumerate(lanes)}
        moments = sorted({moment for item in items for moment in _moments(item)})
        y = {moment: _TOP + _ROW * row for row, moment in enumerate(moments)}
        width, height = _LEFT + _LANE * (len(lanes) + 2), _TOP + _ROW * (len(moments) + 1)
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{_HEAD}']
        for lane in lanes:
            parts.append(f'<line class="lane" x1="{x[lane]}" y1="{_TOP - 20}" x2="{x[lane]}" y2="{height}"/>')
            parts.append(f'<text x="{x[lane]}" y="{_TOP - 28}" text-anchor="middle">{escape(lane)}</text>')
        parts += [f'<text class="time" x="4" y="{y[moment] + 4}">{moment[0]:.3f}</text>' for moment in moments]
        parts += [_drawn(item, x, y) for item in items]
        return "".join(parts) + "</svg>"


def _drawn(item: Arrow | Mark, x: dict[Address, int], y: dict[Moment, int]) -> str:
    if isinstance(item, Mark):
        left, top = x[item.lane], y[item.at, item.row]
        return (
            f'<circle class="mark" cx="{left}" cy="{top}" r="3"/>'
            f'<text class="mark" x="{left + 6}" y="{top + 4}">{escape(item.text)}</text>'
        )
    start, end = x[item.sender], x[item.to]
    above, below = y[item.sent, 0], y[item.sent if item.arrived is None else item.arrived, 0]
    style = "arrow lost" if item.arrived is None else "arrow"
    middle = (start + end) // 2
    return (
        f'<path class="{style}" d="M{start},{above} L{end},{below}"><title>{escape(item.text)}</title></path>'
        f'<text x="{middle}" y="{(above + below) // 2 - 3}" text-anchor="middle">{escape(item.text)}</text>'
    )


def _lanes(item: Arrow | Mark) -> Iterable[Address]:
    return (item.lane,) if isinstance(item, Mark) else (item.sender, item.to)


def _moments(item: Arrow | Mark) -> Iterable[Moment]:
    if isinstance(item, Mark):
        return ((item.at, item.row),)
    return ((item.sent, 0),) if item.arrived is None else ((item.sent, 0), (item.arrived, 0))


def _end(item: Arrow | Mark) -> Moment:
    return max(_moments(item))


def _by_number(lane: Address) -> tuple[int, Address]:
    return len(lane), lane


def _short(value: object) -> str:
    return of_value(value).rstrip(";")[:_LONGEST]
