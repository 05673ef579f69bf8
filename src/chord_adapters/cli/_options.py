"""The options that every command which talks to a node takes, and the way it talks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal, TypeAlias, TypeVar

import anyio
import attrs
from cyclopts import Parameter, Token, validators

from chord_adapters._client import Client

T = TypeVar("T")

DEFAULT_ADDRESS = "127.0.0.1:4600"
"""Where ``chord node`` listens and the other commands ask, unless told otherwise."""
DEFAULT_TIMEOUT = 10.0
"""Seconds."""

Backend: TypeAlias = Annotated[Literal["asyncio", "trio"], Parameter(help="The event loop to run on.")]
Json: TypeAlias = Annotated[bool, Parameter(negative="", help="Print one JSON document, and nothing else, on stdout.")]
Network: TypeAlias = Annotated[str, Parameter(help="The name of the ring; nodes of another name refuse.")]


def _no_option(_: object, path: Path) -> None:
    """Refuse what looks like an option; a lone ``-`` is standard input or output."""
    if str(path).startswith("-") and path != Path("-"):
        raise ValueError(f"Unknown option: {path}")


def _path_of(_: object, tokens: Sequence[Token]) -> Path:
    """Refuse what a variable of the shell that is not set leaves: it would be the current folder."""
    if not tokens[0].value:
        raise ValueError("a path is not empty")
    return Path(tokens[0].value)


Certificates: TypeAlias = Annotated[
    Path | None,
    Parameter(
        converter=_path_of,
        help="The folder with ca.pem, node.pem and node.key (`chord tls`), for a ring that asks for them.",
    ),
]
NamedPath: TypeAlias = Annotated[Path, Parameter(converter=_path_of)]
PathOrStandard: TypeAlias = Annotated[NamedPath, Parameter(allow_leading_hyphen=True, validator=_no_option)]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Asking:
    """Which node to ask, and how."""

    node: Annotated[str, Parameter(env_var="CHORD_NODE", help="The node to ask, HOST:PORT.")] = DEFAULT_ADDRESS
    network: Network = "chord"
    tls: Certificates = None
    timeout: Annotated[
        float | None,
        Parameter(validator=validators.Number(gt=0), help="Seconds after which to give up (10)."),
    ] = None
    json: Json = False

    @property
    def patience(self) -> float:
        """Seconds that one operation may take."""
        return DEFAULT_TIMEOUT if self.timeout is None else self.timeout


PLAIN = Asking()
"""What is asked when no option is given."""


def adapter(backend: str) -> ModuleType:
    """Return the adapter that runs on ``backend``; trio is an extra."""
    return import_module(f"chord_adapters.{backend}")


def ask(asking: Asking, body: Callable[[Client], Awaitable[T]]) -> T:
    """Run ``body`` with a client of the node that was named, on an event loop of its own."""
    from chord_adapters.asyncio import connect

    async def run() -> T:
        async with connect(asking.node, network=asking.network, tls=asking.tls) as client:
            return await body(client)

    return anyio.run(run, backend="asyncio")
