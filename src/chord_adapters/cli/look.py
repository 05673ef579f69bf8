"""``chord locate``, ``status`` and ``ring``: what the ring looks like from outside."""

from __future__ import annotations

from typing import Annotated

import anyio
import attrs
from cyclopts import Parameter

from chord_adapters._client import Client
from chord_adapters._operations import succeeded
from chord_adapters._results import Health
from chord_adapters.cli._options import PLAIN, Asking, ask
from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import hexadecimal, peer_fields, print_columns, print_json
from chord_adapters.cli._ring import walk
from chord_adapters.cli.records import name_of
from chord_proto.config import Config
from chord_proto.operations import Describe, Description
from chord_proto.peer import Peer

_MOST_PLACES = Config().max_virtual_nodes


def locate(
    key: Annotated[str | None, Parameter(help="The name of a record, any text.")] = None,
    /,
    *,
    place: Annotated[
        str | None, Parameter(name="--id", help="A place on the circle, or a content key, in hexadecimal.")
    ] = None,
    asking: Asking = PLAIN,
) -> int:
    """Show who owns a key, who holds it, and the way of the lookup."""
    match key, place:
        case str(), None:
            wanted: bytes | int = name_of(key)
        case None, str():
            wanted = place_of(place)
        case _:
            raise UsageError("locate takes a KEY or --id, one of them")
    located = ask(asking, lambda client: client.lookup(wanted, timeout=asking.patience))
    if asking.json:
        path = [{**(peer_fields(hop.peer) or {}), "ms": round(1000 * hop.seconds, 3)} for hop in located.path]
        print_json(
            {
                "key": hexadecimal(wanted) if isinstance(wanted, int) else key,
                "owner": peer_fields(located.owner),
                "replicas": [peer_fields(peer) for peer in located.replicas],
                "hops": len(path),
                "path": path,
            }
        )
        return Status.FINE
    rows = [("owner", hexadecimal(located.owner.id), located.owner.address, "")]
    rows += [("replica", hexadecimal(peer.id), peer.address, "") for peer in located.replicas if peer != located.owner]
    rows += [
        (f"hop {number}", hexadecimal(hop.peer.id), hop.peer.address, f"{1000 * hop.seconds:.1f} ms")
        for number, hop in enumerate(located.path, 1)
    ]
    print_columns(rows)
    return Status.FINE


def status(*, asking: Asking = PLAIN) -> int:
    """Show one node as it sees itself; status 1 while too few replicas of its range can be written.

    Of several virtual nodes the first is shown, with the health of the worst.
    """
    descriptions = ask(asking, lambda client: _descriptions(client, asking.patience))
    description = descriptions[0]
    ready = all(each.phase == "active" and not each.pending for each in descriptions)
    health = Health.of(descriptions, ready=ready)
    if asking.json:
        print_json(
            {
                "address": description.me.address,
                "id": hexadecimal(description.me.id),
                "phase": description.phase,
                "predecessor": peer_fields(description.predecessor),
                "successors": [peer_fields(peer) for peer in description.successors],
                "keys": description.keys,
                "bytes": description.bytes,
                "peers": description.peers,
                "health": {"state": health.state, **attrs.asdict(health)},
            }
        )
    else:
        rows: list[tuple[object, ...]] = [
            ("address", description.me.address),
            ("id", hexadecimal(description.me.id)),
            *([("places", len(descriptions))] if len(descriptions) > 1 else []),
            ("phase", description.phase),
            ("predecessor", _in_words(description.predecessor)),
            *(("successors" if not at else "", _in_words(peer)) for at, peer in enumerate(description.successors)),
            ("keys", description.keys),
            ("bytes", description.bytes),
            ("peers", description.peers),
            ("health", f"{health.state}{', storage failed' if health.storage_failed else ''}"),
            (
                "ring",
                f"{'in order' if health.in_order else 'not in order'}, {'formed' if health.formed else 'forming'}",
            ),
            ("replicas", f"{health.missing} missing" if health.missing else "complete"),
            ("hand-offs", f"{health.pending} pending"),
            ("last repair", "never" if health.last_repair is None else f"{health.last_repair:.0f} s ago"),
        ]
        print_columns(rows)
    return Status.FAILED if health.unsafe else Status.FINE


async def _descriptions(client: Client, patience: float) -> list[Description]:
    """Return how the virtual nodes of an address describe themselves, the one that answers for it first.

    Who has no such place does not answer, and who has answers in the order of the questions: so, once a question behind
    that about a place is answered, the place is known not to be there.
    """
    found = [await client.describe(timeout=patience)]
    bits = Config().bits
    for index in range(_MOST_PLACES):
        peer = Peer.at(found[0].me.address, index, bits=bits)
        if peer == found[0].me:
            continue
        asked = client._asker.perform(Describe(), patience, peer.id)
        await client.describe(timeout=patience)
        if not asked.ended:
            client._abandon(asked)
            break
        description = succeeded(await client._wait(asked))
        assert isinstance(description, Description)
        found.append(description)
    return found


def ring(*, asking: Asking = PLAIN) -> int:
    """Show the whole ring by walking it, within 10 seconds; status 0 also when it is not ideal."""
    found = anyio.run(walk, asking)
    if asking.json:
        print_json(found.fields())
    else:
        found.print()
    return Status.FINE


def place_of(text: str) -> int:
    """Return the place that up to 40 hexadecimal digits mean."""
    digits = text.removeprefix("0x")
    try:
        if 0 < len(digits) <= 40 and digits.isalnum():
            return int(digits, 16)
    except ValueError:
        pass
    raise UsageError(f"not a place of up to 40 hexadecimal digits: {text!r}")


def _in_words(peer: Peer | None) -> str:
    return "-" if peer is None else f"{hexadecimal(peer.id)}  {peer.address}"
