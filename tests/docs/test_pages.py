"""What the documentation says of names, numbers and commands is true of the code."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from types import ModuleType

import anyio
import attrs
import pytest

import chord_adapters
import chord_proto
from chord_adapters._driver import DriverCounters
from chord_adapters._errors import error_of
from chord_adapters._link import LinkCounters
from chord_adapters._node import NodeStats
from chord_adapters.cli._app import app
from chord_adapters.cli._outcome import Status
from chord_adapters.testing import run_story
from chord_adapters.testing._story import VERBS
from chord_proto.node import Stats
from chord_proto.operations import Failed, Failure

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
COMMAND = re.compile(r"(?:^|&& )(?:\$ )?(chord [^#;&|\n]*)", re.MULTILINE)
NAMED_CODE = re.compile(r"`(chord_(?:proto|adapters)(?:/\w+)+\.py)`")
NAME_IN_CODE = re.compile(r"`(\w+)\.py:([\w.]+)`")
CONFIG_FIELD = re.compile(r"`Config\.(\w+)`")


def text(page: Path) -> str:
    """Return what a page says."""
    return page.read_text(encoding="utf-8")


def commands() -> list[tuple[str, str]]:
    """Return every ``chord`` command in a console fence, with its page."""
    found = []
    for page in PAGES:
        for fence in re.findall(r"```console\n(.*?)```", text(page), re.DOTALL):
            found += [(page.name, command.strip()) for command in COMMAND.findall(fence)]
    return found


@pytest.mark.parametrize("page, command", commands())
def test_a_command_that_is_shown_exists(page: str, command: str) -> None:
    """Each command line parses: its command, its options and the number of its arguments are real."""
    function, bound, *_ = app.parse_args(shlex.split(command)[1:], print_error=False, exit_on_error=False)
    assert (callable(function), bound is not None) == (True, True)


def test_commands_were_found() -> None:
    """The check above has seen every command but those that run nothing."""
    shown = {command.split()[1] for _, command in commands()}
    assert {"demo", "node", "put", "get", "delete", "store", "fetch", "locate", "status", "ring", "replay"} <= shown


def test_every_exit_status_is_explained() -> None:
    """The table of the how-to, and the reference, name the statuses that the command has, and no other."""
    table = re.findall(r"^\| (\d+) \|", text(DOCS / "how-to" / "run-a-ring.md"), re.MULTILINE)
    assert [status.value for status in Status] == [int(number) for number in table]
    reference = text(DOCS / "reference" / "errors.md")
    assert [status.value for status in Status] == [int(n) for n in re.findall(r"^\| (\d+) \|", reference, re.MULTILINE)]


def test_names_in_the_explanations_exist() -> None:
    """Where a page says `module.py:name`, the core or the adapters have it, and every `Config.field` is a field."""
    missing = []
    for page in PAGES:
        for module, name in NAME_IN_CODE.findall(text(page)):
            missing += [f"{page.name}: {module}.py:{name}"] if not is_there(module, name) else []
        for field in CONFIG_FIELD.findall(text(page)):
            missing += [f"{page.name}: Config.{field}"] if not hasattr(chord_proto.Config(), field) else []
        for path in NAMED_CODE.findall(text(page)):
            missing += [f"{page.name}: {path}"] if not (ROOT / "src" / path).is_file() else []
    assert [] == missing


def is_there(module: str, name: str) -> bool:
    """Tell whether ``chord_proto.module`` has ``name``, which may be ``Class.method``."""
    found: object = importlib.import_module(f"chord_proto.{module}")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is not None


@pytest.mark.parametrize("package", [chord_proto, chord_adapters])
def test_public_classes_are_in_the_reference(package: ModuleType) -> None:
    """Every class that a package offers is on a page of the reference, by itself or with its module."""
    reference = "".join(text(page) for page in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"auto(?:module|class|exception):: ([\w.]+)", reference))
    missing = []
    for name in package.__all__:
        found = getattr(package, name)
        if isinstance(found, type) and found.__module__.startswith("chord_"):
            places = {found.__module__, f"{found.__module__}.{name}", f"{package.__name__}.{name}"}
            missing += [] if places & shown else [name]
    assert [] == missing


STORY_FENCE = re.compile(r"```text\n(# chord story 1\n.*?)```", re.DOTALL)


@pytest.mark.parametrize("story", [story for page in PAGES for story in STORY_FENCE.findall(text(page))])
def test_a_story_that_is_shown_is_true(story: str) -> None:
    """A story on a page tells what is seen."""
    assert story == anyio.run(run_story, story)


def test_every_command_of_stories_is_explained() -> None:
    """The reference has each command of stories, with its options, and says which are for virtual time only."""
    portable, virtual = text(DOCS / "reference" / "testing.md").split("## Stories")[1].split("for virtual time only")
    missing = []
    for verb, syntax in VERBS.items():
        row = re.search(rf"^\| `{verb}\b.*$", virtual if syntax.virtual else portable, re.MULTILINE)
        words = [*(f"{option}=" for option in syntax.options if option != "timeout"), *syntax.flags]
        missing += [f"{verb} {word}" for word in ["", *words] if row is None or word not in row.group() + virtual]
    assert [] == missing


def test_every_failure_is_explained() -> None:
    """The reference says of each failure of the core what the adapters make of it."""
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| `(\w+)`", text(DOCS / "reference" / "errors.md"), re.MULTILINE))
    assert {failure.name: type(error_of(Failed(failure))).__name__ for failure in Failure} == table


LIMITS = [row.split("|")[2:6] for row in text(DOCS / "reference" / "limits.md").splitlines() if row.startswith("| ")]
COUNTED = {"nodes": Stats, "driver": DriverCounters, "links": LinkCounters, "": NodeStats}


def test_every_limit_is_explained() -> None:
    """The reference has each limit of `Config`, with what counts it, what is answered, and tests that reach it."""
    fields = {field.name for field in attrs.fields(chord_proto.Config) if field.name.startswith("max_")}
    times = {"max_timeout", "max_clock_ahead"}
    assert fields - times == {name for limit, *_ in LIMITS for name in re.findall(r"`(max_\w+)`", limit)}
    tests = {name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", text(path))}
    for limit, counters, answer, tested in LIMITS:
        if limit.strip() in ("Limit", "---"):
            continue
        for counter in re.findall(r"`([\w.]+)`", counters):
            where, _, name = counter.rpartition(".")
            assert name in {field.name for field in attrs.fields(COUNTED[where])}, counter
        assert counters.strip(), limit
        assert answer.strip(), limit
        assert set(re.findall(r"`(\w+)`", tested)) - tests == set(), limit
        assert "`test_" in tested, limit


def test_the_check_of_names_sees_what_is_wrong() -> None:
    """A name that does not exist is found missing."""
    assert (True, False) == (is_there("ring", "Ring.rectify"), is_there("ring", "Ring.fix_fingers"))
