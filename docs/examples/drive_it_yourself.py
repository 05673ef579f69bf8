"""Three nodes of a ring in a plain `selectors` loop over UDP: the core, sockets and a clock, nothing else."""

import secrets
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time

from chord_proto import DecodeError, Effect, Finished, Node, OpId, Peer, Send, Write
from chord_proto.wire import Codec

CODEC, SELECTOR, OP = Codec(), selectors.DefaultSelector(), OpId(1)


class Driver:
    def __init__(self, *join: str) -> None:
        self.socket, self.results = socket.socket(type=socket.SOCK_DGRAM), dict[OpId, object]()
        self.socket.bind(("127.0.0.1", 0))
        SELECTOR.register(self.socket, selectors.EVENT_READ, self)
        me = Peer.at("{}:{}".format(*self.socket.getsockname()))
        self.node = Node(me, seed=secrets.randbits(64), incarnation=int(time() * 1e6))
        self.carry_out(self.node.wall(time() - monotonic(), now=monotonic()))
        self.carry_out(self.node.join(OpId(0), join, now=monotonic()) if join else self.node.create(now=monotonic()))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:  # in this order, and to the end, before the next input
            if isinstance(effect, Send):
                host, port = effect.to.split(":")
                self.socket.sendto(CODEC.encode(effect.message), (host, int(port)))
            elif isinstance(effect, Finished):
                self.results[effect.op] = effect.result
        if writes := [effect.id for effect in effects if isinstance(effect, Write)]:
            self.carry_out(self.node.written(writes[-1], now=monotonic()))  # this ring lives in memory

    def readable(self) -> None:
        data, source = self.socket.recvfrom(65_535)
        with suppress(DecodeError):  # what is no message is not from a node
            self.carry_out(self.node.receive(CODEC.decode(data), sender="{}:{}".format(*source), now=monotonic()))


def run_until(done: Callable[[], bool]) -> None:
    while not done():
        deadline = min(driver.node.deadline or 0.0 for driver in drivers)
        for key, _ in SELECTOR.select(max(0.0, deadline - monotonic())):
            key.data.readable()
        for driver in drivers:
            driver.carry_out(driver.node.tick(now=monotonic()))


drivers = [first := Driver()]
for _ in range(2):  # one after the other
    drivers.append(Driver(first.node.me.address))
    run_until(lambda: drivers[-1].node.ready)
drivers[1].carry_out(drivers[1].node.put(OP, b"users/42", b"some value", now=monotonic()))
run_until(lambda: OP in drivers[1].results)
drivers[2].carry_out(drivers[2].node.get(OP, b"users/42", now=monotonic()))
run_until(lambda: OP in drivers[2].results)
print(drivers[1].results[OP], drivers[2].results[OP], sep="\n")
