"""The judge of histories finds what is wrong in one."""

from __future__ import annotations

import pytest

from chord_adapters.testing import History
from chord_adapters.testing._history import Operation

Noted = tuple[str, bytes | None, int, int | None, str | None]
"""Kind, value, beginning, end and version of an operation."""


def judged(*operations: Noted) -> list[str]:
    """Return the problems of a history of one key."""
    history = History()
    history.operations = [
        Operation(kind, "k", value, began, ended, failed=False, version=version)
        for kind, value, began, ended, version in operations
    ]
    return [words.replace(" k:", "") for words in history.problems()]


PUT: Noted = ("put", b"1", 0, 1, "v1")
LATER: Noted = ("put", b"2", 2, 3, "v2")


@pytest.mark.parametrize(
    "then",
    [
        [("get", b"2", 4, 5, "v2")],
        [("get", b"1", 2, 5, "v1"), ("get", b"2", 2, 6, "v2")],
        [("delete", None, 4, 5, "v3"), ("get", None, 6, 7, None)],
        [("delete", None, 4, None, None), ("get", None, 5, 6, None)],
        [("delete", None, 4, None, None), ("get", b"2", 5, 6, "v2"), ("get", None, 7, 8, None)],
        [("put", b"3", 4, None, None), ("get", b"3", 5, 6, "v3"), ("get", b"3", 7, 8, "v3")],
        [("put", b"3", 4, None, None), ("get", b"2", 5, 6, "v2")],
    ],
)
def test_what_can_be(then: list[Noted]) -> None:
    """What overlaps may be seen or not, and so may what nobody knows the outcome of."""
    assert [] == judged(PUT, LATER, *then)


@pytest.mark.parametrize(
    "then, words",
    [
        ([("get", b"1", 4, 5, "v1")], "D10: version v1 is read after v2 was known"),
        ([("get", None, 4, 5, None)], "D10: nothing is read after v2 was known, and no deletion explains it"),
        ([("get", b"9", 4, 5, "v9")], "D9: b'9' is read, and nobody has written it"),
        ([("get", b"2", 4, 5, "v3")], "D6: b'2' is read in version v3, it was written in v2"),
        ([("put", b"3", 4, 5, "v1")], "D10: put got version v1 after v2 was known"),
        (
            [("put", b"3", 2, None, None), ("get", b"3", 4, 5, "v3"), ("get", b"2", 6, 7, "v2")],
            "D10: version v2 is read after v3 was known",
        ),
        ([("delete", None, 4, 5, "v3"), ("get", b"2", 6, 7, "v2")], "D10: version v2 is read after v3 was known"),
        (
            [("delete", None, 4, 5, "v3"), ("put", b"3", 6, 7, "v4"), ("get", None, 8, 9, None)],
            "D10: nothing is read after v4 was known, and no deletion explains it",
        ),
        ([("put", b"3", 2, 5, "v2")], "D6: version v2 is b'2' and b'3'"),
    ],
)
def test_what_cannot_be(then: list[Noted], words: str) -> None:
    """Lost, stale, going back, phantom, back from the dead: each is told."""
    assert words in judged(PUT, LATER, *then)


# What cannot be kept together


def noted(*steps: str) -> list[str]:
    """Return the problems of a history of one key: ``put 3`` or ``get 2``, of a majority, in version v3 or v2.

    ``one put 3`` is of one node, ``mortal put 3`` of something that expires, of ``unknown put 3`` nothing is heard,
    ``get -`` finds nothing; and what happens to the ring is the name of a method.
    """
    history = History()
    for step in steps:
        step, _, other = step.partition(" as ")
        *how, kind, number = ["", *step.split()] if " " in step else ["", step, ""]
        if kind == "lose":
            history.lose("k")
        elif kind == "final":
            history.steadied()
            history.final = True
        elif not number:
            getattr(history, kind)()
        else:
            value, version = (None, None) if number == "-" else (number.encode(), f"v{other or number}")
            given = value if kind == "put" else None
            operation = history.begin(kind, "k", given, strict="one" not in how, mortal="mortal" in how)
            if "unknown" not in how:
                history.end(operation, version, value)
    return [words.partition(":")[0] for words in history.problems()]


