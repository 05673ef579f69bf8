"""The judge of histories finds what is wrong in one."""

from __future__ import annotations

import pytest

from tests.histories import History, Operation

Noted = tuple[str, bytes | None, int, int | None, str | None]
"""Kind, value, beginning, end and version of an operation."""


def judged(*operations: Noted) -> list[str]:
    """Return the problems of a history of one key."""
    history = History()
    history.operations = [
        Operation(kind, "k", value, began, ended, failed=False, version=version)
        for kind, value, began, ended, version in operations
    ]
    return [words.removeprefix("k: ") for words in history.problems()]


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
        ([("get", b"1", 4, 5, "v1")], "version v1 is read after v2 was known"),
        ([("get", None, 4, 5, None)], "nothing is read after v2 was known, and no deletion explains it"),
        ([("get", b"9", 4, 5, "v9")], "b'9' is read, and nobody has written it"),
        ([("get", b"2", 4, 5, "v3")], "b'2' is read in version v3, it was written in v2"),
        ([("put", b"3", 4, 5, "v1")], "put got version v1 after v2 was known"),
        (
            [("put", b"3", 2, None, None), ("get", b"3", 4, 5, "v3"), ("get", b"2", 6, 7, "v2")],
            "version v2 is read after v3 was known",
        ),
        ([("delete", None, 4, 5, "v3"), ("get", b"2", 6, 7, "v2")], "version v2 is read after v3 was known"),
        (
            [("delete", None, 4, 5, "v3"), ("put", b"3", 6, 7, "v4"), ("get", None, 8, 9, None)],
            "nothing is read after v4 was known, and no deletion explains it",
        ),
        ([("put", b"3", 2, 5, "v2")], "version v2 is b'2' and b'3'"),
    ],
)
def test_what_cannot_be(then: list[Noted], words: str) -> None:
    """Lost, stale, going back, phantom, back from the dead: each is told."""
    assert words in judged(PUT, LATER, *then)
