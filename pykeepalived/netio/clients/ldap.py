"""LDAP through python-ldap, over a connection of our own.

The connection is made here, so that its limit is ours and so that ldaps has the trust, certificate and name that the
file asks for; the library speaks LDAP over one end of a socket pair, and a thread carries the bytes between that and
the server.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading

import ldap

from pykeepalived.checkers.negotiate_client import Answer
from pykeepalived.model.checks import NegotiateCheck

_CHUNK = 65536


def ask(check: NegotiateCheck, limit_s: float) -> Answer:
    """Anonymous bind, or simple bind when there are a login and a password; then the base entry (RFC 4511)."""
    try:
        server = socket.create_connection((check.socket.address, check.socket.port), timeout=limit_s)
        if check.service == "ldaps":
            server = _context(check).wrap_socket(server, server_hostname=check.tls.server_name)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "handshake failed"
        return Answer(False, f"TLS: {reason}", "tls")
    except TimeoutError:
        return Answer(False, "connect: timed out", "timeout")
    except OSError as error:
        return Answer(False, f"connect: {error.strerror or error}", "refused")
    near, far = socket.socketpair()
    threading.Thread(target=_carry, args=(far, server), daemon=True).start()
    connection = ldap.initialize("ldap://server", fileno=near)
    connection.set_option(ldap.OPT_TIMEOUT, limit_s)
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, limit_s)
    connection.set_option(ldap.OPT_REFERRALS, 0)
    return _search(connection, check, limit_s)


def _search(connection: ldap.ldapobject.SimpleLDAPObject, check: NegotiateCheck, limit_s: float) -> Answer:
    base = check.request.removeprefix("/")
    try:
        if check.login and check.password:
            connection.simple_bind_s(check.login, check.password)
        else:
            connection.simple_bind_s()
        found = connection.search_st(base, ldap.SCOPE_BASE, "(objectClass=*)", ["1.1"], timeout=limit_s)
    except ldap.LDAPError as error:
        details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        text = details.get("desc") or type(error).__name__
        bind = isinstance(error, ldap.INVALID_CREDENTIALS | ldap.INAPPROPRIATE_AUTH)
        return Answer(False, f"{'login refused' if bind else 'search'}: {text}", "login" if bind else "search")
    entries = [name for name, _ in found if name is not None]
    if len(entries) != 1:
        return Answer(False, f"{len(entries)} entries at the base", "entries")
    return Answer(True, "one entry", found=entries[0])


def _context(check: NegotiateCheck) -> ssl.SSLContext:
    options = check.tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if options.verify else ssl.CERT_NONE
    context.check_hostname = options.verify and options.server_name is not None
    if options.ca_file is not None:
        context.load_verify_locations(options.ca_file)
    elif options.verify:
        context.set_default_verify_paths()
    if options.certificate_file is not None:
        context.load_cert_chain(options.certificate_file, options.key_file, lambda: "")
    return context


def _carry(library: socket.socket, server: socket.socket) -> None:
    """Bytes both ways until either side ends. One thread reads, so that no two use the TLS connection at once."""
    with contextlib.suppress(OSError), library, server:
        server.settimeout(None)
        while True:
            pending = isinstance(server, ssl.SSLSocket) and server.pending()
            readable = [server] if pending else select.select([library, server], [], [])[0]
            for source, target in ((library, server), (server, library)):
                if source in readable:
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    target.sendall(data)
