"""MySQL and MariaDB through PyMySQL."""

from __future__ import annotations

import pymysql

from pykeepalived.checkers.negotiate_client import Answer
from pykeepalived.model.checks import NegotiateCheck
from pykeepalived.netio.clients.rows import judge


def ask(check: NegotiateCheck, limit_s: float) -> Answer:
    """Log in, run the query. Raises what the library raises."""
    connection = pymysql.connect(
        host=check.socket.address,
        port=check.socket.port,
        user=check.login,
        password=check.password,
        database=check.database or None,
        connect_timeout=max(1, int(limit_s + 1)),
        read_timeout=limit_s,
        write_timeout=limit_s,
        bind_address=check.socket.bind_address,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(check.request.removeprefix("/"))
        return judge(cursor.fetchone())
