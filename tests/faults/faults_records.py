"""Faults in what happens to one record: versions, tombstones, copies, acknowledgements."""

from __future__ import annotations

from tests.faults.injecting import Fault

FAULTS = (
    Fault(
        id="older-wins",
        words="an older version replaces a newer one",
        module="table",
        old="return than is None or version > than",
        new="return than is None or version < than",
        hunt="tests/proto/test_restore.py",
        check="test_what_is_not_newer_changes_nothing",
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
        module="quorums",
        old="return width // 2 + 1",
        new="return (width + 1) // 2",
        hunt="records and newcomers",
        check="D3",
    ),
    Fault(
        id="half-is-a-majority",
        words="acknowledged at one fewer than a majority",
        module="coordinator",
        old="enough = len(acked) >= wanted\n",
        new="enough = len(acked) >= wanted - 1\n",
        hunt="records in calm",
        check="D3",
    ),
    Fault(
        id="acknowledged-too-late",
        words="a write is acknowledged when its holders may have dropped their copies",
        module="coordinator",
        old="if enough and self.ctx.now < coordination.deadline:",
        new="if enough:",
        hunt="tests/proto/test_coordinator.py",
        check="test_nothing_is_acknowledged_too_late",
    ),
    Fault(
        id="block-with-a-majority",
        words="a block is acknowledged when a majority has it, not all",
        module="coordinator",
        old="quorum = ALL if message.space == Space.BLOCK else message.quorum",
        new="quorum = message.quorum",
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
        module="reads",
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
        id="block-unchecked",
        words="a block that was fetched is not compared with its key",
        module="tasks",
        old="return space != Space.BLOCK or (value is not None and content_key(value).to_bytes(20) == name)",
        new="return space != Space.BLOCK or value is not None",
        hunt="a liar",
        check="D9",
    ),
    Fault(
        id="copy-unchecked",
        words="a copy of a block that another hands over is not compared with its key",
        module="sync",
        old='item.version == "" and content_key(item.value).to_bytes(20) == item.name',
        new='item.version == ""',
        hunt="a liar",
        check="D9",
    ),
    Fault(
        id="failed-disks-count",
        words="replicas whose disks have failed count for a majority",
        module="writes",
        old="            if not (self.failed if peer.id == ctx.me.id else self.failing.get(peer.id) == ctx.life_of(peer))\n",
        new="            if not (peer.id == ctx.me.id and self.failed)\n",
        hunt="tests/proto/test_failing_disks.py",
        check="test_a_copy_that_a_disk_refuses",
    ),
    Fault(
        id="failed-disk-unsaid",
        words="a node whose disk has failed does not say so when copies are compared",
        module="sync",
        old="Digest, count, digest, self.writes.failed)",
        new="Digest, count, digest, False)",
        hunt="tests/proto/test_failing_disks.py",
        check="test_a_node_says_that_its_disk_has_failed",
    ),
)
