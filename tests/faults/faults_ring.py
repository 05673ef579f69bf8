"""Faults in the rules of the ring: stabilise, rectify, joining, lists, timers."""

from __future__ import annotations

from tests.faults.injecting import Fault

FAULTS = (
    Fault(
        id="candidate-unasked",
        words="stabilise adopts its successor's predecessor without asking it",
        module="ring",
        old="""\
                self._ask(AskCandidate(between_us))
                return
            self.ctx.notify(successor)
""",
        new="""\
                kept, _ = cut_list(self.ctx.me, (between_us, *routing.successors), self.ctx.config)
                self.set_successors(kept, came_round=routing.came_round)
                successor = between_us
            self.ctx.notify(successor)
""",
        hunt="growth",
        check="S13",
    ),
    Fault(
        id="list-tail-kept",
        words="stabilise takes over the head of a list and keeps its own old tail",
        module="ring",
        old="given = (head, *answer.successors)",
        new="given = (head, *(peer for peer in self.ctx.routing.successors if peer.id != head.id))",
        hunt="growth",
        check="L1",
    ),
    Fault(
        id="rectify-any-notifier",
        words="rectify takes any notifier for its predecessor",
        module="ring",
        old="if present is None or between(present.id, candidate.id, me.id):",
        new="if present is None or present.id != candidate.id:",
        hunt="growth",
        check="S12",
    ),
    Fault(
        id="dead-predecessor-kept",
        words="a predecessor found dead does not give way to the candidate",
        module="ring",
        old="""\
            if present is not None and present.id == step.peer.id:
                self.set_predecessor(step.candidate)
""",
        new="",
        hunt="tests/proto/test_rectify.py",
        check="test_a_dead_predecessor_gives_way_to_the_candidate",
    ),
    Fault(
        id="predecessor-emptied",
        words="a suspected predecessor is dropped before there is another",
        module="ring",
        old="""\
        if self.slot == peer:
            self.slot = None
""",
        new="""\
        if self.slot == peer:
            self.slot = None
        if routing.predecessor == peer:
            self.set_predecessor(None)
""",
        hunt="failures",
        check="S12",
    ),
    Fault(
        id="dial-back-skipped",
        words="a notifier is believed before it has answered at its address",
        module="ring",
        old="elif incarnation and self.ctx.has_answered(candidate, incarnation):",
        new="elif candidate.id != self.ctx.me.id:",
        hunt="tests/proto/test_rectify.py",
        check="test_a_notifier_that_does_not_answer_changes_nothing",
    ),
    Fault(
        id="busy-drops-notification",
        words="a busy node forgets the notification that came meanwhile",
        module="ring",
        old="""\
            self._wait_in_slot(candidate)
        elif incarnation""",
        new="""\
            pass
        elif incarnation""",
        hunt="tests/proto/test_rectify.py",
        check="test_the_closest_notification_waits_in_the_slot",
    ),
    Fault(
        id="slot-keeps-the-farthest",
        words="of several notifications the farthest waits, not the closest",
        module="ring",
        old="if self.slot is None or between(self.slot.id, candidate.id, self.ctx.me.id):",
        new="if self.slot is None or not between(self.slot.id, candidate.id, self.ctx.me.id):",
        hunt="tests/proto/test_rectify.py",
        check="test_the_closest_notification_waits_in_the_slot",
    ),
    Fault(
        id="never-busy",
        words="a list that is about to change is told to others",
        module="ring",
        old="""\
        if self.step is not None:
            self.ctx.answer(asker, Busy)
            return
""",
        new="",
        hunt="tests/proto/test_rectify.py",
        check="test_questions_about_the_ring_state_are_answered_busy",
    ),
    Fault(
        id="busy-is-death",
        words="a successor that is busy is taken for dead",
        module="ring",
        old="""\
        elif isinstance(answer, Busy):
            self._retry_later()
        elif has_failed(answer):
            self._fail(successor, answer)
""",
        new="""\
        elif isinstance(answer, Busy) or has_failed(answer):
            self._fail(successor, answer)
""",
        hunt="explore 3+1",
        check="S2",
    ),
    Fault(
        id="never-notified",
        words="stabilise does not notify its successor",
        module="ring",
        old="""\
            self.ctx.notify(successor)
            self._end_step()
        elif""",
        new="""\
            self._end_step()
        elif""",
        hunt="growth",
        check="L1",
    ),
    Fault(
        id="step-never-ends",
        words="a node that was refused stays busy for ever",
        module="ring",
        old="""\
        ctx = self.ctx
        self._end_step()
        ctx.timers.arm_earlier(("stabilize", 0)""",
        new="""\
        ctx = self.ctx
        ctx.timers.arm_earlier(("stabilize", 0)""",
        hunt="short lists",
        check="S16",
    ),
    Fault(
        id="stabilize-timer-lost",
        words="stabilise runs once and does not arm its timer again",
        module="ring",
        old="""\
        ctx.timers.arm(("stabilize", 0), ctx.now + ctx.rng.jitter(ctx.config.stabilize_interval))
        self.stabilize()
""",
        new="        self.stabilize()\n",
        hunt="growth",
        check="S15",
    ),
    Fault(
        id="predecessor-timer-lost",
        words="the predecessor is asked once whether it lives, and never again",
        module="ring",
        old="""\
        ctx.timers.arm(("predecessor", 0), ctx.now + ctx.rng.jitter(ctx.config.stabilize_interval))
        predecessor""",
        new="        predecessor",
        hunt="growth",
        check="S15",
    ),
    Fault(
        id="came-round-forgotten",
        words="that a shorter list came round is not taken over with it",
        module="ring",
        old="came_round=met_self or (answer.came_round and len(kept) == len(given))",
        new="came_round=False",
        hunt="last of all",
        check="L1",
    ),
    Fault(
        id="second-never-asked",
        words="a node with an empty list does not ask its predecessor",
        module="ring",
        old="        elif routing.predecessor is not None:\n            candidate",
        new="        elif routing.predecessor is not None and routing.came_round is None:\n            candidate",
        hunt="last of all",
        check="L1",
    ),
    Fault(
        id="last-node-not-alone",
        words="the last node left keeps its dead predecessor",
        module="ring",
        old="""\
        elif self.ctx.routing.predecessor is not None:
            self.set_predecessor(None)
""",
        new="",
        hunt="last of all",
        check="L1",
    ),
    Fault(
        id="oneself-before-oneself",
        words="the list of predecessors runs on past the node itself",
        module="ring_state",
        old="""\
            if peer.id == me.id:
                break
            if between(me.id, peer.id, kept[-1].id):
""",
        new="            if peer.id != kept[-1].id:\n",
        hunt="growth",
        check="S8",
    ),
    Fault(
        id="width-shrinks",
        words="a suspected neighbour makes the ring count as smaller than it was",
        module="ring_state",
        old="self.width = min(max(self.width, width, here), self.ctx.config.replicas)",
        new="self.width = min(here, self.ctx.config.replicas)",
        hunt="plan 4",
        check="D3",
    ),
    Fault(
        id="list-of-itself",
        words="a list does not end where it comes round to the node itself",
        module="routing",
        old="""\
        if peer.id == me.id:
            return tuple(kept), True
""",
        new="",
        hunt="last of all",
        check="L1",
    ),
    Fault(
        id="list-one-longer",
        words="a successor list has r + 1 entries",
        module="routing",
        old="if len(kept) >= config.successors and (",
        new="if len(kept) > config.successors and (",
        hunt="tests/proto/test_routing.py",
        check="test_cutting_a_list",
    ),
    Fault(
        id="list-with-doubles",
        words="a peer that is told of twice is twice in the list",
        module="routing",
        old="        ids.add(peer.id)\n",
        new="",
        hunt="tests/proto/test_routing.py",
        check="test_cutting_a_list",
    ),
    Fault(
        id="no-merge",
        words="nobody looks for a lost part of the ring",
        module="merge",
        old="""\
        self.arm()
        place =""",
        new="""\
        self.arm()
        return
        place =""",
        hunt="partition",
        check="L1",
    ),
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
        hunt="one decider",
        check="one decider",
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
        old="elif entry[0] > now:",
        new="elif entry[0] > now + 0.05:",
        hunt="tests/proto/test_timers.py",
        check="test_nothing_falls_due_early",
    ),
    Fault(
        id="deadline-late",
        words="the deadline is the latest timer's where the earliest was moved",
        module="timers",
        old="return min((entry[0] for entry in self._armed.values()), default=None)",
        new="return max((entry[0] for entry in self._armed.values()), default=None)",
        hunt="tests/proto/test_timers.py",
        check="TestTimers",
    ),
    Fault(
        id="timer-lost-when-moved",
        words="a timer that is moved to a later time is lost",
        module="timers",
        old="if armed.get(entry[2]) is not entry:\n                heappop(heap)\n            elif",
        new="if armed.get(entry[2]) is not entry:\n                heappop(heap)\n                armed.pop(entry[2], None)\n            elif",
        hunt="growth",
        check="S15",
    ),
    Fault(
        id="request-without-end",
        words="a request is sent without a timer for its answer",
        module="context",
        old="""\
        self.timers.arm(("call", request), self.now + call.timeout)
        self.send(address, message)
""",
        new="        self.send(address, message)\n",
        hunt="growth",
        check="S14",
    ),
)
