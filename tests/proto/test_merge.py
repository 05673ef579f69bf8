"""Finding the other side of a healed partition: probes, and what is proposed to stabilise (chord.md section 6)."""

from __future__ import annotations

from chord_proto.effects import Effect
from chord_proto.messages import Closer, FindSuccessor, Found, GetDigest, GetNeighbours, Neighbours, Ping
from chord_proto.node import Node
from chord_proto.peer import Peer
from tests.proto.rig import Rig, peer, request, sent

LATEST = 1000.0
"""Until when a probe must have been sent, by the rig's clock; probes come at most 30 s apart."""


def probing(lost: int = 30, *, busy: bool = False) -> tuple[Rig, Node]:
    """Return a member at 10 between 200 and 60 whose probe of a lost peer is under way; ``busy`` with a step, or not."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    settle(rig, node)
    node.ctx.suspect(peer(lost))
    while not probes(rig, lost) or busy != node.view().busy:
        assert rig.now < LATEST, "it does not probe"
        rig.tick(node, 0.05)
        rig.humour(Ping, GetDigest)
        if not (probes(rig, lost) and busy):
            settle(rig, node)
    return rig, node


def settle(rig: Rig, node: Node) -> None:
    """Let the first successor answer stabilise that nothing changed."""
    for parcel in list(rig.under_way):
        if isinstance(parcel.message, GetNeighbours):
            rig.reply(parcel.message, Neighbours, node.me, (peer(100), peer(150)), False, 3)


def probes(rig: Rig, lost: int) -> list[FindSuccessor]:
    """Return the questions to the lost peer that are under way."""
    return [
        parcel.message
        for parcel in rig.under_way
        if isinstance(parcel.message, FindSuccessor) and parcel.to == peer(lost).address
    ]


def found(rig: Rig, *places: int, lost: int = 30) -> list[Effect]:
    """Let the lost peer answer who follows the node at 10 on its side."""
    return rig.reply(probes(rig, lost)[-1], Found, peer(5), tuple(peer(each) for each in places), False)


def asked(effects: list[Effect]) -> list[int | None]:
    """Return who is asked for its list."""
    return [message.target for message in sent(GetNeighbours, effects)]


def answers(rig: Rig, node: Node, place: int) -> list[tuple[Peer, tuple[Peer, ...], bool]]:
    """Return what a node says for certain of a place."""
    effects = rig.receive(node, request(FindSuccessor, peer(100), node, place))
    return [(message.predecessor, message.successors, message.came_round) for message in sent(Found, effects)]


def next_probe(node: Node) -> float:
    """Return when the node probes again."""
    return dict(node.view().timers)["probe"]


def test_a_probe_that_nobody_answers_ends() -> None:
    """The lookup goes as its question does; nothing of it stays."""
    rig, node = probing()
    place = probes(rig, 30)[-1].place
    assert place in [lookup.place for lookup in node.lookups.active.values()]
    rig.take(node, node.unreachable(peer(30), now=rig.now))
    for _ in range(200):
        rig.tick(node, 0.02)
        settle(rig, node)
        rig.humour(Ping, GetDigest)
        if place not in [lookup.place for lookup in node.lookups.active.values()]:
            return
    raise AssertionError("the lookup is still there")


def test_a_probe_asks_for_the_place_after_ones_own() -> None:
    """Who is lost is asked who owns me + 1, on its side of the partition."""
    rig, _ = probing()
    assert [11] == [message.place for message in probes(rig, 30)]


def test_who_is_found_between_is_asked_and_adopted_once_it_answers() -> None:
    """A node of the other side between this one and its successor is a candidate as any other: asked, then adopted."""
    rig, node = probing()
    effects = found(rig, 30, 90)
    assert ([30], True, peer(60)) == (asked(effects), node.view().busy, node.successors[0])
    rig.reply(rig.asked(GetNeighbours, peer(30)), Neighbours, peer(5), (peer(90),), False, 3)
    assert (peer(30), peer(90)) == node.successors


def test_a_probe_does_not_come_back_to_the_node_itself() -> None:
    """The other side may name it as the closest before its place: it asks the next closest, not itself."""
    rig, _ = probing()
    effects = rig.reply(probes(rig, 30)[-1], Closer, (peer(10), peer(5)))
    assert [5] == [message.target for message in sent(FindSuccessor, effects)]


def test_who_is_found_behind_the_successor_is_not_asked() -> None:
    """Beyond the second successor too: nothing of the other side lies between, and the next probe takes its time."""
    rig, node = probing()
    later = next_probe(node)
    assert ([], False, later) == (asked(found(rig, 80, 90)), node.view().busy, next_probe(node))


def test_during_a_step_the_probe_is_repeated_soon() -> None:
    """Stabilise is busy: what was found is not asked now, and the next probe comes after the shortest interval."""
    rig, node = probing(busy=True)
    assert next_probe(node) > rig.now + 1.2 * rig.config.probe_interval
    assert [] == asked(found(rig, 30, 90))
    assert next_probe(node) <= rig.now + 1.2 * rig.config.probe_interval


def test_a_ring_of_one_asks_whoever_is_found() -> None:
    """Without a successor every other node lies between."""
    rig = Rig()
    node = rig.create(10)
    node.ctx.suspect(peer(30))
    while not probes(rig, 30):
        assert rig.now < LATEST, "it does not probe"
        rig.tick(node, 0.05)
    assert [90] == asked(found(rig, 90))


def test_with_a_successor_but_no_predecessor_yet_it_is_no_ring_of_one() -> None:
    """A ring of one that has adopted a successor is sure of what lies before that one, and of nothing else."""
    rig = Rig()
    node = rig.create(10)
    assert [(node.me, (node.me,), True)] == answers(rig, node, 190)
    node.ctx.suspect(peer(30))
    while not probes(rig, 30):
        assert rig.now < LATEST, "it does not probe"
        rig.tick(node, 0.05)
    found(rig, 90)
    rig.reply(rig.asked(GetNeighbours, peer(90)), Neighbours, peer(5), (peer(120),), False, 3)
    assert (None, (peer(90), peer(120))) == (node.predecessor, node.successors)
    assert [(node.me, (peer(90), peer(120)), False)] == answers(rig, node, 50)
    assert [] == answers(rig, node, 190)


def test_who_is_known_between_is_asked_without_a_probe() -> None:
    """Somebody of another ring may be known well: when its turn to probe comes the node asks it for its list."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    settle(rig, node)
    node.ctx.routing.learn((peer(30),), rig.now)
    due = next_probe(node)
    effects: list[Effect] = []
    while rig.now < due:
        settle(rig, node)
        rig.humour(Ping, GetDigest)
        effects = rig.tick(node, 0.05)
    assert [30] == [target for target in asked(effects) if target != 60]