@pytest.mark.parametrize(
    "steps, expected",
    [
        (["get 1"], ["D10"]),
        (["one get 1"], []),
        (["final", "one get 1"], ["D1"]),
        (["disturb", "get 1"], []),
        (["disturb", "steadied", "get 1"], ["D10"]),
        (["disturb", "final", "one get 1"], ["D1"]),
        (["lose", "get 1"], []),
        (["lose", "put 3", "get 1"], ["D10"]),
        (["lose", "final", "get 1"], []),
        (["depart", "get 1"], ["D10"]),
    ],
    ids=" ".join,
)
def test_what_a_ring_keeps_together(steps: list[str], expected: list[str]) -> None:
    """After ``put 1`` and ``put 2``: what is older may be read where nothing else can be expected, and only there."""
    assert expected == noted("put 1", "put 2", *steps)


@pytest.mark.parametrize(
    "steps, expected",
    [
        (["put 1", "one put 2", "get 1"], []),
        (["put 1", "one put 2", "final", "get 1"], ["D1"]),
        (["put 1", "disturb", "put 2", "get 1"], []),
        (["put 1", "disturb", "put 2", "steadied", "get 1"], ["D10"]),
        (["mortal put 1", "get -"], []),
        (["mortal put 1", "put 2", "get -"], ["D10"]),
    ],
    ids=", ".join,
)
def test_what_binds_whoever_comes_later(steps: list[str], expected: list[str]) -> None:
    """What one node has acknowledged binds once copies agree; so does what was acknowledged while the ring was apart."""
    assert expected == noted(*steps)


@pytest.mark.parametrize("happened, expected", [([], ["D10"]), (["depart"], []), (["disturb", "steadied"], [])])
def test_what_was_read_and_never_acknowledged(happened: list[str], expected: list[str]) -> None:
    """It binds who reads afterwards, as long as all are there who may have it."""
    assert expected == noted("put 1", "unknown put 2", "get 2", *happened, "get 1")


@pytest.mark.parametrize(
    "steps, expected",
    [
        (["disturb", "delete 1", "put 2", "final", "get -"], ["D1"]),
        (["disturb", "put 1", "put 2", "final", "get 1 as 3"], ["D1"]),
        (["disturb", "put 1", "final", "get 1 as 3"], []),
        (["disturb", "put 1", "steadied", "get 1 as 3", "get 1 as 3"], []),
        (["put 1", "final", "get 1 as 3"], ["D6"]),
    ],
    ids=", ".join,
)
def test_what_two_owners_have_decided(steps: list[str], expected: list[str]) -> None:
    """A write may have two versions where there were two owners; but it is not back once it was replaced."""
    assert expected == noted(*steps)


def test_clocks_that_differ() -> None:
    """Then the later one of two owners may have written the older version, and the earlier one's is what stays."""
    history = History()
    history.disturb()
    history.clocks_agree = False
    for number, version in ((1, "v1"), (2, "v2")):
        history.end(history.begin("put", "k", b"%d" % number), version)
    history.steadied()
    history.end(history.begin("get", "k"), "v3", b"1")
    assert [] == history.problems()


def test_a_deletion_under_way_while_there_are_two_owners() -> None:
    """It was acknowledged in one version, and decided in a later one, too: what was put meanwhile may be gone."""
    history = History()
    history.disturb()
    deletion = history.begin("delete", "k")
    put = history.begin("put", "k", b"2")
    history.end(put, "v2")
    history.end(deletion, "v1")
    history.steadied()
    history.end(history.begin("get", "k"), None)
    assert [] == history.problems()
