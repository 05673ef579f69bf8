"""One process that hunts many faults: it imports what takes long, and forks for each fault.

Reads an id a line from its standard input and answers each with a line of JSON: the exit status and the output of
``python -m tests.faults ID``.  It imports nothing of the project itself, so that each fork begins without it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

from tests.faults.__main__ import main

ROOT = Path(__file__).parents[2]
PRELOADED = (
    "asyncio",
    "concurrent.futures.process",
    "html",
    "multiprocessing.context",
    "msgspec",
    "hypothesis.stateful",
    "anyio.pytest_plugin",
    "pytest",
    "pytest_timeout",
    "_hypothesis_pytestplugin",
)
"""What hunts import besides the project, its tests, and the plugins of pytest that they need."""


class Hunter:
    """The other side: starts such a process, and asks it."""

    def __enter__(self) -> Self:
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.serving"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def hunt(self, fault_id: str) -> tuple[int, str]:
        """Return the exit status and the output for one fault."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(fault_id, file=self._process.stdin, flush=True)
        status, said = json.loads(self._process.stdout.readline())
        return status, said


def serve() -> None:
    """Answer until the input ends."""
    for module in PRELOADED:
        import_module(module)
    gc.collect()
    gc.freeze()  # No fork looks through what all of them share.
    for line in sys.stdin:
        with TemporaryFile("w+") as said:
            child = os.fork()
            if not child:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                status = main([line.strip()])
                sys.stdout.flush()
                os._exit(status)  # At once: a fork has nothing to tidy up.
            _, status = os.waitpid(child, 0)
            said.seek(0)
            print(json.dumps((os.waitstatus_to_exitcode(status), said.read())), flush=True)


if __name__ == "__main__":
    serve()
