"""The simulated network itself: what travels, what is lost, what a crash, a pause and a slow disk do."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from chord_adapters.memory import Network, NotReached, Step
from chord_proto.config import Config
from chord_proto.effects import PeerFailed
from chord_proto.messages import Answer, Message, Request
from chord_proto.operations import Failed, Failure, Fetched, Get, Left, Locate, Located, Put, Stored
from chord_proto.phase import Phase
from chord_proto.wire import Codec


def ring(size: int, seed: int = 1, **options: Any) -> Network:
    """Return a network in which nodes a, b, … are members of one ring."""
    net = Network(seed, **options)
    for index in range(size):
        net.spawn(chr(ord("a") + index), join=["a"] if index else [])
        net.run_for(0.2)
    net.run_until(lambda: all(node.ready for node in net.nodes), within=30)
    return net


def history(seed: int, **options: object) -> list[tuple[float, str, str]]:
    """Return every event of a run."""
    net = ring(5, seed, **options)
    net.perform("b", Put(b"k", b"v"))
    net.crash("c")
    net.run_for(20)
    return [(entry.at, entry.address, str(entry.event)) for entry in net.events]


@pytest.mark.parametrize(
    "weather", [{}, {"loss": 0.1, "duplicate": 0.1, "reorder": 0.3}, {"write_delay": 0.05}], ids=str
)
def test_everything_follows_from_the_seed(weather: dict[str, object]) -> None:
    """One seed is one history; another seed is another."""
    assert history(7, **weather) == history(7, **weather)
    assert history(7, **weather) != history(8, **weather)


def travels(**options: Any) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return when messages were sent and arrived, from whom to whom, in an idle ring."""
    net = ring(3, **options)
    seen: dict[tuple[str, str], set[tuple[float, float]]] = {}
    for _ in range(4000):
        net.run_for(0.002)
        for sent in net.in_flight():
            seen.setdefault((sent.sender, sent.to), set()).add((sent.sent, sent.arrives))
    return {pair: sorted(times) for pair, times in seen.items()}


def test_messages_take_their_time() -> None:
    """Each message arrives within the latency given, unless it waits for one before it."""
    times = [time for pair in travels(latency=(0.010, 0.030), reorder=1.0).values() for time in pair]
    assert len(times) > 100
    took = [round(arrives - sent, 6) for sent, arrives in times]
    assert min(took) >= 0.010
    assert max(took) <= 0.030
    assert max(took) - min(took) > 0.015


def test_messages_keep_their_order_unless_reordered() -> None:
    """No message overtakes one sent earlier to the same address, but for the share that is reordered."""

    def overtaken(reorder: float) -> int:
        pairs = travels(latency=(0.001, 0.2), reorder=reorder).values()
        return sum(
            first[0] < second[0] and first[1] > second[1] for times in pairs for first, second in pairwise(times)
        )

    assert 0 == overtaken(0.0)
    assert overtaken(1.0) > 0


def test_duplication() -> None:
    """A share of the messages arrives twice, none three times."""
    arrived: list[object] = []
    net = ring(4, duplicate=0.3, watch=lambda step: arrived.append(step.argument) if step.kind == "receive" else None)
    net.run_for(5)
    times = Counter(id(message) for message in arrived)
    assert {1, 2} == set(times.values())
    assert 0.2 < sum(count == 2 for count in times.values()) / len(times) < 0.4


def test_loss() -> None:
    """A share of the messages is lost; operations get through all the same."""
    net = ring(4, loss=0.2)
    assert isinstance(net.do("b", Put(b"k", b"v")), Stored)
    assert isinstance(net.do("c", Get(b"k")), Fetched)
    assert 0.1 < net.counts["lost"] / net.counts["sent"] < 0.3


def test_losing_everything() -> None:
    """With all messages lost nobody joins."""
    net = Network(1, loss=1.0)
    net.spawn("a")
    net.spawn("b", join=["a"])
    net.run_for(20)
    assert net.node("b").phase is Phase.JOINING


