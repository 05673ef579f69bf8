"""The pytest plugin, tried on small test suites of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from tests.sim.recordings import small_recording

pytest_plugins = ["pytester"]

PLUGIN = "_chord_pytest"
RING_TEST = """
def test_ring(chord_ring):
    ring = chord_ring(3)
    ring.put("k", b"v")
    print("seed", ring.seed)
    assert ring.get("k").value == b"v"
"""
STORY = "# chord story 1\n\nring a b\nput a k v\n----\nideal ring of 2\nversion 1\n"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for a test suite, where the plugin is loaded as in a project of a user's."""
    installed = [each.value for each in entry_points(group="pytest11", name="chord")]
    assert installed in ([], [PLUGIN])
    if not installed:  # An old development install does not know of it.
        monkeypatch.setenv("PYTEST_PLUGINS", PLUGIN)
    return pytester


def test_a_ring_in_a_test(suite: pytest.Pytester) -> None:
    """`chord_ring` makes rings; without options the seed is 0."""
    suite.makepyfile(RING_TEST)
    result = suite.runpytest("-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["seed 0"])


def test_the_seed_is_an_option(suite: pytest.Pytester) -> None:
    """`--chord-seed` is the seed of all rings but those that have one of their own."""
    suite.makepyfile(
        """
        def test_ring(chord_ring, chord_seed):
            assert (7, 7, 3) == (chord_seed, chord_ring(1).seed, chord_ring(1, seed=3).seed)
        """
    )
    suite.runpytest("--chord-seed", "7").assert_outcomes(passed=1)
    suite.runpytest().assert_outcomes(failed=1)


def test_many_seeds(suite: pytest.Pytester) -> None:
    """`--chord-seeds` repeats the tests that use rings, and only those, each with its own parameters."""
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("letter", "ab")
        def test_ring(chord_ring, letter):
            assert chord_ring(1).seed in (5, 6, 7)

        def test_other():
            pass
        """
    )
    result = suite.runpytest("-v", "--chord-seed", "5", "--chord-seeds", "3")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["*::test_ring?seed7-b? PASSED*", "*::test_other PASSED*"])


def test_a_failure_says_how_to_repeat_it(suite: pytest.Pytester) -> None:
    """The report has the seed, how the nodes stand, and a command; that command fails in the same way."""
    suite.makepyfile(
        """
        def test_ring(chord_ring):
            ring = chord_ring(3, loss=0.01)
            ring.crash(ring.addresses[1])
            assert ring.seed != 6
        """
    )
    result = suite.runpytest("--chord-seed", "5", "--chord-seeds", "3")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- chord_ring -*",
            "seed 6: at *, 2 nodes, seed 6, *",
            "  node0:4600#0 active: node2:4600 < me < *",
            "* node1:4600 crash",
            "to repeat it:  pytest *::test_ring?seed6?' --chord-seed 6 --chord-seeds 1",
        ]
    )
    line = next(line for line in result.stdout.lines if line.startswith("to repeat it:"))
    again = suite.runpytest(*line.replace("'", "").split()[4:])
    again.assert_outcomes(failed=1)
    plain = suite.runpytest("--chord-seed", "6")
    plain.stdout.fnmatch_lines(["to repeat it:  pytest *::test_ring --chord-seed 6"])


def test_a_test_without_rings_is_left_alone(suite: pytest.Pytester) -> None:
    """The report of a test that fails without a ring says nothing of rings."""
    suite.makepyfile("def test_it(): assert False")
    result = suite.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*chord_ring*")


def test_a_node_that_died_is_an_error(suite: pytest.Pytester) -> None:
    """A test may not notice that a node died of a bug; the end of its ring does."""
    suite.makepyfile(
        """
        def test_ring(chord_ring):
            chord_ring(2).nodes[1]._driver.fail(ZeroDivisionError("a bug"))
        """
    )
    result = suite.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*died of ZeroDivisionError: a bug*", "*- chord_ring -*"])


def test_an_asynchronous_test(suite: pytest.Pytester) -> None:
    """A ring serves tests of anyio's plugin too: the test awaits the calls of the nodes."""
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_ring(chord_ring):
            ring = chord_ring(3)
            await ring.nodes[0].put("k", b"v")
            assert (await ring.nodes[2].get("k")).value == b"v"
        """
    )
    suite.runpytest().assert_outcomes(passed=1)


def test_replay_is_a_path(suite: pytest.Pytester) -> None:
    """`chord_replay` is the path given, which must exist, and None by default."""
    suite.makepyfile("def test_it(chord_replay): print('replay', chord_replay and chord_replay.name)")
    suite.maketxtfile(tape="0")
    suite.runpytest("-rP", "--chord-replay", "tape.txt").stdout.fnmatch_lines(["replay tape.txt"])
    suite.runpytest("-rP").stdout.fnmatch_lines(["replay None"])
    result = suite.runpytest("--chord-replay", "absent.txt")
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*--chord-replay: there is no file absent.txt"])


TRACE = """\
# chord trace 1
simulate seed=3 size=2 successors=1 replicas=2 bits=160 virtual_nodes=1 write_ms=0
join via=0
"""
MINE = """
from chord_adapters.testing import Broken, World, happening
from chord_adapters.testing.hypothesis import ChordMachine

class MyWorld(World):
    shouted = False

    def settle(self):
        super().settle()
        if self.shouted:
            raise Broken("X1: somebody shouted")

@happening(loud=(0, 1))
def shout(world, loud):
    world.shouted = bool(loud)

class MyMachine(ChordMachine):
    make_world = MyWorld
"""


def test_a_trace_is_one_more_test(suite: pytest.Pytester) -> None:
    """`--chord-replay` of a trace passes as long as every property holds, beside the other tests or alone."""
    suite.makefile(".trace", good=TRACE)
    result = suite.runpytest("-v", "--chord-replay", "good.trace")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["good.trace::replay PASSED*"])
    suite.makepyfile("def test_it(chord_replay): assert chord_replay.name == 'good.trace'")
    suite.runpytest("--chord-replay", "good.trace").assert_outcomes(passed=2)


@pytest.mark.parametrize("made", ["mine:MyWorld", "mine:MyMachine"])
def test_a_trace_of_ones_own_world(suite: pytest.Pytester, made: str) -> None:
    """With `chord_world` plans run in the user's world, with its happenings, and fail with what `chord replay` shows."""
    suite.makepyfile(mine=MINE)
    suite.makefile(".trace", loud=TRACE + "shout loud=1\n", quiet=TRACE + "shout loud=0\n")
    suite.makeini(f"[pytest]\npythonpath = .\nchord_world = {made}")
    result = suite.runpytest("--chord-replay", "loud.trace")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["   1  *  join via=0", "   2  *  shout loud=1", "at * 3 nodes, *", "X1: somebody shouted"]
    )
    result.stdout.no_fnmatch_line("*_again.py*")
    suite.runpytest("--chord-replay", "quiet.trace").assert_outcomes(passed=1)


