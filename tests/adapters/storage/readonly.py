"""Folders in which nothing can be made, also for tests that run as root, to whom permissions mean nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

NOBODY = 65_534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody in particular for a while, if this process may do everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Make a folder that anybody can reach, as those of pytest cannot be; it is gone afterwards."""
    folder = Path(mkdtemp(prefix="chord-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)
