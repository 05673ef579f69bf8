"""The file descriptors of the process: how many there may be, and whether they run out."""

from __future__ import annotations

import errno
import resource

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What the system says when it has no socket to give: no word about the other side."""
RESERVE = 16
"""How many descriptors are left to the node's own dials, its storage and the application; of few, a quarter."""
WANTED = 4096
"""How many a process should have that is a node and nothing else: more than its connections can be."""


def is_scarce(descriptor: int) -> bool:
    """Tell whether one that was just given belongs to the reserve: the system gives the lowest that is free."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit != resource.RLIM_INFINITY and descriptor >= limit - min(RESERVE, limit // 4)


def raise_limit() -> None:
    """Let the process have more descriptors, as far as it may; the usual 256 or 1,024 are for those that use select."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