def test_a_path_of_the_explorer_with_ones_own_nodes(suite: pytest.Pytester) -> None:
    """With `chord_participant` the explorer's paths are gone on the user's nodes."""
    suite.makepyfile(
        mine="""
        from chord_adapters.testing import RingNode

        def make(*arguments):
            print("made")
            return RingNode.make(*arguments)
        """
    )
    suite.makefile(
        ".trace",
        way="# chord trace 1\nexplore members=2 joiners=1 failures=0 successors=1 predecessors=1 replicas=1\njoin n1 n0\n",
    )
    suite.makeini("[pytest]\npythonpath = .\nchord_participant = mine:make")
    result = suite.runpytest("-rP", "--chord-replay", "way.trace")
    result.stdout.fnmatch_lines(["made"])
    result.assert_outcomes(passed=1)


def test_a_recording_is_one_more_test(suite: pytest.Pytester) -> None:
    """`--chord-replay` of a recording of a live node passes if all is as it was recorded, else the difference is shown."""
    recording = small_recording()
    (suite.path / "good").write_bytes(recording)
    (suite.path / "changed").write_bytes(recording.replace(b"SuccessorsChanged", b"SuccessorsBetrayed", 1))
    suite.runpytest("--chord-replay", "good").assert_outcomes(passed=1)
    result = suite.runpytest("--chord-replay", "changed")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["step *, line *, is not as it was recorded:", "    recorded  *Betrayed*"])