def test_a_killed_process_is_noticed_at_once_a_dead_machine_by_its_silence() -> None:
    """A crash breaks connections, so that it is suspected within a second; a silent one takes the retries."""

    def noticed(*, silent: bool) -> float:
        net = ring(3)
        net.run_for(5)
        began = net.now
        net.crash("c", silent=silent)
        net.run_for(10)
        return min(entry.at for entry in net.events if isinstance(entry.event, PeerFailed)) - began

    assert noticed(silent=False) < 0.1
    assert 1.0 < noticed(silent=True) < 5.0


def test_dialling_a_dead_address_is_refused() -> None:
    """What is sent to a dead or never used address comes back as unreachable; to a silent one, it vanishes."""
    reports: list[object] = []
    net = Network(1, watch=lambda step: reports.append(step.argument) if step.kind == "unreachable" else None)
    net.spawn("a")
    net.spawn("b", join=["nobody", "a"])
    net.run_for(2)
    assert "nobody" in reports
    net.crash("a", silent=True)
    reports.clear()
    net.spawn("c", join=["a"])
    net.run_for(5)
    assert [] == reports


def askers(steps: list[Step]) -> set[tuple[str, str]]:
    """Return who was asked something by whom: (asker, asked)."""
    return {
        (step.argument.source.address, step.node.me.address)
        for step in steps
        if isinstance(step.argument, Request) and step.argument.source is not None
    }


