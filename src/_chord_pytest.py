"""The pytest plugin ``chord``: rings in virtual time for tests of applications, and stories as tests.

pytest loads this with every run, of any project.  So it imports nothing that takes time, and stands outside of the
packages, whose own imports take some.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chord_adapters.testing._virtual_ring import MakeRing, VirtualRing
    from chord_proto.config import Config

ADAPTERS = {"memory": "asyncio", "asyncio": "asyncio", "trio": "trio"}
"""The adapters on which stories can be told, each with its event loop."""
_OURS = b"# chord "
"""What traces and recordings begin with."""
_RINGS: pytest.StashKey[list[VirtualRing]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("chord", "Chord rings in virtual time")
    group.addoption("--chord-seed", type=int, default=0, metavar="N", help="seed of the rings of chord_ring (0)")
    group.addoption(
        "--chord-seeds",
        type=_count,
        metavar="N",
        help="run each test that uses chord_ring with N seeds, from --chord-seed on",
    )
    group.addoption("--chord-rewrite", action="store_true", help="write into stories what is seen now")
    group.addoption(
        "--chord-replay",
        metavar="FILE",
        help="go through a trace or recording again, as one more test; fixture chord_replay",
    )
    parser.addini("chord_stories", "run *.story files as tests, on these of: memory asyncio trio", "args", [])
    parser.addini("chord_world", "module:name of what makes the worlds for --chord-replay: a function or ChordMachine")
    parser.addini(
        "chord_participant", "module:name of what makes the nodes for --chord-replay of the explorer's traces"
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be."""
    replay = config.getoption("chord_replay")
    if replay is not None and not Path(replay).is_file():
        raise pytest.UsageError(f"--chord-replay: there is no file {replay}")
    for name in config.getini("chord_stories"):
        if name not in ADAPTERS:
            raise pytest.UsageError(f"chord_stories: {name!r} is none of: {' '.join(ADAPTERS)}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add the replay that is asked for."""
    replay = session.config.getoption("chord_replay")
    if replay is None:
        return
    path = Path(replay).resolve()
    with path.open("rb") as file:
        ours = file.read(len(_OURS)) == _OURS
    if ours:
        items.append(ReplayItem.from_parent(ReplayFile.from_parent(session, path=path), name="replay"))
    elif not any("chord_replay" in getattr(item, "fixturenames", ()) for item in items):
        raise pytest.UsageError(
            f"--chord-replay: {replay} is no trace, no recording, and no test asks for chord_replay"
        )


# Rings


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of rings with several seeds."""
    count = metafunc.config.getoption("chord_seeds")
    if count is not None and "chord_seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("chord_seed")
        metafunc.parametrize("chord_seed", range(first, first + count), ids=lambda seed: f"seed{seed}")


@pytest.fixture
def chord_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test, from ``--chord-seed`` and ``--chord-seeds``."""
    seed: int = request.config.getoption("chord_seed")
    return seed


@pytest.fixture
def chord_ring(request: pytest.FixtureRequest, chord_seed: int) -> Iterator[MakeRing]:
    """Return a function that makes an ideal ring of nodes in virtual time; the test's end closes it."""
    from chord_adapters.testing._virtual_ring import VirtualRing

    rings = request.node.stash[_RINGS] = []

    def make(n: int = 8, *, seed: int | None = None, config: Config | None = None, **network: Any) -> VirtualRing:
        ring = VirtualRing(n, seed=chord_seed if seed is None else seed, config=config, **network)
        rings.append(ring)
        return ring

    yield make
    for ring in rings:
        ring.close()


@pytest.fixture
def chord_replay(request: pytest.FixtureRequest) -> Path | None:
    """The file of ``--chord-replay``, None when it was not given."""
    replay = request.config.getoption("chord_replay")
    return None if replay is None else Path(replay)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a test that failed how its rings stood, and the command that repeats it."""
    report = yield
    rings = item.stash.get(_RINGS, None)
    if report.failed and rings:
        repeat = f"pytest {shlex.quote(item.nodeid)} --chord-seed {_seed_of(item)}"
        if item.config.getoption("chord_seeds") is not None:
            repeat += " --chord-seeds 1"
        stood = [f"seed {ring.seed}: {ring.describe()}" for ring in rings]
        report.sections.append(("chord_ring", "\n".join([*stood, f"to repeat it:  {repeat}"])))
    return report


def _seed_of(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    params = {} if callspec is None else callspec.params
    seed: int = params.get("chord_seed", item.config.getoption("chord_seed"))
    return seed


# Replays


class ReplayFile(pytest.File):
    """A trace or a recording."""

    def collect(self) -> Iterable[ReplayItem]:
        """Return its one test."""
        yield ReplayItem.from_parent(self, name="replay")


class ReplayItem(pytest.Item):
    """A trace or a recording that is gone through again, as ``chord replay`` does."""

    def runtest(self) -> None:
        """Go through it."""
        own = self._own("chord_world"), self._own("chord_participant")  # Their modules may add kinds of happenings.
        from chord_adapters.testing._again import what_is_wrong

        makes = {"world": getattr(own[0], "make_world", own[0]), "participant": own[1]}
        given = {name: make for name, make in makes.items() if make is not None}
        wrong = what_is_wrong(self.path, **given, warn=lambda words: self.warn(pytest.PytestWarning(words)))
        if wrong is not None:
            raise ReplayFailed(wrong)

    def _own(self, setting: str) -> Any:
        from pkgutil import resolve_name

        name = self.config.getini(setting)
        try:
            return resolve_name(name) if name else None
        except (ImportError, AttributeError, ValueError) as error:
            raise ReplayFailed(f"{setting} = {name}: {error}") from error

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong, or why the file cannot be replayed, without the way there."""
        from chord_adapters.testing import BadRecording, TraceError

        if isinstance(excinfo.value, (ReplayFailed, BadRecording, TraceError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it stands."""
        return self.path, 0, f"replay of {self.path.name}"


class ReplayFailed(AssertionError):
    """Something is wrong in a replay; the message is all that is told."""


# Stories


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect stories, where ``chord_stories`` says on which adapters they are told."""
    if file_path.suffix == ".story" and parent.config.getini("chord_stories"):
        return StoryFile.from_parent(parent, path=file_path)
    return None


class StoryFile(pytest.File):
    """A story, with a test for each adapter."""

    def collect(self) -> Iterable[StoryItem]:
        """Return the tests."""
        for name in self.config.getini("chord_stories"):
            yield StoryItem.from_parent(self, name=name)


class StoryItem(pytest.Item):
    """A story told on one adapter."""

    def runtest(self) -> None:
        """Tell it, and rewrite it first if that is asked for."""
        import anyio

        from chord_adapters.testing._story import read_story
        from chord_adapters.testing._tell import check_story, rewrite_story

        if self.config.getoption("chord_rewrite"):
            rewrite_story(self.path)
        if self.name != "memory" and read_story(self.path).needs_virtual_time:
            pytest.skip("it needs virtual time")
        adapter = import_module(f"chord_adapters.{self.name}")
        anyio.run(partial(check_story, self.path, adapter=adapter), backend=ADAPTERS[self.name])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the difference, or the mistake in the story, without the way there."""
        from chord_adapters.testing._story import StoryError

        if isinstance(excinfo.value, (AssertionError, StoryError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it stands."""
        return self.path, 0, f"{self.path.name} on {self.name}"
