"""``chord replay``: what it says of a recording that is as it was, that was changed, or that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from chord_adapters.cli import main
from tests.adapters.cli.command import Command
from tests.sim.recordings import replayed, small_recording


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A recording of two nodes."""
    path = tmp_path / "recording"
    path.write_bytes(small_recording())
    return str(path)


def changed(file: str, old: str, new: str) -> int:
    """Change the last occurrence in a recording and return the number of its line, from 1."""
    text = Path(file).read_text(encoding="utf-8")
    before, found, after = text.rpartition(old)
    assert found
    Path(file).write_text(before + new + after, encoding="utf-8")
    return before.count("\n") + 1


def test_identical(file: str, chord: Command) -> None:
    """A recording that replays ends with 0 and one line with the number of inputs and effects."""
    found = replayed(small_recording())
    said = chord("replay", file)
    assert (0, b"") == (said.status, said.err)
    assert f"{found.inputs} inputs, {found.effects} effects, identical\n" == said.out.decode()


def test_identical_as_json(file: str, chord: Command) -> None:
    """The same as a document."""
    found = replayed(small_recording())
    document = chord.document("replay", file)
    assert {
        "inputs": found.inputs,
        "effects": found.effects,
        "nodes": ["a#0", "b#0"],
        "identical": True,
        "complete": True,
        "ending": f"end {found.inputs}",
    } == document


def test_from_standard_input(chord: Command) -> None:
    """A dash reads standard input."""
    assert b"identical" in chord.fine("replay", "-", stdin=small_recording())


def test_the_state_at_a_step(file: str, chord: Command) -> None:
    """``--step`` stops there and shows the state of the node, and the inputs before it."""
    out = chord.fine("replay", file, "--step", "2").decode()
    assert "2 0.0 a#0 create []\n  event MemberOf via=-\n  write 1 width=1 founded=1 keeps=[] drops=[]\n  = 2 " in out
    assert "phase         active" in out
    assert "2 inputs, " in out
    document = chord.document("replay", file, "--step", "2")
    assert (2, None) == (document["inputs"], document["complete"])
    state = document["state"]
    assert ("a", "active", None, []) == (
        state["address"],
        state["phase"],
        state["predecessor"],
        state["requests"],
    )
    assert ["wall", "create"] == [each["input"] for each in state["latest"]]
    assert {"stabilize", "predecessor", "finger", "probe", "repair"} >= state["timers"].keys()


def test_the_state_of_another_node(file: str, chord: Command) -> None:
    """``--node`` says whose state is shown, with ``--step`` or at the end."""
    last = chord.document("replay", file)["inputs"]
    for options in (["--node", "a#0"], ["--node", "b#0", "--step", str(last)]):
        state = chord.document("replay", file, *options)["state"]
        assert options[1] == f"{state['address']}#{state['index']}"
        assert 5 >= len(state["latest"]) > 0
        assert {options[1]} == {each["node"] for each in state["latest"]}


def test_a_changed_effect(file: str, chord: Command) -> None:
    """An effect that is not what was recorded is shown beside it, with its step and line; the status is 1."""
    line = changed(file, "finished 1 Stored", "finished 1 Started")
    said = chord("replay", file)
    assert 1 == said.status
    assert b"    recorded  finished 1 Started version=" in said.out
    assert b"    now       finished 1 Stored version=" in said.out
    done = chord("replay", file, "--json")
    assert 1 == done.status
    difference = done.document["difference"]
    assert f"step {difference['step']}, line {difference['line']}, is not as it was recorded" in said.out.decode()
    assert 0 < line - difference["line"] < 5
    assert difference["expected"] != difference["actual"]
    assert not done.document["identical"]


def test_a_changed_input(file: str, chord: Command) -> None:
    """An input that was changed is found at its own step, though its effects are the same in words."""
    line = changed(file, " wall [1700000000.0]", " wall [1700000001.0]")
    done = chord("replay", file, "--json")
    assert (1, line) == (done.status, done.document["difference"]["line"])
    assert b"In words the effects are the same" in chord("replay", file).out


def test_a_torn_end(file: str, chord: Command) -> None:
    """A recording that breaks off is told on standard error and in the document; the rest replays."""
    Path(file).write_bytes(small_recording()[:-40])
    said = chord("replay", file)
    assert 0 == said.status
    assert b"breaks off" in said.err
    assert b"identical" in said.out
    assert chord.document("replay", file)["complete"] is False


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not a recording"),
        (b"something else\n", "not a recording"),
        (b"\xff\xfe\x00" * 1000, "not a recording"),
        (b"# chord recording 2\n", "cannot replay"),
        (b"# chord trace 9\n", "cannot replay"),
        (b"# chord recording 1\nsomething else\n", "line 2 is damaged"),
        (b"# chord recording 1\nversion []\n", "line 2 is damaged"),
        (b"# chord recording 1\n\xff\n", "line 2 is damaged"),
        (b"# chord recording 1\n1 0.0 a#0 tick []\n", "line 2 is damaged"),
        (b"# chord recording 1\n1 1e999 a#0 tick []\n", "line 2 is damaged"),
        (b"# chord recording 1\nnode\n", "line 2 is damaged"),
        (b'# chord recording 1\nnode a#0 {"config":{"bits":9999}}\n', "line 2 is damaged"),
    ],
)
def test_no_recording(content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no recording, or a damaged one, ends with 1 and says so."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert 1 == main(["replay", str(path)])
    said = capsys.readouterr()
    assert ("", True) == (said.out, words in said.err)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """No such file, or a folder: 1."""
    assert 1 == main(["replay", str(tmp_path / "nothing")])
    assert 1 == main(["replay", str(tmp_path)])


@pytest.mark.parametrize(
    "options",
    [["--step", "0"], ["--step", "-1"], ["--step", "x"], ["--step", "100000"], ["--node", "c#0"], ["--nonsense"]],
    ids=" ".join,
)
def test_wrong_usage(options: list[str], file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A step or a node that is not in the recording, or cannot be, ends with 2."""
    assert 2 == main(["replay", file, *options])
    assert "" == capsys.readouterr().out
    assert 2 == main(["replay"])


@pytest.mark.parametrize("record", ["/does/not/exist", "/", "/dev/full"])
def test_a_node_that_cannot_be_recorded(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A node does not start when its recording cannot be written; 1, and the message says what is wrong."""
    assert 1 == main(["node", "--listen", "127.0.0.1:0", "--record", record])
    said = capsys.readouterr()
    assert ("", True) == (said.out, said.err.startswith("chord: "))
