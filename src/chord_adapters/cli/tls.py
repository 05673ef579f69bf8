"""``chord tls``: a private authority for a ring, and certificates for its hosts."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter, validators

from chord_adapters.cli._options import Json, NamedPath
from chord_adapters.cli._output import print_json, say

app = App(
    name="tls",
    help="Make certificates, so that a ring lets nobody in who has none of its authority.",
    help_format="plaintext",
)


@app.command
def init(folder: NamedPath, *, json: Json = False) -> int:
    """Make a private authority: ca.pem, which everybody may see, and ca.key, which lets others in.

    Keep ca.key where you issue certificates, and nowhere else.
    """
    from chord_adapters import _authority

    _authority.init(folder)
    _told({"folder": str(folder)}, f"an authority is in {folder}; keep {_authority.CA_KEY} to yourself", json=json)
    return 0


@app.command
def issue(
    folder: NamedPath,
    *,
    host: Annotated[
        list[str],
        Parameter(
            negative="", help="A name or IP address by which others reach the machine; may be given several times."
        ),
    ],
    out: Annotated[NamedPath | None, Parameter(help="Where to write, by default the folder of the authority.")] = None,
    days: Annotated[
        int, Parameter(validator=validators.Number(gte=1, lte=3650), help="For how many days it is valid.")
    ] = 365,
    json: Json = False,
) -> int:
    """Issue a certificate for one machine: node.pem and node.key, with the ca.pem to check others by.

    Once more for the same machine replaces it: running nodes take the new files on SIGHUP.
    """
    from chord_adapters import _authority

    _authority.issue(folder, host, out=out, days=days)
    target = str(out or folder)
    _told({"folder": target, "hosts": host, "days": days}, f"{target} is for {', '.join(host)}", json=json)
    return 0


def _told(document: dict[str, object], words: str, *, json: bool) -> None:
    if json:
        print_json(document)
    else:
        say(words)
