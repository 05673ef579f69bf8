"""The stories that come with the package are true on each adapter and event loop; a story that is not true fails."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import anyio
import pytest

from chord_adapters import memory
from chord_adapters.testing import StoryError, check_story, rewrite, rewrite_story, run_story, stories
from chord_adapters.testing._story import parse_story
from tests.adapters.backends import LOOPS

STAGES = [(module, loop) for loop in LOOPS for module in ("memory", loop)]
HERE = Path(__file__).with_name("stories")


def adapter(name: str) -> ModuleType:
    """Return an adapter by the name of its module."""
    return import_module(f"chord_adapters.{name}")


def told(text: str, loop: str = "asyncio") -> str:
    """Return what is seen in a story, without its first line."""
    return anyio.run(run_story, f"# chord story 1\n{text}", backend=loop).partition("\n")[2]


@pytest.mark.parametrize("module, loop", STAGES)
@pytest.mark.parametrize("path", stories(), ids=[path.stem for path in stories()])
def test_a_story_is_true_everywhere(path: Path, module: str, loop: str) -> None:
    """What a story tells is seen in memory and over real sockets, on asyncio and on trio."""
    anyio.run(partial(check_story, path, adapter=adapter(module)), backend=loop)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("path", sorted(HERE.glob("*.story")), ids=[path.stem for path in sorted(HERE.glob("*.story"))])
def test_a_story_in_virtual_time_is_the_same_on_each_loop(path: Path, loop: str) -> None:
    """Pointers, places and partitions in virtual time follow from the seed, not from the event loop."""
    anyio.run(check_story, path, backend=loop)


def test_stories_were_found() -> None:
    """The tests above have stories to tell, of each kind."""
    assert len(stories()) >= 8
    assert list(HERE.glob("*.story"))
    assert [] == [path.name for path in stories() if parse_story(path.read_text(encoding="utf-8")).needs_virtual_time]


@pytest.mark.parametrize("module", LOOPS)
def test_virtual_time_is_not_waited_for(module: str) -> None:
    """Where time is real a story that needs virtual time is refused, naming the line, before anything happens."""
    with pytest.raises(StoryError, match=r"^story:4: 'advance' needs virtual time; chord_adapters\.\w+ has none"):
        anyio.run(
            partial(run_story, "# chord story 1\n\nstart a\nadvance 5\n", adapter=adapter(module)), backend=module
        )


def test_a_story_that_is_not_true(tmp_path: Path) -> None:
    """The difference is shown line by line, with the command that accepts it; after that the story is true."""
    path = tmp_path / "my.story"
    path.write_text(
        "# chord story 1\n# About k.\n\nstart a\n----\nready\n\nput a k v\nget a k\n----\nversion 1\nw (version 1)\n"
    )
    before = path.read_text()
    with pytest.raises(AssertionError) as caught:
        anyio.run(check_story, path)
    lines = str(caught.value).splitlines()
    assert ["-w (version 1)", "+v (version 1)"] == [line for line in lines if line[:2] in ("-w", "+v")]
    assert f"python -m chord_adapters.testing.rewrite {path}" in lines[-1]
    assert before == path.read_text()
    assert 0 == rewrite.main([str(path)])
    assert before.replace("w (", "v (") == path.read_text()
    anyio.run(check_story, path)
    assert not rewrite_story(path)


def test_a_story_is_begun_by_its_commands(tmp_path: Path) -> None:
    """Who writes a story writes commands; what was seen is filled in, and comments and blank lines stay."""
    path = tmp_path / "new.story"
    path.write_text("# chord story 1\n# One.\n\n\nstart a\n# Two.\nget a k\n# Three.\n")
    assert rewrite_story(path)
    assert path.read_text() == (
        "# chord story 1\n# One.\n\n\nstart a\n# Two.\nget a k\n# Three.\n----\nready\nnothing\n"
    )
    assert not rewrite_story(path)


@pytest.mark.parametrize(
    "line, message",
    [
        ("jump a", "there is no command 'jump'"),
        ("put a", "'put a' is not written 'put WHO KEY [VALUE] [size=…] [timeout=…]'"),
        ("get a k k", "'get a k k' is not written"),
        ("ring", "'ring' is not written 'ring NAME...'"),
        ("settle now", "'settle now' is not written 'settle'"),
        ('put a "k v', "no closing quotation"),
        ("get a k timeout=1 timeout=2", "timeout= is said twice"),
        ("get b k", "there is nobody called 'b'; there are: a"),
        ("start a", "there is a a already"),
        ("start B", "a name has small letters"),
        ("start b join=c", "there is nobody called 'c'"),
        ("start b virtual=two", "virtual=two is no number"),
        ("leave b", "no member is called 'b'"),
        ("put a k", "a value is given either as a word or by size="),
        ("put a k v size=3", "a value is given either as a word or by size="),
        ("put a k size=64000001", "size=64000001 is more than"),
        ("get a k timeout=soon", "timeout=soon is no number"),
        ("get a k timeout=0", "timeout=0 is not from 0"),
        ("fetch a letter", "letter was not stored"),
        ("client x", "a client asks a node"),
        ("client x at=b", "there is nobody called 'b'"),
        ("config speed=3", "Config has no field 'speed'"),
        ("config replicas=0", "replicas=0: "),
        ("advance soon", "soon is no number"),
        ("links loss=2", "loss"),
        ("seed 3", "the seed is said before the first node"),
        ("seed three", "a seed is a number"),
    ],
)
def test_a_wrong_line_is_named(line: str, message: str) -> None:
    """A mistake in a story names the file, the line and what is wrong."""
    with pytest.raises(StoryError) as caught:
        anyio.run(run_story, f"# chord story 1\n\nstart a\n{line}\n")
    assert str(caught.value).startswith("story:4: ")
    assert message in str(caught.value)


def test_texts_that_are_no_stories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another first line, a rule without commands, bytes that are no text: said so, and nothing is written."""
    with pytest.raises(
        StoryError, match=r"^x:1: the first line of a story is '# chord story 1', not '# chord story 2'"
    ):
        parse_story("# chord story 2\n", name="x")
    with pytest.raises(StoryError, match=r"^x:3: there is no command above ----"):
        parse_story("# chord story 1\n\n----\nok\n", name="x")
    path = tmp_path / "bytes.story"
    path.write_bytes(b"\xff\xfe")
    assert 1 == rewrite.main([str(path)])
    assert f"{path}:1: this is no UTF-8" in capsys.readouterr().err
    assert b"\xff\xfe" == path.read_bytes()
    assert 1 == rewrite.main([str(tmp_path / "absent.story")])
    assert 2 == rewrite.main([])


