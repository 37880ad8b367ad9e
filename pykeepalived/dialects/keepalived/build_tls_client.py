"""The root block SSL: what all checks over TLS show to servers that ask for a certificate."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.model import VirtualServer
from pykeepalived.model.checks import CheckerSpec, GrpcCheck, HttpCheck, TlsClient


def build_tls_client(root: Draft) -> TlsClient | None:
    """None without the block, or when it says nothing."""
    draft = root.get("ssl")
    if draft is None:
        return None
    made = TlsClient(**{name: draft.get(name) for name in ("ca", "certificate", "key", "password")})
    return None if made == TlsClient() else made


def with_client(servers: Sequence[VirtualServer], client: TlsClient | None) -> tuple[VirtualServer, ...]:
    """The same virtual servers, with the certificate in every check over TLS.

    It is put in last: the block may stand anywhere in the file, and what is remembered of virtual servers between two
    readings of a file does not depend on it.
    """
    if client is None:
        return tuple(servers)

    def checker(spec: CheckerSpec) -> CheckerSpec:
        question = spec.question
        if not isinstance(question, HttpCheck | GrpcCheck) or not question.tls:
            return spec
        return msgspec.structs.replace(spec, question=msgspec.structs.replace(question, client=client))

    return tuple(
        msgspec.structs.replace(
            server,
            real_servers=tuple(
                msgspec.structs.replace(real, checkers=tuple(checker(spec) for spec in real.checkers))
                for real in server.real_servers
            ),
        )
        for server in servers
    )
