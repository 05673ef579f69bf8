"""The two sets of parameters with which rings are simulated: the papers', and those that a ring has by default."""

from __future__ import annotations

import attrs

from chord_proto.config import Config

TIMEOUT = 0.5
"""Seconds after which a question counts as unanswered (Stoica et al., ToN 2003, section V)."""
DELAY = 0.05
"""Seconds for one way of a message, the mean of the same section."""
_NEVER = 1e9


def papers(*, successors: int = 1, candidates: int = 2, replicas: int = 1) -> Config:
    """Return the settings of SIGCOMM 2001 and ToN 2003: fingers and a successor list, one question at a time, no records.

    ``candidates`` is how many of those that it knows before the place a node names when it is asked, ``replicas`` how many
    owners an answer names, the next ones after the first.  Nobody takes a long silence of
    the simulation for a machine that slept.
    """
    return Config(
        successors=successors,
        predecessors=1,
        replicas=replicas,
        peer_cache=False,
        proximity=False,
        lookup_witnesses=0,
        lookup_parallelism=1,
        lookup_candidates=candidates,
        request_tries=1,
        initial_timeout=TIMEOUT,
        min_timeout=TIMEOUT,
        max_timeout=TIMEOUT,
        operation_timeout=60.0,
        late_tolerance=_NEVER,
    )


def production(*, successors: int | None = None) -> Config:
    """Return the defaults of `Config`, patient with a simulation in which nothing happens at a node for long."""
    config = Config(late_tolerance=_NEVER, operation_timeout=60.0)
    return config if successors is None else attrs.evolve(config, successors=successors)
