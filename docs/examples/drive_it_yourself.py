"""Three nodes of a ring in a plain `selectors` loop over UDP: the core, sockets and a clock, nothing else."""

import secrets
import selectors
import socket
from collections.abc import Callable
from time import monotonic, time

from chord_proto import DecodeError, Effect, Finished, Node, OpId, Peer, Send, Write
from chord_proto.wire import Codec

CODEC, SELECTOR, OP = Codec(), selectors.DefaultSelector(), OpId(1)


class Driver:
    def __init__(self, *join: str) -> None:
        self.results: dict[OpId, object] = {}
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        SELECTOR.register(self.socket, selectors.EVENT_READ, self)
        me = Peer.at("{}:{}".format(*self.socket.getsockname()))
        self.node = Node(me, seed=secrets.randbits(64), incarnation=int(time() * 1e6))
        self.carry_out(self.node.wall(time() - monotonic(), now=monotonic()))
        self.carry_out(self.node.join(OpId(0), join, now=monotonic()) if join else self.node.create(now=monotonic()))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:  # in this order, and to the end, before the next input
            if isinstance(effect, Send):
                host, port = effect.to.rsplit(":", 1)
                self.socket.sendto(CODEC.encode(effect.message), (host, int(port)))
            elif isinstance(effect, Finished):
                self.results[effect.op] = effect.result
        if writes := [effect.id for effect in effects if isinstance(effect, Write)]:
            self.carry_out(self.node.written(writes[-1], now=monotonic()))  # this ring lives in memory

    def readable(self) -> None:
        data, source = self.socket.recvfrom(65_535)
        try:
            message = CODEC.decode(data)
        except DecodeError:
            return  # not from a node
        self.carry_out(self.node.receive(message, sender="{}:{}".format(*source), now=monotonic()))


def run_until(done: Callable[[], bool]) -> None:
    while not done():
        deadline = min(driver.node.deadline or 0.0 for driver in drivers)
        for key, _ in SELECTOR.select(max(0.0, deadline - monotonic())):
            key.data.readable()
        for driver in drivers:
            driver.carry_out(driver.node.tick(now=monotonic()))


drivers: list[Driver] = []
for _ in range(3):  # the first makes a ring, the others join it
    drivers.append(Driver(*[driver.node.me.address for driver in drivers[:1]]))
    run_until(lambda: drivers[-1].node.ready)
writer, reader = drivers[1:]
writer.carry_out(writer.node.put(OP, b"users/42", b"some value", now=monotonic()))
run_until(lambda: OP in writer.results)
reader.carry_out(reader.node.get(OP, b"users/42", now=monotonic()))
run_until(lambda: OP in reader.results)
print(writer.results[OP], reader.results[OP], sep="\n")
