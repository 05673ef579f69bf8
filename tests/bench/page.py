"""Tables and a drawing for the documentation, of what ``chord bench --json`` found.

::

    chord bench --json > docs/explanation/measured.json
    python -m tests.bench.page docs/explanation/measured.json docs/explanation/figures/measured.svg

The tables go to standard output; the drawing takes matplotlib (the group ``bench``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from chord_adapters._bench.machine import in_words
from chord_adapters._bench.outcome import CHORD, COLUMNS, ECHO, Line, Outcome

DRAWN = {"gets-16": "get, 16 nodes", "gets-64": "get, 64 nodes", "puts": "put, 16 nodes"}
COLOURS = {
    CHORD: "#1f5fa8",
    ECHO: "#9a9a9a",
    "kademlia": "#c9772b",
    "kademlia-dynamic": "#d9b44a",
    "opendht": "#5b8c5a",
}


def outcome_of(fields: Mapping[str, Any]) -> Outcome:
    """Return what a document says of one figure."""
    lines = tuple(
        Line(line["who"], {name: line[name] for name in COLUMNS if name in line}, line.get("note", ""))
        for line in fields["lines"]
    )
    return Outcome(fields["title"], lines)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, of which the first is the heading, in Markdown; the columns that all leave empty are left out."""
    used = [at for at in range(len(rows[0])) if at == 0 or any(row[at] for row in rows)]
    lines = ["| " + " | ".join(row[at] for at in used) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(used) + "|", *lines[1:]])


def page(document: Mapping[str, Any]) -> str:
    """Return the machine, and of each figure a table and a list of goals."""
    parts = [f"Measured on: {in_words(document['machine'])}."]
    for name, fields in document["figures"].items():
        outcome = outcome_of(fields)
        parts += [f"### `{name}`: {outcome.title}", table(outcome.rows())]
        parts.append("\n".join(f"- {goal['words']}" for goal in fields["goals"]))
    return "\n\n".join(parts)


def draw(document: Mapping[str, Any], out: Path) -> None:
    """Draw rates, and CPU time of an operation, of all contestants; the same document gives the same bytes."""
    matplotlib = import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "chord", "svg.fonttype": "none", "font.size": 9})
    plt = import_module("matplotlib.pyplot")
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for panel, quantity, label in zip(
        panels, ("rate_per_s", "cpu_us"), ("operations a second", "CPU µs an operation"), strict=True
    ):
        at, ticks, labels = 0.0, [], []
        for name, title in DRAWN.items():
            lines = [each for each in outcome_of(document["figures"][name]).lines if quantity in each.values]
            shown = [line for line in lines if line.who in COLOURS]
            ticks.append(at + (len(shown) - 1) / 2)
            labels.append(title)
            for line in shown:
                panel.barh(at, line.values[quantity], color=COLOURS[line.who])
                panel.text(line.values[quantity] * 1.05, at, f"{line.values[quantity]:,.0f}", va="center", fontsize=7)
                at += 1
            at += 1
        panel.set_xscale("log")
        panel.margins(x=0.25)
        panel.set_yticks(ticks, labels)
        panel.invert_yaxis()
        panel.set_xlabel(label)
    patches = import_module("matplotlib.patches")
    handles = [patches.Patch(color=colour, label=who) for who, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    figure.savefig(out, metadata={"Date": None})


def main(source: str, out: str) -> None:
    """Write the tables to standard output and the drawing to ``out``."""
    document = json.loads(Path(source).read_text(encoding="utf-8"))
    print(page(document))
    draw(document, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:3])
