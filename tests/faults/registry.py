"""Every fault of the registry, by id."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults import (
    faults_lookup,
    faults_membership,
    faults_node,
    faults_ranges,
    faults_records,
    faults_recursive,
    faults_ring,
    faults_versions,
)
from tests.faults.injecting import Fault

_PARTS = (
    *(faults_ring, faults_membership, faults_lookup, faults_recursive),
    *(faults_records, faults_ranges, faults_versions, faults_node),
)
_ALL = tuple(fault for part in _PARTS for fault in part.FAULTS)
FAULTS: Mapping[str, Fault] = {fault.id: fault for fault in _ALL}
assert len(FAULTS) == len(_ALL), "two faults have one id"
