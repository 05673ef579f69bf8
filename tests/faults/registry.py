"""Every fault of the registry, by id."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults import faults_lookup, faults_node, faults_records, faults_ring
from tests.faults.injecting import Fault

_ALL = (*faults_ring.FAULTS, *faults_lookup.FAULTS, *faults_records.FAULTS, *faults_node.FAULTS)
FAULTS: Mapping[str, Fault] = {fault.id: fault for fault in _ALL}
assert len(FAULTS) == len(_ALL), "two faults have one id"
