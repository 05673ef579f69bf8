"""``chord check`` and ``chord replay`` of what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chord_adapters.cli import main
from chord_proto.messages import Message
from chord_proto.wire import Codec
from tests.adapters.cli.command import Command

SCOPE = {"grain", "members", "joiners", "failures", "r", "states", "transitions", "depth", "states_per_s", "finished"}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A fault in the node: a joiner takes over no list."""
    monkeypatch.setattr("chord_proto.membership.cut_list", lambda me, given, config: ((), False))
    return monkeypatch


@pytest.mark.parametrize("grain", ["exchanges", "messages"])
def test_a_small_ring_is_explored(grain: str, chord: Command) -> None:
    """The document says how far the search came, and that nothing is wrong."""
    done = chord.document("check", "explore", "--members", "2", "--joiners", "1", "-r", "1", "--grain", grain)
    (scope,) = done["scopes"]
    assert scope.keys() >= {*SCOPE, "violations"}
    assert (grain, 2, 1, 0, 1) == tuple(scope[name] for name in ("grain", "members", "joiners", "failures", "r"))
    assert (True, 0, []) == (scope["finished"], scope["violations"], scope["never"])


def test_plans_are_simulated(chord: Command) -> None:
    """The document says how many, and that nothing is wrong."""
    done = chord.document("check", "simulate", "--seeds", "3")
    assert (3, 0, None) == (done["plans"], done["violations"], done["failure"])
    assert done["events"] > 0


def test_processes_share_the_seeds(chord: Command) -> None:
    """Two processes run the same plans as one."""
    one, two = (chord.document("check", "simulate", "--seeds", "4", "--jobs", jobs) for jobs in ("1", "2"))
    assert [one[name] for name in ("plans", "events", "never")] == [two[name] for name in ("plans", "events", "never")]


def test_a_fault_is_found_by_exploring(
    broken: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, a trace and a drawing; the trace ends with 1 as long as the fault is there, and with 0 without it."""
    assert 1 == main(["check", "explore", "--members", "3", "--joiners", "1", "--out", str(tmp_path)])
    assert "chord replay" in capsys.readouterr().err
    trace = tmp_path / "chord-explore.trace"
    drawing = (tmp_path / "chord-explore.html").read_text(encoding="utf-8")
    assert ("<svg" in drawing, "GetNeighbours" in drawing) == (True, True)
    assert 1 == main(["replay", str(trace)])
    assert "S1 at n3" in capsys.readouterr().out
    broken.undo()
    assert 0 == main(["replay", str(trace)])
    assert "every property holds" in capsys.readouterr().out


def test_what_was_found_is_not_lost_where_it_cannot_be_written(
    broken: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where the folder should be: status 1, and the counterexample is on standard output, once."""
    out = tmp_path / "file"
    out.touch()
    for scope in (["explore", "--members", "3", "--joiners", "1"], ["simulate", "--first", "24", "--seeds", "50"]):
        assert 1 == main(["check", *scope, "--out", str(out)])
        said = capsys.readouterr()
        assert "S1 at n3" in said.out
        assert "cannot be written" in said.err
        assert 1 == main(["check", *scope, "--out", str(out), "--json"])
        assert "S1 at n3" in json.dumps(json.loads(capsys.readouterr().out))


def test_a_fault_is_found_by_simulating(
    broken: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1; the plan is made small, and ends with 1 as long as the fault is there, and with 0 without it."""
    assert 1 == main(["check", "simulate", "--seeds", "50", "--first", "24", "--out", str(tmp_path)])
    trace = tmp_path / "chord-simulate.trace"
    steps = trace.read_text(encoding="utf-8").split("----")[0].splitlines()[2:]
    assert (1, True) == (len(steps), steps[0].startswith("join"))
    assert "S1" in (tmp_path / "chord-simulate.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert 1 == main(["replay", str(trace), "--json"])
    assert '"problem": "S1 at n3' in capsys.readouterr().out
    broken.undo()
    assert 0 == main(["replay", str(trace)])
    assert 0 == main(["replay", str(trace), "--step", "1"])
    assert "joining" in capsys.readouterr().out


def test_messages_and_bytes_are_fuzzed(chord: Command) -> None:
    """The document says how many cases, and that nothing is wrong."""
    done = chord.document("check", "fuzz", "--cases", "30")
    assert (30, 0, None) == (done["cases"], done["seed"], done["problem"])


def test_what_is_found_by_fuzzing_can_be_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, what was raised, the bytes that did it, and the command that does it again."""

    class Broken(Codec):
        __slots__ = ()

        def decode(self, data: bytes | memoryview) -> Message:
            raise KeyError(len(data))

    monkeypatch.setattr("chord_adapters.testing._fuzz._CODEC", Broken())
    assert 1 == main(["check", "fuzz", "--cases", "30", "--seed", "5"])
    said = capsys.readouterr().out
    assert "bytes: KeyError: 0" in said
    assert "Draw 1: b''" in said
    assert "chord check fuzz --cases 30 --seed 5" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "explore", "--joiners", "1"],
        ["check", "explore", "--members", "0"],
        ["check", "explore", "--members", "3", "--grain", "dust"],
        ["check", "simulate", "--seeds", "0"],
        ["check", "fuzz", "--cases", "-1"],
        ["check", "nothing"],
    ],
)
def test_what_cannot_be_checked_is_refused(arguments: list[str]) -> None:
    """With status 2."""
    assert 2 == main(arguments)


@pytest.mark.parametrize(
    "text",
    [
        "# chord trace 1\n",
        "# chord trace 1\nsimulate size=x\n",
        "# chord trace 1\nsimulate size=0\n",
        "# chord trace 1\nsimulate size=100000\n",
        "# chord trace 1\nsimulate virtual_nodes=0\n",
        "# chord trace 1\nsimulate write_ms=-5\n",
        "# chord trace 1\nexplore members=100000\n",
        "# chord trace 1\nsimulate size=3\ncrush who=1\n",
        "# chord trace 1\nsimulate size=3\ncrash what=1\n",
        "# chord trace 1\nsimulate size=3\ncrash who=99999\n",
        "# chord trace 1\nexplore members=3\njoin n9 n0\n",
        "# chord trace 1\nguess members=3\n",
    ],
)
def test_a_trace_that_makes_no_sense_is_refused(text: str, tmp_path: Path) -> None:
    """With status 2, and a word about where."""
    file = tmp_path / "a.trace"
    file.write_text(text, encoding="utf-8")
    assert 2 == main(["replay", str(file)])
