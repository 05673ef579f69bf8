"""Stories: run, compared with what their text says, and rewritten."""

from __future__ import annotations

import difflib
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path

import anyio

from chord_adapters import memory
from chord_adapters.testing._stage import Adapter, stage_of
from chord_adapters.testing._story import Story, StoryError, parse_story, read_story
from chord_adapters.testing._story_run import Player


def stories(directory: str | Path | None = None) -> tuple[Path, ...]:
    """Return the story files of a folder, by default those that come with the package; every adapter can tell those.

    Raises ``ValueError`` when there are none.
    """
    folder = Path(str(files("chord_adapters.testing") / "stories")) if directory is None else Path(directory)
    found = tuple(sorted(folder.glob("*.story")))
    if not found:
        raise ValueError(f"there are no *.story files in {folder}")
    return found


async def run_story(story: Story | str, *, adapter: Adapter = memory) -> str:
    """Carry out a story, given as its text or as `read_story` returned it; return its text with what was seen.

    ``adapter`` is the module, or another object, whose ``open_node`` and ``connect`` are used.  Raises `StoryError`
    for a story that is written wrongly, or that needs virtual time where there is none.
    """
    if isinstance(story, str):
        story = parse_story(story)
    seed = _seed_of(story)
    with stage_of(adapter, seed=seed) as stage:
        virtual = story.needs_virtual_time
        if virtual is not None and stage.net is None:
            raise StoryError(f"{story.name}:{virtual.line}: {virtual.verb!r} needs virtual time; {stage.name} has none")
        seen: list[list[str]] = []
        async with AsyncExitStack() as stack:
            player = Player(story, stage, stack, seed=seed)
            for block in story.blocks:
                seen.append([])
                for command in block.commands:
                    seen[-1] += await player.perform(command)
    return story.text(seen)


async def check_story(path: str | Path, *, adapter: Adapter = memory) -> None:
    """Carry out a story file; `AssertionError` with the difference when something else was seen than it says."""
    story = read_story(path)
    seen = await run_story(story, adapter=adapter)
    told = story.text()
    if seen != told:
        lines = difflib.unified_diff(
            told.splitlines(), seen.splitlines(), f"{path} (told)", f"{path} (seen)", "", "", 3, ""
        )
        name = getattr(adapter, "__name__", adapter)
        raise AssertionError(
            "\n".join(
                [
                    f"{path} on {name}: something else was seen than the story tells",
                    *lines,
                    f"to write down what is seen in virtual time:  python -m chord_adapters.testing.rewrite {path}",
                ]
            )
        )


def rewrite_story(path: str | Path, *, adapter: Adapter = memory) -> bool:
    """Write into a story file what is seen now; tell whether that changed it.  A person reviews the difference."""
    path = Path(path)
    story = read_story(path)
    seen = anyio.run(lambda: run_story(story, adapter=adapter))
    if seen == path.read_text(encoding="utf-8"):
        return False
    path.write_text(seen, encoding="utf-8")
    return True


def _seed_of(story: Story) -> int:
    """Return the seed that a story names, 0 by default."""
    commands = [command for block in story.blocks for command in block.commands]
    for number, command in enumerate(commands):
        if command.verb == "seed":
            text = command.words[0]
            if not (text.isascii() and text.isdecimal()):
                raise StoryError(f"{story.name}:{command.line}: a seed is a number, not {text!r}")
            if any(earlier.verb not in ("config", "seed") for earlier in commands[:number]):
                raise StoryError(f"{story.name}:{command.line}: the seed is said before the first node")
            return int(text)
    return 0
