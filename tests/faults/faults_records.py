"""Faults in what happens to records: versions, tombstones, acknowledgements, repair, hand-over."""

from __future__ import annotations

from tests.faults.injecting import Fault

FAULTS = (
    Fault(
        id="older-wins",
        words="an older version replaces a newer one",
        module="table",
        old="return than is None or version > than",
        new="return than is None or version < than",
        hunt="records in calm",
        check="D2",
    ),
    Fault(
        id="tombstone-forgotten",
        words="a deletion keeps no tombstone, and an old copy brings the record back",
        module="table",
        old="""\
        place, added = place_of(*key, self.bits), _hash(item)
""",
        new="""\
        if item.value is None:
            self.drop(*key)
            return True
        place, added = place_of(*key, self.bits), _hash(item)
""",
        hunt="old disks",
        check="D4",
    ),
    Fault(
        id="digest-blind-to-versions",
        words="two copies of different versions have the same digest",
        module="table",
        old="(item.space, item.version.encode(), item.name)",
        new="(item.space, b'', item.name)",
        hunt="old disks",
        check="D4",
    ),
    Fault(
        id="listing-page-lost",
        words="what follows the first page of a listing is not compared",
        module="sync",
        old="session.more = until is not None",
        new="session.more = False",
        hunt="many records",
        check="D10",
    ),
    Fault(
        id="clock-ignores-others",
        words="a node's versions do not sort after those that it has seen",
        module="versions",
        old="""\
        if (time, counter) > (self.time, self.counter):
            self.time, self.counter = time, counter
""",
        new="""\
        if (time, counter) < (0, 0):
            self.time, self.counter = time, counter
""",
        hunt="tests/proto/test_versions.py",
        check="test_a_write_sorts_after_what_was_seen",
    ),
    Fault(
        id="ack-before-durable",
        words="the owner acknowledges before its own copy is durable",
        module="coordinator",
        old="if coordination.asker is not None and coordination.durable:",
        new="if coordination.asker is not None:",
        hunt="tests/proto/test_durability.py",
        check="test_the_owner_counts_itself_only_once_it_is_durable",
    ),
    Fault(
        id="replica-answers-before-durable",
        words="a replica says that it has a copy which is not on its disk yet",
        module="coordinator",
        old="""\
            ctx.defer(asker)
            self.writes.keep(message.records, Kept(asker), shared=message.decided)
""",
        new="""\
            self.writes.keep(message.records, None, shared=message.decided)
            ctx.answer(asker, Done)
""",
        hunt="records in calm",
        check="D3",
    ),
    Fault(
        id="majority-one-fewer",
        words="a majority of three is one",
        module="coordinator",
        old="return width // 2 + 1",
        new="return (width + 1) // 2",
        hunt="records and newcomers",
        check="D3",
    ),
    Fault(
        id="half-is-a-majority",
        words="acknowledged at one fewer than a majority",
        module="coordinator",
        old="enough = len(acked) >= needed\n",
        new="enough = len(acked) >= needed - 1\n",
        hunt="records in calm",
        check="D3",
    ),
    Fault(
        id="block-with-a-majority",
        words="a block is acknowledged when a majority has it, not all",
        module="coordinator",
        old="return self.ring.width if space == Space.BLOCK else majority(self.ring.width)",
        new="return majority(self.ring.width)",
        hunt="tests/proto/test_replication.py",
        check="test_a_block_needs_as_many_addresses_as_the_ring_ever_had",
    ),
    Fault(
        id="replicas-of-one-address",
        words="a record's replicas are the next places, not the next addresses",
        module="routing",
        old="chosen.setdefault(peer.address, peer)",
        new="chosen.setdefault(f'{peer.address}#{peer.index}', peer)",
        hunt="records on virtual nodes",
        check="D3",
    ),
    Fault(
        id="failed-instead-of-unknown",
        words="a write without an answer is reported as failed, not as unknown",
        module="tasks",
        old="return self.in_doubt or self.unanswered",
        new="return self.in_doubt",
        hunt="tests/proto/test_replication.py",
        check="test_a_write_that_stays_incomplete_is_acknowledged_no_later_than_its_time",
    ),
    Fault(
        id="retry-decided-twice",
        words="a write that is asked for again is decided again, under a newer version",
        module="coordinator",
        old="if newest is not None and newest.write_id == message.write_id:",
        new="if newest is not None and newest.write_id == -1:",
        hunt="tests/proto/test_replication.py",
        check="test_a_retry_at_a_new_owner_is_recognised",
    ),
    Fault(
        id="read-before-durable",
        words="a value is read before it is durable",
        module="coordinator",
        old="held = self.writes.table.get(message.space, message.name)",
        new="held = self.writes.newest(message.space, message.name)",
        hunt="tests/proto/test_durability.py",
        check="test_the_old_value_is_read_until_the_new_one_is_durable",
    ),
    Fault(
        id="anybodys-decision",
        words="a replica keeps what any node says that it has decided",
        module="coordinator",
        old="if ctx.routing.closer_owner(place, message.source) is not None:",
        new="if place < 0:",
        hunt="tests/proto/test_replication.py",
        check="test_replicas_refuse_who_is_not_the_owner",
    ),
    Fault(
        id="disk-failure-unnoticed",
        words="a failed write counts as durable",
        module="writes",
        old="""\
        self.failed = True
        for done in self.pending.values():
            for purpose in done.purposes:
                self.ctx.outcomes.append((purpose, None, False))
""",
        new="""\
        self.failed = True
        for done in self.pending.values():
            for purpose in done.purposes:
                self.ctx.outcomes.append((purpose, None, True))
""",
        hunt="tests/proto/test_durability.py",
        check="test_after_a_failed_write_reads_are_served_and_writes_refused",
    ),
    Fault(
        id="never-repaired",
        words="copies are never compared",
        module="repair",
        old="if not self.waiting and self.ranges.is_ready:",
        new="if self.waiting is None:",
        hunt="records and crashes",
        check="D4",
    ),
    Fault(
        id="last-replica-not-compared",
        words="repair looks after all replicas but the last",
        module="repair",
        old="self.todo = [peer for peer in self.started[1] if peer.id != self.ctx.me.id]",
        new="self.todo = [peer for peer in self.started[1][:-1] if peer.id != self.ctx.me.id]",
        hunt="records and crashes",
        check="D4",
    ),
    Fault(
        id="surplus-kept",
        words="copies that belong elsewhere are kept for ever",
        module="repair",
        old="item = next(self.writes.table.outside(start, self.ctx.me.id), None)",
        new="item = next(self.writes.table.outside(start, start), None)",
        hunt="records and newcomers",
        check="D4",
    ),
    Fault(
        id="responsible-for-one-less",
        words="a node drops what it holds as the last of the R replicas",
        module="repair",
        old="if me.address in before or len(before) == self.ctx.config.replicas:",
        new="if me.address in before or len(before) == max(1, self.ctx.config.replicas - 1):",
        hunt="records and newcomers",
        check="D4",
    ),
    Fault(
        id="dropped-unconfirmed",
        words="surplus copies are dropped before their owner says that all replicas have them",
        module="repair",
        old="if owned and self.is_clean:",
        new="if owned:",
        hunt="tests/proto/test_repair.py",
        check="test_confirming_takes_a_clean_round",
    ),
    Fault(
        id="confirmed-for-others",
        words="a node confirms an arc that it does not own",
        module="repair",
        old="owned = routing.owns(message.end) and routing.owns(following)",
        new="owned = routing.owns(message.end) or routing.owns(following)",
        hunt="tests/proto/test_repair.py",
        check="test_confirming_takes_a_clean_round",
    ),
    Fault(
        id="leave-empty-handed",
        words="a leaver says that it has handed over what it has not",
        module="repair",
        old="arcs = [arc for arc in held if arc not in self.handed]",
        new="arcs = [arc for arc in held if arc in self.handed]",
        hunt="records and leavers",
        check="D1",
    ),
    Fault(
        id="leave-without-heir",
        words="a leaver goes without handing anything over",
        module="repair",
        old="heir = next((p for p in routing.successors if not routing.is_suspect(p) and p.id not in unwilling), None)",
        new="return self.membership.say_farewell(granted_to=None)",
        hunt="records and leavers",
        check="L9",
    ),
    Fault(
        id="hand-over-to-the-last",
        words="a leaver hands its range to the last of its successors",
        module="repair",
        old="heir = next((p for p in routing.successors if",
        new="heir = next((p for p in reversed(routing.successors) if",
        hunt="tests/proto/test_leave.py",
        check="test_the_records_go_first_then_the_word",
    ),
    Fault(
        id="arc-one-too-far",
        words="an arc begins at the node before, whose place is not on it: a hand-over off by one",
        module="places",
        old="low, high = start + 1, end + 1",
        new="low, high = start, end + 1",
        hunt="tests/proto/test_places.py",
        check="test_arcs",
    ),
    Fault(
        id="arc-without-its-end",
        words="the records on an arc are listed without those at its end",
        module="table",
        old="pieces = [(bisect_left(order, (start + 1,)), bisect_left(order, (end + 1,)))]",
        new="pieces = [(bisect_left(order, (start + 1,)), bisect_left(order, (end,)))]",
        hunt="tests/proto/test_table.py",
        check="TestTable",
    ),
    Fault(
        id="serve-before-granted",
        words="a new owner decides before the range is granted to it",
        module="ranges",
        old="return place in self.held and self.ctx.routing.owns(place)",
        new="return self.ctx.routing.owns(place)",
        hunt="records and newcomers",
        check="D10",
    ),
    Fault(
        id="serve-before-fetched",
        words="a range is served before its records are there",
        module="ranges",
        old="""\
            part.granter = granter
            self._pull(part, granter)
""",
        new="""\
            self._complete(part)
""",
        hunt="records and newcomers",
        check="D10",
    ),
    Fault(
        id="grant-ones-own",
        words="what a node still owns is granted to whoever asks",
        module="grants",
        old="free = ((held | never_learnt) - owned).arcs()",
        new="free = (held | never_learnt).arcs()",
        hunt="tests/proto/test_ranges.py",
        check="test_it_grants_what_it_gave_up_and_only_that",
    ),
    Fault(
        id="grant-kept",
        words="who has granted a range goes on holding it",
        module="grants",
        old="        self.held -= places\n        self._no_longer_given(places)\n        same",
        new="        self._no_longer_given(places)\n        same",
        hunt="one decider",
        check="one decider",
    ),
    Fault(
        id="grant-unsettled",
        words="a range is granted while a write to it is still on its way to disk",
        module="grants",
        old="elif self.writes.is_settled(start, end):",
        new="elif end >= 0:",
        hunt="tests/proto/test_ranges.py",
        check="test_it_grants_nothing_that_is_on_its_way_to_disk",
    ),
    Fault(
        id="grant-to-the-next-life",
        words="a grant is repeated to a later life of who had it",
        module="grants",
        old="elif message.first and each.life == message.incarnation and each.here:",
        new="elif message.first and each.here:",
        hunt="tests/proto/test_ranges.py",
        check="test_a_grant_is_repeated_to_the_same_life_only",
    ),
    Fault(
        id="orphaned-at-once",
        words="a newcomer does not ask who holds its range and pulls copies instead",
        module="ranges",
        old="if pending.by_grant and self._ask_next(pending, living):",
        new="if pending.granter and self._ask_next(pending, living):",
        hunt="one decider",
        check="one decider",
    ),
    Fault(
        id="no-doubt",
        words="a node that was taken for dead goes on deciding when it wakes",
        module="frame",
        old="            ranges.doubt()\n",
        new="",
        hunt="tests/proto/test_ranges.py",
        check="test_doubt_after_a_pause",
    ),
)
