"""Faults in the rules of the ring: stabilise, rectify, lists."""

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
                self._replace_predecessor(step.candidate)
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
        ctx.timers.arm(("stabilize", 0), ctx.now + ctx.rng.jitter(ctx.interval))
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
        ctx.timers.arm(("predecessor", 0), ctx.now + ctx.rng.jitter(ctx.interval))
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
        hunt="departures",
        check="S8",
    ),
    Fault(
        id="width-shrinks",
        words="a suspected neighbour makes the ring count as smaller than it was",
        module="ring_state",
        old="self.width = min(max(self.width, width, here), self.ctx.config.replicas)",
        new="self.width = min(here, self.ctx.config.replicas)",
        hunt="the last of three",
        check="D3",
    ),
    Fault(
        id="list-of-itself",
        words="a list does not end where it comes round to the node itself",
        module="routing",
        old="""\
        if peer_id == my_id:
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
        old="return nodes >= config.successors and (",
        new="return nodes > config.successors and (",
        hunt="tests/proto/test_routing.py",
        check="test_cutting_a_list",
    ),
    Fault(
        id="came-round-for-ever",
        words="a full list that lost an entry still says that it came round",
        module="ring",
        old="whole = routing.came_round and not (rest and is_full(self.ctx.me, routing.successors, self.ctx.config))",
        new="whole = routing.came_round",
        hunt="plan of a-list-that-came-round-once",
        check="S2",
    ),
    Fault(
        id="list-with-doubles",
        words="a peer that is told of twice is twice in the list",
        module="routing",
        old="        ids.add(peer_id)\n",
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
)
