"""Faults in arithmetic on the circle, in routing, lookups and fingers."""

from __future__ import annotations

from tests.faults.injecting import Fault

FAULTS = (
    Fault(
        id="between-closed-end",
        words="the open interval contains its end",
        module="identifiers",
        old="return start < place < end",
        new="return start < place <= end",
        hunt="failures",
        check="S8",
    ),
    Fault(
        id="between-closed-start",
        words="the open interval contains its start",
        module="identifiers",
        old="return start < place < end",
        new="return start <= place < end",
        hunt="tests/proto/test_identifiers.py",
        check="test_between_walks_the_circle",
    ),
    Fault(
        id="between-not-round",
        words="an open interval that passes zero is empty before it",
        module="identifiers",
        old="return place > start or place < end",
        new="return place < end",
        hunt="growth",
        check="L3",
    ),
    Fault(
        id="within-open-end",
        words="the half-open interval lacks its end: a node does not own its own id",
        module="identifiers",
        old="return start < place <= end",
        new="return start < place < end",
        hunt="lookups",
        check="L6",
    ),
    Fault(
        id="within-closed-start",
        words="the half-open interval contains its start: a node owns its predecessor's id",
        module="identifiers",
        old="return start < place <= end",
        new="return start <= place <= end",
        hunt="lookups",
        check="L6",
    ),
    Fault(
        id="distance-backwards",
        words="distances are measured against the clock",
        module="identifiers",
        old="return (end - start) & ((1 << bits) - 1)",
        new="return (start - end) & ((1 << bits) - 1)",
        hunt="fingers",
        check="L5",
    ),
    Fault(
        id="preceding-includes-the-place",
        words="the closest preceding peers begin at the place itself, and so find none",
        module="routing",
        old="""\
        ids, total, me = self.ids, len(self.ids), self.me.id
        position = bisect_left(ids, place)
""",
        new="""\
        ids, total, me = self.ids, len(self.ids), self.me.id
        position = bisect_left(ids, place + 1)
""",
        hunt="lookups",
        check="L6",
    ),
    Fault(
        id="suspects-named",
        words="a suspected peer is named to those who look for an owner",
        module="routing",
        old="""\
            if candidate not in self.suspects:
                found.append(self.known[candidate].peer)
                if len""",
        new="""\
            if candidate in self.known:
                found.append(self.known[candidate].peer)
                if len""",
        hunt="tests/proto/test_routing.py",
        check="test_closest_preceding_against_brute_force",
    ),
    Fault(
        id="owner-by-stale-range",
        words="a write goes to the next known peer, whatever range that one was told to own",
        module="routing",
        old="or not within(known.after, place, known.peer.id)",
        new="or known.after == place",
        hunt="tests/proto/test_routing.py",
        check="test_the_likely_owner",
    ),
    Fault(
        id="finger-start-excluded",
        words="a finger does not name the node that lies at its very beginning",
        module="routing",
        old="            if within(before, start, peer.id):\n                return peer\n            before",
        new="            if within(before, start, peer.id) and start != peer.id:\n                return peer\n            before",
        hunt="tests/proto/test_routing.py",
        check="test_fingers_within_the_list_are_read_off_it",
    ),
    Fault(
        id="known-without-bound",
        words="the table of known peers is never cut",
        module="routing",
        old="if len(self.known) >= self.config.max_known_peers:",
        new="if len(self.known) < 0:",
        hunt="tests/proto/test_bounds.py",
        check="test_known_and_lost_peers",
    ),
    Fault(
        id="hop-not-closer",
        words="a lookup goes on to whoever an answer names, closer or not",
        module="lookup",
        old="""\
                and between(best.id, peer.id, place)
            ):
                lookup.candidates.append(peer)
                known.add(peer.id)
        lookup.candidates = [peer for peer in lookup.candidates if between(best.id, peer.id, place)]
        lookup.candidates.sort(key=lambda peer: distance(peer.id, place, bits))
""",
        new="""\
            ):
                lookup.candidates.append(peer)
                known.add(peer.id)
        lookup.candidates.sort(key=lambda peer: distance(place, peer.id, bits))
""",
        hunt="tests/proto/test_lookup.py",
        check="test_each_question_comes_closer",
    ),
    Fault(
        id="asked-twice",
        words="a lookup may ask the same peer twice",
        module="lookup",
        old="""\
            lookup.asked[peer.id] = None
            if ctx.ask(peer, Asked(lookup.number), FindSuccessor, lookup.place):
""",
        new="            if ctx.ask(peer, Asked(lookup.number), FindSuccessor, lookup.place):\n",
        hunt="tests/proto/test_lookup.py",
        check="test_a_slow_peer_that_is_named_again_is_not_asked_again",
    ),
    Fault(
        id="last-step-skipped",
        words="whoever is asked names its own successor as the owner",
        module="lookup",
        old="if routing.successors and within(me.id, place, routing.successors[0].id):",
        new="if routing.successors:",
        hunt="growth",
        check="L3",
    ),
    Fault(
        id="second-successor-named",
        words="the owner's predecessor names the node behind the owner",
        module="lookup",
        old="return Outcome(me, routing.successors, routing.came_round, ())",
        new="return Outcome(me, routing.successors[1:] or routing.successors, routing.came_round, ())",
        hunt="lookups",
        check="L6",
    ),
    Fault(
        id="owner-believed",
        words="an answer is believed that names an owner which does not own the place",
        module="lookup",
        old="if not answer.successors or not within(answer.predecessor.id, place, answer.successors[0].id):",
        new="if not answer.successors:",
        hunt="tests/proto/test_lookup.py",
        check="test_an_owner_that_does_not_own_is_reported",
    ),
    Fault(
        id="lookup-waits-for-the-slow",
        words="a lookup does not ask anybody else while a hop is slow",
        module="lookup",
        old="lookup.allowed = min(lookup.allowed + 1, self.ctx.config.lookup_parallelism)",
        new="lookup.allowed = 1",
        hunt="tests/proto/test_lookup.py",
        check="test_an_answer_overtakes_slow_candidates",
    ),
    Fault(
        id="hops-without-bound",
        words="a lookup follows answers for ever",
        module="lookup",
        old="if len(lookup.path) >= ctx.config.max_hops:",
        new="if len(lookup.path) < 0:",
        hunt="tests/proto/test_lookup.py",
        check="test_the_hops_are_bounded",
    ),
    Fault(
        id="fingers-one-too-far",
        words="the owner of an arc is set as one finger too many",
        module="fingers",
        old="return list(range(low.bit_length(), high.bit_length()))",
        new="return list(range(low.bit_length(), min(high.bit_length() + 1, bits)))",
        hunt="fingers",
        check="L5",
    ),
    Fault(
        id="death-found-one-by-one",
        words="who does not answer is waited for before those after it are asked whether they live",
        module="frame",
        old="                    ring.probe_after(peer)\n",
        new="                    pass\n",
        hunt="tests/proto/test_suspicion.py",
        check="test_those_after_a_silent_peer_are_asked_whether_they_live",
    ),
    Fault(
        id="dead-owner-named",
        words="a plain read waits until the next owner has noticed that the owner died, though it has a copy",
        module="tasks",
        old="            task.rest = [answer.source]\n",
        new="            task.rest = []\n",
        hunt="tests/proto/test_lookup.py",
        check="test_who_has_not_noticed_that_the_owner_died_is_asked_for_its_copy",
    ),
)
