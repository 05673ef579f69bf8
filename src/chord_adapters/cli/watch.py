"""``chord watch``: the changes of a record, a line each."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated

from cyclopts import Parameter, validators

from chord_adapters._client import Client
from chord_adapters._results import Lagged
from chord_adapters._watch import Seen
from chord_adapters.cli._options import PLAIN, Asking, ask
from chord_adapters.cli._outcome import Status
from chord_adapters.cli._output import print_json, say
from chord_adapters.cli.records import Key, name_of


def watch(
    key: Key,
    /,
    *,
    after: Annotated[
        str | None, Parameter(help="Tell what came after this version or cursor; by default what comes from now on.")
    ] = None,
    limit: Annotated[
        int | None, Parameter(validator=validators.Number(gte=1), help="End after so many changes.")
    ] = None,
    asking: Asking = PLAIN,
) -> int:
    """Tell each change of a record as it comes, until interrupted; one line each, also with --json.

    --timeout is for the first answer: status 4 when there is none by then.
    What cannot be reached later is tried again for ever.
    """
    name = name_of(key)

    async def follow(client: Client) -> None:
        told = 0
        async with client._watch(name, after, within=asking.patience) as watcher:
            say(f"watching {key!r}")
            async for seen in watcher:
                _print(seen, key, json=asking.json)
                told += not isinstance(seen, Lagged)
                if told == limit:
                    break

    ask(asking, follow)
    return Status.FINE


def _print(seen: Seen, key: str, *, json: bool) -> None:
    if isinstance(seen, Lagged):
        if json:
            print_json({"key": key, "kind": "lagged"})
        else:
            say("some changes may have been missed here")
    elif json:
        value = None if seen.value is None else b64encode(seen.value).decode()
        more = {"version": seen.version, "expires_at": seen.expires_at, "cursor": seen.cursor}
        print_json({"key": key, "kind": seen.kind, "value": value, **more})
    else:
        value = "" if seen.value is None else f" {seen.value!r}"
        print(f"{seen.kind} {seen.version}{value}", flush=True)
