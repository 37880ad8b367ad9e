"""The desk of every connector test."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.connectors.desk import Desk
from tests.connectors.servers import certificate


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return certificate(tmp_path_factory.mktemp("tls"))
