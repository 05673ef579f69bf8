"""One stream of choices: from a seed, from a tape, from deviations, or each way in which choices can be made."""

from __future__ import annotations

import pytest

from chord_adapters.testing import (
    Choice,
    Deviations,
    Event,
    Plan,
    Seeded,
    Setup,
    Tape,
    Taped,
    TapeError,
    every_choice,
)

STEPS = 6


def test_a_seed_is_a_plan() -> None:
    """The same seed draws the same plan, another seed another one."""
    assert Plan.draw(Seeded(3), STEPS) == Plan.draw(Seeded(3), STEPS)
    assert Plan.draw(Seeded(3), STEPS) != Plan.draw(Seeded(4), STEPS)


def test_labels_have_streams_of_their_own() -> None:
    """One more choice of one kind changes none of another."""
    one, other = Seeded(1), Seeded(1)
    other.pick("kind", 100)
    assert [one.pick("seed", 1000) for _ in range(5)] == [other.pick("seed", 1000) for _ in range(5)]


def test_a_tape_gives_the_plan_again() -> None:
    """What was recorded of one stream draws the same; a tape that ends early goes on with the dull choices."""
    taped = Taped(Seeded(9))
    plan = Plan.draw(taped, STEPS)
    assert plan == Plan.draw(Tape(taped.tape), STEPS)
    assert Plan.draw(Tape([]), 2).setup == Setup(seed=0, size=1, successors=1)


def test_a_tape_of_something_else_is_refused() -> None:
    """It says where they part."""
    with pytest.raises(TapeError, match=r"choice 0: size of 4 is asked for, the tape has .*'kind'"):
        Tape([Choice("kind", 4, 1)]).pick("size", 4)


def test_every_choice_is_made() -> None:
    """A choice among two, then among three for one of them and two for the other: five ways, none twice."""
    ways = []
    for choices in every_choice(100):
        first = choices.pick("first", 2)
        ways.append((first, choices.pick("second", 3 - first)))
    assert [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)] == ways
    assert 3 == sum(1 for choices in every_choice(3) if choices.pick("any", 10) >= 0)


def test_every_small_plan_holds() -> None:
    """A ring of two, and each of two happenings out of three, with all their numbers that differ for it."""
    kinds = ("join", "crash", "leave")
    count = 0
    for choices in every_choice(200):
        events = []
        for _ in range(2):
            kind = kinds[choices.pick("kind", 3)]
            numbers = {"via": 0} if kind == "join" else {"who": choices.pick("who", 2)}
            if kind == "crash":
                numbers["silent"] = choices.pick("silent", 2)
            events.append(Event(kind, numbers))
        Plan(Setup(size=2, successors=1), tuple(events)).run()
        count += 1
    assert 49 == count


def test_deviations_are_few() -> None:
    """All choices are dull but those, each after so many dull ones."""
    choices = Deviations([(2, 7), (0, 13)])
    assert [0, 0, 7, 3, 0, 0] == [choices.pick("link", 10) for _ in range(6)]
