"""PostgreSQL through pg8000."""

from __future__ import annotations

import pg8000.dbapi

from pykeepalived.checkers.negotiate_client import Answer
from pykeepalived.model.checks import NegotiateCheck
from pykeepalived.netio.clients.rows import judge


def ask(check: NegotiateCheck, limit_s: float) -> Answer:
    """Log in, run the query. Raises what the library raises."""
    connection = pg8000.dbapi.connect(
        user=check.login,
        password=check.password,
        host=check.socket.address,
        port=check.socket.port,
        database=check.database or None,
        timeout=limit_s,
        ssl_context=None,
    )
    try:
        cursor = connection.cursor()
        cursor.execute(check.request.removeprefix("/"))
        return judge(cursor.fetchone())
    finally:
        connection.close()