def probed(place: int, seeds: tuple[int, ...], lost: tuple[int, ...], *, times: int) -> tuple[list[str], list[float]]:
    """Return whom a node at ``place`` probes, probe after probe, and how long it waits each time."""
    rig = Rig()
    node = rig.add(place)
    rig.take(node, node.join(rig.op(), [peer(each).address for each in seeds], now=rig.now))
    rig.meet(node, seeds[0], (60, 100), came_round=False)
    for each in lost:
        node.ctx.suspect(peer(each))
    asked, waits = [], []
    for _ in range(times):
        rig.under_way.clear()
        waits.append(next_probe(node) - rig.now)
        rig.tick(node, waits[-1])
        after = (place + 1) % 256
        found = [
            each for each in rig.under_way if isinstance(each.message, FindSuccessor) and each.message.place == after
        ]
        asked += [each.to for each in found]
    return asked, waits


def test_who_is_lost_and_the_seeds_take_turns() -> None:
    """Every other probe asks a lost peer, each in its turn, the others a seed."""
    asked, _ = probed(10, (200,), (30, 40), times=6)
    assert [30, 200, 40, 200, 30, 200] == [next(i for i in (30, 40, 200) if peer(i).address == to) for to in asked]


def test_without_lost_peers_all_seeds_are_asked() -> None:
    """Each seed has its turn, for a partition may have begun before this node joined; the circle closes after 255."""
    asked, _ = probed(255, (200, 210), (), times=4)
    assert [200, 210, 210, 200] == [next(i for i in (200, 210) if peer(i).address == to) for to in asked]


def test_a_node_does_not_probe_itself() -> None:
    """Its own address among the seeds is passed over."""
    asked, _ = probed(10, (200, 10), (), times=4)
    assert {peer(200).address} == set(asked)
    assert 2 == len(asked)


def test_probes_become_rare() -> None:
    """The interval doubles up to ``probe_interval_max``, a fifth more or less."""
    _, waits = probed(10, (200,), (), times=6)
    assert all(0.8 * each <= wait <= 1.2 * each for each, wait in zip((2, 4, 8, 16, 30, 30), waits, strict=True)), waits


def test_probes_are_frequent_again_once_somebody_falls_silent() -> None:
    """However rare they had become, the next one comes within the first interval."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    for _ in range(4):
        rig.under_way.clear()
        rig.tick(node, next_probe(node) - rig.now)
    assert next_probe(node) > rig.now + 10.0
    node.ctx.suspect(peer(100))
    rig.tick(node)
    assert next_probe(node) <= rig.now + 1.2 * rig.config.probe_interval