def test_what_cannot_be_replayed(suite: pytest.Pytester) -> None:
    """A damaged file and a setting that names nothing fail in words; a file for nobody is a mistake in the usage."""
    suite.makefile(".trace", bad="# chord trace 1\nsimulate size=many\n", good=TRACE, new="# chord trace 9\nexplore\n")
    for name, words in (("bad.trace", "line 2: *"), ("new.trace", "*cannot replay a file of the kind *trace 9*")):
        result = suite.runpytest("--chord-replay", name)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([words])
    result = suite.runpytest("--chord-replay", "good.trace", "-o", "chord_world=absent:World")
    result.stdout.fnmatch_lines(["chord_world = absent:World: No module named 'absent'"])
    suite.maketxtfile(tape="0")
    result = suite.runpytest("--chord-replay", "tape.txt")
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*tape.txt is no trace, no recording, and no test asks for chord_replay"])


def test_stories_are_tests_where_that_is_wanted(suite: pytest.Pytester) -> None:
    """With `chord_stories` each story is a test on each adapter named; without it none is."""
    suite.makefile(".story", good=STORY, virtual="# chord story 1\n\nstart a\nadvance 5\n----\nready\nok\n")
    assert pytest.ExitCode.NO_TESTS_COLLECTED == suite.runpytest().ret
    suite.makeini("[pytest]\nchord_stories = memory asyncio")
    result = suite.runpytest("-v", "-rs")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["good.story::memory PASSED*", "good.story::asyncio PASSED*", "*needs virtual time"])
    suite.makeini("[pytest]\nchord_stories = curio")
    result = suite.runpytest()
    result.stderr.fnmatch_lines(["*chord_stories: 'curio' is none of: memory asyncio trio"])


def test_a_story_that_is_not_true(suite: pytest.Pytester) -> None:
    """The report has the difference and nothing else; `--chord-rewrite` writes down what is seen."""
    suite.makeini("[pytest]\nchord_stories = memory")
    path = suite.makefile(".story", my=STORY.replace("version 1", "version 2"))
    result = suite.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*my.story (told)", "-version 2", "+version 1", "*chord_adapters.testing.rewrite *"])
    result.stdout.no_fnmatch_line("*_tell.py*")
    suite.runpytest("--chord-rewrite").assert_outcomes(passed=1)
    assert STORY == path.read_text(encoding="utf-8")
    suite.makefile(".story", my="# chord story 1\njump\n")
    result = suite.runpytest()
    result.stdout.fnmatch_lines(["*my.story:2: there is no command 'jump'*"])


@pytest.mark.parametrize("option", [["--chord-seeds", "0"], ["--chord-seeds", "x"], ["--chord-seed", "x"]])
def test_numbers_that_are_none(suite: pytest.Pytester, option: list[str]) -> None:
    """A seed is a number, and how many there are at least one."""
    assert pytest.ExitCode.USAGE_ERROR == suite.runpytest(*option).ret


def test_loading_it_costs_little() -> None:
    """Every run of pytest loads the plugin, so it loads nothing of ours, no event loop and no hypothesis."""
    code = f"import sys, pytest; bare = set(sys.modules); import {PLUGIN}; print(*sorted(set(sys.modules) - bare))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert [PLUGIN] == done.stdout.split()
