"""Operations under way are bounded in number and bytes; the others wait, first come, first served; lines take turns."""

from __future__ import annotations

import pytest

from chord_adapters._runtime import Outcome
from chord_adapters._turns import (
    ALONE_AFTER,
    MOST_BYTES_OF_ONE_LINE,
    MOST_BYTES_UNDER_WAY,
    MOST_OF_ONE_LINE,
    MOST_UNDER_WAY,
    Turns,
)
from chord_proto.operations import Await, Delete, Get, Locate, Operation, Put, Restore, Scan, Store


class NoWaiter:
    """Nobody waits."""

    def resolve(self, outcome: Outcome) -> None:
        """Ignore it."""

    async def wait(self) -> Outcome:
        """Never called."""
        raise NotImplementedError


def draw(turns: Turns, operation: Operation, deadline: float = 10.0, line: str = "") -> int:
    """Draw a ticket; return its number."""
    return turns.draw(operation, deadline, NoWaiter(), line=line).number


def started(turns: Turns) -> list[int]:
    """Start all whose turn it is."""
    numbers = []
    while (ticket := turns.next()) is not None:
        numbers.append(ticket.number)
    return numbers


def test_bounded_in_number() -> None:
    """So many are under way; with each that ends the next one starts."""
    turns = Turns()
    numbers = [draw(turns, Locate(7)) for _ in range(MOST_UNDER_WAY + 3)]
    assert started(turns) == numbers[:MOST_UNDER_WAY]
    assert not turns.room
    assert turns.end(turns.under_way[numbers[5]])
    assert started(turns) == [numbers[MOST_UNDER_WAY]]
    for ticket in list(turns.under_way.values()):
        turns.end(ticket)
    assert started(turns) == numbers[MOST_UNDER_WAY + 1 :]
    assert turns.room


@pytest.mark.parametrize(
    "large",
    [
        Put(b"k", bytes(MOST_BYTES_UNDER_WAY)),
        Store(bytes(MOST_BYTES_UNDER_WAY)),
        Restore(b"k", bytes(MOST_BYTES_UNDER_WAY), ""),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_bounded_in_bytes(large: Operation) -> None:
    """A few large values fill the bound, but one alone may always go, however large."""
    turns = Turns()
    numbers = [draw(turns, large), draw(turns, Store(bytes(10)))]
    assert started(turns) == numbers[:1]
    turns.end(turns.under_way[numbers[0]])
    assert started(turns) == numbers[1:]


def test_lines_take_turns() -> None:
    """Who asks for little does not wait for all that another has asked for before."""
    turns = Turns()
    fill = [draw(turns, Locate(0)) for _ in range(MOST_UNDER_WAY)]
    started(turns)
    long = [draw(turns, Locate(7), line="a") for _ in range(5)]
    short = [draw(turns, Locate(7), line="b") for _ in range(2)]
    assert turns.longest() == ("a", 5)
    assert (turns.waiting("a"), turns.waiting("b"), turns.waiting("c")) == (5, 2, 0)
    assert turns.pop_last("a").number == long.pop()
    for number in fill:
        turns.end(turns.under_way[number])
    assert started(turns) == [long[0], short[0], long[1], short[1], long[2], long[3]]
    assert turns.longest() == ("", 0)


def test_one_line_has_a_share() -> None:
    """Of one client so many are under way while there are others; the process's own calls have no such bound."""
    turns = Turns()
    crowd(turns)
    own = [draw(turns, Locate(7)) for _ in range(2 * MOST_OF_ONE_LINE)]
    assert started(turns) == own
    long = [draw(turns, Locate(7), deadline=3.0, line="a") for _ in range(MOST_OF_ONE_LINE + 2)]
    assert started(turns) == long[:MOST_OF_ONE_LINE]
    short = draw(turns, Locate(7), line="b")
    assert started(turns) == [short]
    turns.end(turns.under_way[long[0]])
    assert started(turns) == [long[MOST_OF_ONE_LINE]]
    watching = [draw(turns, Await(b"k", "cursor"), line="c") for _ in range(3 * MOST_OF_ONE_LINE)]
    assert started(turns) == watching
    large = [draw(turns, Store(bytes(MOST_BYTES_OF_ONE_LINE)), line="d") for _ in range(2)]
    assert started(turns) == large[:1]
    scans = [draw(turns, Scan(0), line="e") for _ in range(2)]
    assert started(turns) == scans[:1]


def crowd(turns: Turns) -> None:
    """Let two clients have been there a moment ago."""
    for line in ("x", "y", "x"):
        number = draw(turns, Locate(7), line=line)
        started(turns)
        turns.end(turns.under_way[number])


def test_who_is_alone_has_all_there_is() -> None:
    """A client that nobody else competes with is not held up; it is again as soon as somebody comes, and for a while after."""
    turns = Turns()
    alone = [draw(turns, Locate(7), line="a") for _ in range(2 * MOST_OF_ONE_LINE)]
    assert started(turns) == alone
    other = draw(turns, Locate(7), line="b")
    more = draw(turns, Locate(7), line="a")
    assert started(turns) == [other]
    for number in (other, *alone):
        turns.end(turns.under_way[number])
    assert started(turns) == [more]
    turns.end(turns.under_way[more])
    for _ in range(ALONE_AFTER):
        one = draw(turns, Locate(7), line="a")
        started(turns)
        turns.end(turns.under_way[one])
    again = [draw(turns, Locate(7), line="a") for _ in range(2 * MOST_OF_ONE_LINE)]
    assert started(turns) == again


def test_waiting_too_long() -> None:
    """Who waits longer than allowed is taken out; those under way are not this table's business."""
    turns = Turns()
    first = draw(turns, Put(b"k", bytes(MOST_BYTES_UNDER_WAY)), deadline=1.0)
    started(turns)
    second, third = draw(turns, Get(b"k"), deadline=5.0), draw(turns, Get(b"k"), deadline=3.0)
    assert turns.deadline == 3.0
    assert turns.pop_late(2.0) is None
    late = turns.pop_late(3.0)
    assert late is not None
    assert late.number == third
    assert not turns.end(late)
    assert turns.pop_late(3.0) is None
    turns.end(turns.under_way[first])
    assert started(turns) == [second]
    assert turns.deadline is None


def test_ending_what_waits() -> None:
    """A cancelled ticket never has its turn."""
    turns = Turns()
    draw(turns, Put(b"k", bytes(MOST_BYTES_UNDER_WAY)))
    started(turns)
    waiting = turns.draw(Get(b"k"), 5.0, NoWaiter())
    assert turns.end(waiting)
    assert not turns.end(waiting)
    assert [ticket.number for ticket in turns.drain()] == [1]
    assert turns.next() is None
    assert turns.room


def test_what_is_a_write() -> None:
    """A block may be stored twice without anybody noticing; a record not."""
    turns = Turns()
    writes = [turns.draw(each, 5.0, NoWaiter()).is_write for each in (Put(b"", b""), Delete(b""), Store(b""), Get(b""))]
    assert writes == [True, True, False, False]