def test_versions_are_numbers() -> None:
    """Versions tell the time, so a story has their numbers, each key its own."""
    text = "start a\nput a k 1\nput a j 2\nput a k 3\nget a k\nget a j\ndelete a k\n"
    seen = told(text).partition("----\n")[2].splitlines()
    assert ["ready", "version 1", "version 1", "version 2", "3 (version 2)", "2 (version 1)", "version 3"] == seen


def test_values_are_shown_as_they_are() -> None:
    """Text is shown as text, what could be mistaken as Python's bytes, and what is long by its length."""
    text = "start a\n" + "".join(
        f"put a k {value}\nget a k\n" for value in ('"a b"', '""', '" a"', "größe", "\"b'x'\"")
    )
    seen = told(f"{text}put a k size=101\nget a k\n").splitlines()
    shown = [line.rpartition(" (version")[0] for line in seen if line.endswith(")")]
    assert ["a b", "b''", "b' a'", "größe", "b\"b'x'\"", "101 bytes"] == shown


def test_a_simulated_network_is_fresh_each_time() -> None:
    """Two stories one after the other do not meet: names and addresses are free again."""
    assert told("ring a b\n") == told("ring a b\n")


def test_what_is_no_adapter() -> None:
    """An adapter has `open_node` and `connect`; anything else is refused at once."""
    with pytest.raises(TypeError, match="has no open_node"):
        anyio.run(partial(run_story, "# chord story 1\n", adapter=pytest))  # type: ignore[arg-type]
    assert anyio.run(partial(run_story, "# chord story 1\n", adapter=memory)) == "# chord story 1\n"
