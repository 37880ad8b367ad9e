"""Oracle through oracledb in its thin mode; `database` is the SID, as in ldirectord."""

from __future__ import annotations

import oracledb

from pykeepalived.checkers.negotiate_client import Answer
from pykeepalived.model.checks import NegotiateCheck
from pykeepalived.netio.clients.rows import judge


def ask(check: NegotiateCheck, limit_s: float) -> Answer:
    """Log in, run the query. Raises what the library raises."""
    connection = oracledb.connect(
        user=check.login,
        password=check.password,
        host=check.socket.address,
        port=check.socket.port,
        sid=check.database or None,
        tcp_connect_timeout=limit_s,
        retry_count=0,
    )
    try:
        connection.call_timeout = int(limit_s * 1000)
        with connection.cursor() as cursor:
            cursor.execute(check.request.removeprefix("/"))
            return judge(cursor.fetchone())
    finally:
        connection.close()
