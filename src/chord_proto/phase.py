"""The stages of a node's life."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """NEW until `create` or `join`; JOINING; ACTIVE as a member; LEAVING; STOPPED for good."""

    NEW = "new"
    JOINING = "joining"
    ACTIVE = "active"
    LEAVING = "leaving"
    STOPPED = "stopped"
