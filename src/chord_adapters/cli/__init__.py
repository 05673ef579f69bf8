"""The ``chord`` command: thin commands over the adapters, each loading what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` name (by default those of the process) and return its exit status."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if tokens == ["--version"]:
        from importlib.metadata import version

        print(version("chord-dht"))
        return 0
    try:
        from chord_adapters.cli._app import run
    except ModuleNotFoundError as error:
        if error.name not in {"cyclopts", "rich"}:
            raise
        print("chord: the command needs an extra: python -m pip install 'chord-dht[cli]'", file=sys.stderr)
        return 1
    return run(tokens)
