"""The properties of the whole ring, kept up step by step: what one change did not touch is not worked out again."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from chord_proto._invariants_snapshot import principals_wanted, skipped
from chord_proto.config import Config
from chord_proto.peer import Peer


class Living:
    """The living members and their successor lists; tells whether the properties of scope Z hold.

    These are S1 to S7 and S9, and it looks at two: that everyone has a living successor (S1), and that there are
    r + 1 principals (S2), which imply the others (Zave, TSE 2017, section 5).  It is told of each change by `keep`
    and `lose`, and says only whether something is wrong: what, is said by `chord_proto.invariants.check`, which
    looks at everything anew.
    """

    def __init__(self, config: Config) -> None:
        self._wanted = principals_wanted(config)
        self._extended: dict[int, tuple[Peer, ...]] = {}
        """[me] + successors of each living member, by id."""
        self._ids: list[int] = []
        """Those ids, in order."""
        self._stranded: dict[int, None] = {}
        """Who has no living successor; a node alone is its own."""
        self._skips: dict[int, list[int]] = {}
        """Which living members each list skips, if any."""

    def keep(self, me: Peer, successors: tuple[Peer, ...]) -> None:
        """Take note that ``me`` lives and has this list."""
        known = self._extended.get(me.id)
        if known is not None and known[1:] == successors:
            return
        self._extended[me.id] = (me, *successors)
        if known is None:
            insort(self._ids, me.id)
            self._look_at(self._ids)
        else:
            self._look_at((me.id,))

    def lose(self, peer_id: int) -> None:
        """Take note that a node does not live any more, or is no member; harmless when it was none."""
        if self._extended.pop(peer_id, None) is not None:
            del self._ids[bisect_left(self._ids, peer_id)]
            self._stranded.pop(peer_id, None)
            self._skips.pop(peer_id, None)
            self._look_at(self._ids)

    def _look_at(self, changed: Iterable[int]) -> None:
        living = self._extended
        for peer_id in changed:
            extended = living[peer_id]
            alone = len(extended) == 1 and len(living) == 1
            if alone or any(peer.id in living for peer in extended[1:]):
                self._stranded.pop(peer_id, None)
            else:
                self._stranded[peer_id] = None
            skips = skipped(self._ids, extended)
            if skips:
                self._skips[peer_id] = skips
            else:
                self._skips.pop(peer_id, None)

    def holds(self, under_way: Iterable[tuple[Peer, ...]] = ()) -> bool:
        """Tell whether all is well; ``under_way`` are extended lists as their receivers will keep them."""
        if self._stranded:
            return False
        passed = {peer_id for skips in self._skips.values() for peer_id in skips}
        for extended in under_way:
            passed.update(skipped(self._ids, extended))
        return len(self._ids) - len(passed) >= self._wanted
