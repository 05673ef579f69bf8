"""Figures of the Chord papers, and of this project, from simulations of the node that also runs in production.

`path_length`, `latency`, `load`, `failure`, `churn` and `merge` each answer for one set of parameters and one seed; `sweep` asks for many, in
processes or on a cluster; ``chord sim`` is their command.
"""

from chord_adapters.sim._figures import Failure, Load, PathLength, failure, load, path_length
from chord_adapters.sim._latency import Latency, World, latency
from chord_adapters.sim._moving import Churn, Merge, churn, merge
from chord_adapters.sim._settings import papers, production
from chord_adapters.sim._sweep import combinations, sweep

__all__ = [
    "Churn",
    "Failure",
    "Latency",
    "Load",
    "Merge",
    "PathLength",
    "World",
    "churn",
    "combinations",
    "failure",
    "latency",
    "load",
    "merge",
    "papers",
    "path_length",
    "production",
    "sweep",
]
