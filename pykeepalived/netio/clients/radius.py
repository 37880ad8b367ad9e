"""RADIUS through pyrad: one Access-Request (RFC 2865 section 4.1)."""

from __future__ import annotations

import io
import socket
import time

import pyrad.packet
from pyrad.dictionary import Dictionary

from pykeepalived.checkers.negotiate_client import Answer
from pykeepalived.model.checks import NegotiateCheck

_DICTIONARY = """\
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 string
ATTRIBUTE NAS-IP-Address 4 ipaddr
ATTRIBUTE Message-Authenticator 80 octets
ATTRIBUTE NAS-IPv6-Address 95 ipv6addr
"""
#: The question is asked again this many times within the limit: datagrams get lost.
_ATTEMPTS = 3
_LARGEST = 4096
_NAMES = {pyrad.packet.AccessReject: "Access-Reject", pyrad.packet.AccessChallenge: "Access-Challenge"}


def ask(check: NegotiateCheck, limit_s: float) -> Answer:
    """Success is an Access-Accept that was signed with our secret. Raises what the library raises."""
    six = ":" in check.socket.address
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((check.socket.address, check.socket.port))
        question = pyrad.packet.AuthPacket(
            code=pyrad.packet.AccessRequest,
            secret=check.secret.encode("utf-8", "surrogateescape"),
            dict=Dictionary(io.StringIO(_DICTIONARY)),
        )
        question["User-Name"] = check.login
        question["User-Password"] = question.PwCrypt(check.password)
        question["NAS-IPv6-Address" if six else "NAS-IP-Address"] = sock.getsockname()[0]
        question.add_message_authenticator()
        return _exchange(sock, question, question.RequestPacket(), limit_s)


def _exchange(sock: socket.socket, question: pyrad.packet.AuthPacket, data: bytes, limit_s: float) -> Answer:
    end = time.monotonic() + limit_s
    for attempt in range(_ATTEMPTS):
        sock.send(data)
        until = end - limit_s * (_ATTEMPTS - 1 - attempt) / _ATTEMPTS
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                reply = question.CreateReply(packet=sock.recv(_LARGEST))
            except TimeoutError:
                break
            except pyrad.packet.PacketError:
                continue
            if not question.VerifyReply(reply, rawreply=reply.raw_packet):
                continue
            if reply.code == pyrad.packet.AccessAccept:
                return Answer(True, "Access-Accept")
            return Answer(False, _NAMES.get(reply.code, f"code {reply.code}"), "login")
    return Answer(False, "no answer", "timeout")
