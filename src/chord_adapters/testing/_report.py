"""A counterexample for people: its trace as text, and its drawing."""

from __future__ import annotations

from chord_adapters.memory import Step
from chord_adapters.testing._drawing import Drawing
from chord_adapters.testing._explorer import Explored
from chord_adapters.testing._overseer import Broken
from chord_adapters.testing._plan import Plan
from chord_adapters.testing._retrace import describe, retrace
from chord_adapters.testing._scenario import Scenario
from chord_adapters.testing._simulate import Failure
from chord_adapters.testing._trace import Trace


def draw_path(scenario: Scenario, explored: Explored) -> tuple[str, str]:
    """Return the trace of an explorer's counterexample, and the page that shows it."""
    steps = tuple(" ".join(action) for action in explored.path)
    trace = Trace(kind="explore", settings=scenario.settings(), steps=steps, verdict=explored.problem)
    drawing, begin = Drawing("A counterexample of chord check explore"), scenario.begin()
    state = begin.state
    for number, gone in enumerate(retrace(begin, explored.path, begin.scope), 1):
        kind, *words = gone.action
        if kind == "deliver":
            drawing.arrow(words[1], words[2], " ".join([words[0], *words[3:]]), sent=number, arrived=number)
        else:
            drawing.mark(words[0], " ".join([kind, *words[1:]]), number)
        state = gone.state
    text = f"{trace}\n# How it ends:\n" + "\n".join(f"# {line}" for line in describe(begin, state).splitlines()) + "\n"
    return text, drawing.html(text, explored.problem or "")


def draw_plan(failure: Failure) -> tuple[str, str]:
    """Return the trace of a failing plan, and the page that shows how it ended."""
    text = str(failure)
    drawing = Drawing(f"A counterexample of chord check simulate: {failure.name}")
    watched(failure.plan, drawing)
    return text, drawing.html(text, str(failure.error).splitlines()[0] if str(failure.error) else failure.name)


def watched(plan: Plan, drawing: Drawing) -> None:
    """Carry a plan out once more and draw it, up to where it fails."""
    world = plan.setup.world()
    overseer = world.net.watch

    def watch(step: Step) -> None:
        drawing.watch(step)
        if overseer is not None:
            overseer(step)

    world.net.watch = watch
    try:
        for event in plan.events:
            event.happen(world)
        world.settle()
    except Exception as error:  # noqa: BLE001 it is known to fail, and drawn as far as it came
        name = "broken" if isinstance(error, Broken) else type(error).__name__
        for address in world.net.addresses[:1]:
            drawing.mark(address, f"{name}: {str(error).splitlines()[0][:80]}", world.net.now)
