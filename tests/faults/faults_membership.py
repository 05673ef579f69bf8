"""Faults in joining and leaving, and in timers."""

from __future__ import annotations

from tests.faults.injecting import Fault

FAULTS = (
    Fault(
        id="joiner-short-list",
        words="a joiner keeps one successor of the list that it was given",
        module="membership",
        old="successors, met_self = cut_list(me, given, ctx.config)",
        new="successors, met_self = cut_list(me, given[:1], ctx.config)",
        hunt="tests/proto/test_join.py",
        check="test_a_joiner_takes_over_the_whole_list_in_one_answer",
    ),
    Fault(
        id="joiner-without-the-sender",
        words="a joiner leaves the member that gave the list out of it where that came round",
        module="membership",
        old="given = (*answer.successors, step.peer) if answer.came_round else answer.successors",
        new="given = answer.successors",
        hunt="tests/proto/test_join.py",
        check="test_the_member_is_appended_when_its_list_came_round",
    ),
    Fault(
        id="joiner-anywhere",
        words="a joiner does not look whether it lies between the member and its successor",
        module="membership",
        old="if not between(step.peer.id, me.id, head.id) or head.id == me.id:",
        new="if head.id == me.id:",
        hunt="tests/proto/test_join.py",
        check="test_a_place_where_somebody_joined_first_is_looked_up_again",
    ),
    Fault(
        id="joiner-by-hearsay",
        words="a joiner takes over the list that a lookup told, unasked",
        module="membership",
        old="""\
        if not self.ctx.ask(found.predecessor, self.ring.step, GetNeighbours):
            self.ring.step = None
            self._try_again()
""",
        new="""\
        kept, met_self = cut_list(self.ctx.me, found.successors, self.ctx.config)
        self.ring.become_member(found.predecessor, kept, came_round=met_self)
""",
        hunt="tests/proto/test_join.py",
        check="test_a_joiner_takes_over_the_whole_list_in_one_answer",
    ),
    Fault(
        id="leaver-goes-unheard",
        words="a leaver stops before those who depend on it know",
        module="membership",
        old="return self.said and not self.waiting_for and self.ring.phase is Phase.LEAVING",
        new="return self.said and self.ring.phase is Phase.LEAVING",
        hunt="tests/proto/test_leave.py",
        check="test_who_depends_on_it_is_told_before_it_goes",
    ),
    Fault(
        id="strangers-farewell",
        words="anybody's word that a node leaves is believed",
        module="membership",
        old="if ctx.has_answered(leaver, message.incarnation) or",
        new="if message.incarnation or",
        hunt="tests/proto/test_leave.py",
        check="test_a_stranger_cannot_say_that_it_leaves",
    ),
    Fault(
        id="stopped-with-timers",
        words="a node that has left keeps its timers",
        module="membership",
        old="        ctx.timers.clear()\n",
        new="",
        hunt="departures",
        check="S15",
    ),
    Fault(
        id="timer-early",
        words="a timer falls due up to 50 ms early",
        module="timers",
        old="self.deadline > now else",
        new="self.deadline > now + 0.05 else",
        hunt="tests/proto/test_timers.py",
        check="test_nothing_falls_due_early",
    ),
    Fault(
        id="deadline-late",
        words="the deadline is the latest timer's where the earliest was moved",
        module="timers",
        old="self.deadline = heap[0][0] if heap else None",
        new="self.deadline = heap[-1][0] if heap else None",
        hunt="tests/proto/test_timers.py",
        check="TestTimers",
    ),
    Fault(
        id="timer-lost-when-moved",
        words="a timer that is moved to a later time is lost",
        module="timers",
        old="elif heap[0][2] == key:\n            self._prune()",
        new="elif heap[0][2] == key:\n            del armed[key]\n            self._prune()",
        hunt="growth",
        check="S15",
    ),
    Fault(
        id="request-without-end",
        words="a request is sent without a timer for its answer",
        module="context",
        old="""\
        self.timers.arm(("call", request), now + timeout)
        self.send(address, message)
""",
        new="        self.send(address, message)\n",
        hunt="growth",
        check="S14",
    ),
)
