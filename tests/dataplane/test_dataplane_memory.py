"""The memory dataplane keeps the contract."""

from __future__ import annotations

import pytest

from pykeepalived.dataplane.memory import MemoryDataplane
from tests.dataplane.contract import DataplaneContract


class TestMemory(DataplaneContract):
    @pytest.fixture
    def dataplane(self) -> MemoryDataplane:
        return MemoryDataplane()
