"""``chord``, but that on SIGUSR1 it writes how many tasks and threads it has to the file that its first argument names."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from pathlib import Path

from chord_adapters.cli import main


def count(*_: object) -> None:
    """Replace the file by the numbers of now, at once."""
    file = Path(sys.argv[1])
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"tasks": len(asyncio.all_tasks()), "threads": threading.active_count()}))
    new.replace(file)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, count)
    sys.exit(main(sys.argv[2:]))
