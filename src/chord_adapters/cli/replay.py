"""``chord replay``: recorded inputs are fed to the core again, which must do the same."""

from __future__ import annotations

from typing import Annotated, BinaryIO

import attrs
from cyclopts import Parameter, validators

from chord_adapters.cli._files import opened
from chord_adapters.cli._options import Json, PathOrStandard
from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import hexadecimal, peer_fields, print_columns, print_json, say
from chord_adapters.testing._again import LONGEST_FIRST_LINE, words_of_difference
from chord_adapters.testing._recorded import BadRecording, Input, kind_of
from chord_adapters.testing._replay import NodeState, Replayed, replay
from chord_proto.peer import Peer
from chord_proto.view import NodeView


@attrs.frozen(kw_only=True)
class _Wanted:
    """What the command line says."""

    file: str
    step: int | None
    node: str | None
    json: bool


def replay_file(
    file: Annotated[
        PathOrStandard, Parameter(name="FILE", help="What `chord node --record` or `chord check` wrote, - for stdin.")
    ],
    /,
    *,
    step: Annotated[
        int | None,
        Parameter(validator=validators.Number(gte=1), help="Stop after this step and show the state."),
    ] = None,
    node: Annotated[
        str | None, Parameter(help="Show the state of this node, ADDRESS#INDEX, instead; without --step at the end.")
    ] = None,
    json: Json = False,
) -> int:
    """Go through a recording of a node, or a counterexample of `chord check`, again.

    The inputs of a recording are fed to the core, which must do the same: status 0
    when all is identical, 1 at the first difference, which is shown. A
    counterexample ends with 1 as long as something is wrong.
    """
    wanted = _Wanted(file=str(file), step=step, node=node, json=json)
    with opened(file) as source:
        first_line = source.readline(LONGEST_FIRST_LINE).decode(errors="replace")
        kind = kind_of(first_line)
        if kind not in _REPLAYS:
            raise BadRecording(f"this version cannot replay a file of the kind “{kind}”")
        return _REPLAYS[kind](source, first_line, wanted)


def _replay_recording(source: BinaryIO, first_line: str, wanted: _Wanted) -> int:
    found = replay(source, first_line, steps=wanted.step, warn=say)
    shown = None if found.difference else _state_to_show(found, wanted)
    if wanted.json:
        print_json(_document(found, shown))
        return Status.FINE if found.identical else Status.FAILED
    if found.ending is not None and not found.ending.complete:
        say(f"{wanted.file}: {found.ending.words}")
    if shown is not None:
        _print_state(shown)
    if found.difference is not None:
        print(words_of_difference(found.difference))
        return Status.FAILED
    print(f"{found.inputs} inputs, {found.effects} effects, identical")
    return Status.FINE


def _replay_trace(source: BinaryIO, first_line: str, wanted: _Wanted) -> int:
    from chord_adapters.cli._replay_trace import replay_trace

    if wanted.node is not None:
        raise UsageError("--node is for recordings; a trace shows the whole ring")
    return replay_trace(source, first_line, step=wanted.step, json=wanted.json)


_REPLAYS = {"recording 1": _replay_recording, "trace 1": _replay_trace}
"""By the kind of file."""


def _state_to_show(found: Replayed, wanted: _Wanted) -> NodeState | None:
    if wanted.step is not None and found.inputs < wanted.step:
        raise UsageError(f"the recording has {found.inputs} inputs, there is no step {wanted.step}")
    name = wanted.node or (found.last if wanted.step is not None else None)
    if name is None:
        return None
    if name not in found.states:
        raise UsageError(f"no node {name} in the recording so far, only {', '.join(found.nodes) or 'none at all'}")
    return found.states[name]


# For people


def _print_state(state: NodeState) -> None:
    for each in state.latest[:-1]:
        print(each.words)
    for each in state.latest[-1:]:
        print("\n".join((each.words, *each.outcome)))
    view, now = state.node.view(), state.latest[-1].at if state.latest else 0.0
    rows: list[tuple[object, ...]] = [
        ("node", _place(view.me)),
        ("incarnation", view.incarnation),
        ("phase", view.phase.value),
        *_many("predecessors", [_place(peer) for peer in view.predecessors]),
        *_many("successors", [_place(peer) for peer in view.successors]),
        ("came round", "yes" if view.came_round else "no"),
        ("busy", "yes" if view.busy else "no"),
        *_many("timers", [f"{name} in {when - now:.3f} s" for name, when in view.timers]),
        *_many("operations", [f"{op} ends in {when - now:.3f} s" for op, when in view.operations]),
        *_many("requests", [f"{request} to {to}, due in {when - now:.3f} s" for request, to, when in view.requests]),
        *_many("pending arcs", [_arc(arc) for arc in view.pending_arcs]),
        *_many("decides", [_arc(arc) for arc in view.decides]),
        ("records", state.node.stats().records),
    ]
    print()
    print_columns(rows)
    print()


def _many(title: str, values: list[str]) -> list[tuple[object, ...]]:
    return [(title if not at else "", value) for at, value in enumerate(values or ["-"])]


def _place(peer: Peer) -> str:
    return f"{hexadecimal(peer.id)}  {peer.address}#{peer.index}"


def _arc(arc: tuple[int, int]) -> str:
    return f"({hexadecimal(arc[0])}, {hexadecimal(arc[1])}]"


# For programs


def _document(found: Replayed, shown: NodeState | None) -> dict[str, object]:
    document: dict[str, object] = {
        "inputs": found.inputs,
        "effects": found.effects,
        "nodes": list(found.nodes),
        "identical": found.identical,
        "complete": None if found.ending is None else found.ending.complete,
        "ending": None if found.ending is None else found.ending.words,
    }
    if found.difference is not None:
        difference = found.difference
        document["difference"] = {
            **_input_fields(difference.input),
            "line": difference.input.line,
            "expected": [line.strip() for line in difference.expected],
            "actual": [line.strip() for line in difference.actual],
        }
    if shown is not None:
        document["state"] = _view_fields(shown.node.view()) | {
            "records": shown.node.stats().records,
            "latest": [_input_fields(each) for each in shown.latest],
        }
    return document


def _input_fields(each: Input) -> dict[str, object]:
    return {"step": each.step, "at": each.at, "node": each.name, "input": each.kind, "words": each.words}


def _view_fields(view: NodeView) -> dict[str, object]:
    return {
        "id": hexadecimal(view.me.id),
        "address": view.me.address,
        "index": view.me.index,
        "incarnation": view.incarnation,
        "phase": view.phase.value,
        "predecessor": peer_fields(view.predecessor),
        "predecessors": [peer_fields(peer) for peer in view.predecessors],
        "successors": [peer_fields(peer) for peer in view.successors],
        "came_round": view.came_round,
        "busy": view.busy,
        "timers": dict(view.timers),
        "operations": [{"op": op, "ends": ends} for op, ends in view.operations],
        "requests": [{"request": request, "address": to, "due": due} for request, to, due in view.requests],
        "pending_arcs": [[hexadecimal(place) for place in arc] for arc in view.pending_arcs],
        "decides": [[hexadecimal(place) for place in arc] for arc in view.decides],
        "deadline": view.deadline,
    }