def test_partition_separates_groups_in_silence() -> None:
    """Across a partition nothing arrives and nothing is reported; within groups, and for bystanders, all goes on."""
    steps: list[Step] = []
    net = ring(4)
    net.partition(["a", "b"], ["c"])
    net.watch = steps.append
    net.run_for(10)
    asked = askers(steps)
    assert not asked & {("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}
    for one, other in ({"a"}, {"b"}), ({"a", "b"}, {"d"}), ({"c"}, {"d"}):
        assert any({asker, who} <= one | other and asker != who for asker, who in asked), (one, other)
    assert not [step for step in steps if step.kind == "unreachable"]
    net.heal()
    net.run_for(30)
    steps.clear()
    net.run_for(10)
    assert askers(steps) & {("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}


def test_one_group_alone_is_cut_off_from_everybody() -> None:
    """One group alone is separated from everybody else, later comers too."""
    net = ring(3)
    net.partition(["a"])
    net.spawn("z", join=["a"])
    net.run_for(20)
    assert net.node("z").phase is Phase.JOINING
    net.heal()
    net.run_until(lambda: net.node("z").phase is Phase.ACTIVE, within=30)


@pytest.mark.parametrize("by", ["partition", "cut"])
def test_one_way_cuts(by: str) -> None:
    """One way, what an earlier group sends to a later one is lost, and the rest comes through."""
    heard: list[str] = []
    net = ring(2)
    if by == "partition":
        net.partition(["a"], ["b"], oneway=True)
    else:
        net.cut("a", "b", oneway=True)
    net.watch = lambda step: heard.append(step.node.me.address) if step.kind == "receive" else None
    net.run_for(5)
    assert {"a"} == set(heard)
    net.heal()
    net.run_for(5)
    assert {"a", "b"} == set(heard)


def test_messages_under_way_are_cut_too() -> None:
    """A partition loses what is under way across it."""
    net = ring(2, latency=(0.1, 0.1))
    net.run_until(lambda: any(sent.sender == "a" for sent in net.in_flight()), within=5, every=0.001)
    before = net.counts["lost"]
    net.partition(["a"], ["b"])
    net.run_for(0.1)
    assert net.counts["lost"] > before


def test_pausing_a_process() -> None:
    """A paused process takes no input; what came meanwhile comes when it goes on."""
    inputs: list[float] = []
    net = ring(3)
    net.pause("b", 3.0)
    began = net.now
    net.watch = lambda step: inputs.append(step.at) if step.node.me.address == "b" else None
    waiting = net.perform("b", Get(b"k"))
    net.run_for(2.9)
    assert [] == inputs
    assert not waiting.done
    net.run_for(0.2)
    assert inputs
    assert min(inputs) == pytest.approx(began + 3.0)
    assert isinstance(net.wait(waiting), Fetched)


def test_resuming_early() -> None:
    """A pause that is ended early is over, and one that is prolonged is not."""
    net = ring(2)
    net.pause("b", 30.0)
    net.run_for(1)
    net.resume("b")
    assert isinstance(net.do("b", Get(b"k"), within=2), Fetched)
    net.pause("b", 1.0)
    net.pause("b", 5.0)
    waiting = net.perform("b", Get(b"k"))
    net.run_for(4)
    assert not waiting.done


def test_a_slow_disk_delays_acknowledgements() -> None:
    """A write is acknowledged no sooner than it is durable, and is on the disk then."""
    net = ring(1, write_delay=0.5)
    began = net.now
    put = net.perform("a", Put(b"k", b"v"))
    net.run_for(0.4)
    assert {} == net.disk("a")
    assert isinstance(net.wait(put), Stored)
    assert net.now == pytest.approx(began + 0.5)
    assert [b"v"] == [record.value for record in net.disk("a").values()]


def test_a_crash_loses_what_is_not_durable() -> None:
    """After a restart there is what was durable, without the disk nothing, and never what was not."""
    net = ring(1, write_delay=0.5)
    net.do("a", Put(b"kept", b"1"))
    lost = net.perform("a", Put(b"lost", b"2"))
    net.run_for(0.4)
    net.crash("a")
    assert Failed(Failure.STOPPED, outcome_unknown=True) == lost.result
    net.restart("a")
    kept, gone = net.do("a", Get(b"kept")), net.do("a", Get(b"lost"))
    assert isinstance(kept, Fetched)
    assert isinstance(gone, Fetched)
    assert (b"1", None) == (kept.value, gone.value)
    net.crash("a")
    net.restart("a", disk=False)
    assert Fetched(None, None) == net.do("a", Get(b"kept"))


def test_a_disk_that_fails() -> None:
    """Once its disk fails a node serves reads and refuses writes."""
    net = ring(1)
    net.do("a", Put(b"k", b"v"))
    net.fail_disk("a")
    assert isinstance(net.do("a", Put(b"k", b"w")), Failed)
    assert isinstance(net.do("a", Get(b"k")), Fetched)


def test_lives_are_counted() -> None:
    """Every life of an address has a greater incarnation, also after a graceful leave."""
    net = ring(2)
    assert 1 == net.node("b").incarnation
    net.crash("b")
    assert ("b",) == net.down
    assert 2 == net.restart("b").incarnation
    net.run_until(lambda: net.node("b").ready, within=30)
    (left,) = net.leave("b")
    assert Left(handed_over=True) == net.wait(left)
    assert ("a",) == net.addresses
    assert 3 == net.spawn("b", join=["a"]).incarnation


def test_addresses_are_taken_once() -> None:
    """Nobody can be spawned where somebody is, restarted who is up, or found where nobody is."""
    net = ring(1)
    with pytest.raises(ValueError, match="taken"):
        net.spawn("a")
    with pytest.raises(ValueError, match="not down"):
        net.restart("a")
    with pytest.raises(LookupError):
        net.node("b")
    with pytest.raises(LookupError):
        net.node("a", 1)
    with pytest.raises(LookupError):
        net.crash("b")


@pytest.mark.parametrize(
    "options", [{"loss": 1.5}, {"duplicate": -0.1}, {"latency": (0.2, 0.1)}, {"latency": (-1.0, 0.1)}], ids=str
)
def test_impossible_weather_is_refused(options: dict[str, object]) -> None:
    """Shares lie between 0 and 1, latencies are not negative and in order."""
    with pytest.raises(ValueError, match="must"):
        Network(1, **options)  # type: ignore[arg-type]


def test_virtual_nodes_share_an_address() -> None:
    """Several places of one address form a ring through it, and messages find the one that they are for."""
    net = Network(1)
    net.spawn("a", virtual_nodes=3)
    net.spawn("b", join=["a"], virtual_nodes=3)
    net.run_until(lambda: all(node.ready for node in net.nodes), within=30)
    assert [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)] == [
        (node.me.address, node.me.index) for node in net.nodes
    ]
    done = net.do("a", Put(b"k", b"v"))
    assert isinstance(done, Stored)
    assert {"a", "b"} == {peer.address for peer in done.acked}
    assert 2 == net.node("b", 2).me.index


def test_cancelling_and_waiting() -> None:
    """A cancelled operation ends as cancelled, an ended one is left alone, and waiting gives up."""
    net = ring(2)
    handle = net.perform("a", Get(b"k"))
    assert isinstance(net.wait(handle), Fetched)
    net.cancel(handle)
    net.partition(["a"], ["b"])
    place = net.node("b").me.id
    handle = net.perform("a", Put(b"k", b"v"), timeout=5)
    net.cancel(handle)
    assert isinstance(handle.result, Failed)
    assert Failure.CANCELLED is handle.result.reason
    stuck = net.perform("a", Locate(place), timeout=1000)
    if not stuck.done:
        with pytest.raises(NotReached, match="has not ended"):
            net.wait(stuck, within=0.001)


def test_run_until_says_what_is_wrong() -> None:
    """What does not happen in time raises, with the reason given, the time, the nodes and the latest events."""
    net = ring(2, 5)
    assert 0.0 == net.run_until(lambda: True, within=1)
    with pytest.raises(NotReached, match=r"not true after 2 s: because; at .*seed 5[^$]*b#0 active: a < me < \[a\]"):
        net.run_until(lambda: False, within=2, explain=lambda: "because")


def test_everything_through_the_wire_format() -> None:
    """With a codec every message goes through bytes, and nothing else changes."""
    codec = Codec(160)
    assert history(3) == history(3, codec=codec)
    net = ring(3, codec=codec)
    found = net.do("c", Locate(0))
    assert isinstance(found, Located)


def test_what_an_address_sends_can_be_tampered_with() -> None:
    """What goes to others is what the function returns, None is lost; what an address tells itself stays as it is."""
    net = ring(2)
    seen: list[Message] = []

    def silent(message: Message) -> None:
        seen.append(message)

    net.tamper("a", silent)
    before = net.counts["lost"]
    assert isinstance(net.do("a", Locate(net.node("a").me.id)), Located)
    net.run_for(30.0)
    assert len(seen) == net.counts["lost"] - before > 0
    assert {"a"} == {message.source.address for message in seen if message.source is not None}
    assert not net.node("b").successors
    net.tamper("a", None)
    net.run_until(lambda: len(net.node("b").successors) == 1, within=60.0)


def test_answers_go_back_to_the_asker() -> None:
    """Messages under way show who sent what to whom."""
    net = ring(2)
    net.run_until(lambda: any(isinstance(sent.message, Answer) for sent in net.in_flight()), within=5, every=0.001)
    for sent in net.in_flight():
        assert {"a", "b"} == {sent.sender, sent.to}
        assert sent.message.source is not None
        assert sent.sender == sent.message.source.address


def test_clocks_may_differ() -> None:
    """Versions follow the civil clock of whoever decides, and an owner whose clock is behind goes on from what it saw."""
    net = Network(1, config=Config())
    net.spawn("a", clock=3600.0)
    net.run_for(1)
    done = net.do("a", Put(b"k", b"v"))
    other = Network(1, config=Config())
    other.spawn("a")
    other.run_for(1)
    earlier = other.do("a", Put(b"k", b"v"))
    assert isinstance(done, Stored)
    assert isinstance(earlier, Stored)
    assert done.version > earlier.version


def test_how_far_two_addresses_are_apart() -> None:
    """``between`` is added to what each message draws, in the direction in which it goes."""
    arrived: list[Step] = []
    far = {("a", "b"): 0.3, ("b", "a"): 0.1}
    net = Network(1, latency=(0.0, 0.0), between=lambda source, to: far[source, to], watch=arrived.append)
    net.spawn("a")
    net.spawn("b", join=["a"])
    net.run_for(0.35)
    assert [("b", 0.1)] == [(step.keywords["sender"], step.at) for step in arrived if step.kind == "receive"]
    net.run_for(0.1)
    back = next(step for step in arrived if step.kind == "receive" and step.keywords["sender"] == "a")
    assert (0.4, "b") == (back.at, back.node.me.address)
