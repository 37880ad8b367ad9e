"""One mail as an SMTP dialogue (RFC 5321 sections 3 and 4): replies in, bytes to send out. No socket and no clock.

The steps are keepalived's: greeting, HELO, MAIL, one RCPT for each recipient, DATA, the message, QUIT. Only the code of
a reply's last line counts. A reply with another code than the expected one ends the dialogue with QUIT, and the mail is
lost; the name of the step is the word that keepalived's log has for it. With STARTTLS or a login, which keepalived has
not, the client says EHLO (RFC 5321 section 4.1.1.1) and goes on only with what it was told to use.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

#: All replies of a dialogue together: a greeting of many lines is legal, an endless one is not.
REPLY_BYTES: Final = 64 * 1024


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that is ready to go."""

    sender: str
    """Address of the envelope (MAIL FROM)."""
    recipients: tuple[str, ...]
    """Addresses of the envelope (RCPT TO), at least one."""
    message: str
    """Header lines, an empty line, the body; lines end in a newline, the dialogue makes CRLF of it."""


class Login(NamedTuple):
    """User and password of AUTH (RFC 4954)."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r}, ***)"


def compose(headers: Sequence[tuple[str, str]], body: str) -> str:
    """A message from headers in order and a body.

    A line end inside a header would begin another header, so it becomes a blank; where a value is to be folded, the
    fold is a line end followed by one blank or tab (RFC 5322 section 2.2.3), and that stays.
    """
    lines = [f"{name}: {_header(value)}" for name, value in headers]
    return "\n".join([*lines, "", body.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n"), ""])


def _header(value: str) -> str:
    lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    text = lines[0]
    for line in lines[1:]:
        text += f"\n{line}" if line[:1] in {" ", "\t"} and line.strip() else f" {line}"
    return text


class DialogueError(Exception):
    """The server does not speak as it should. `step` is the dialogue's place, `code` its answer (0: none)."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(step)
        self.step = step
        self.code = code


class Dialogue:
    """The client's side. Feed what arrives, send what `feed` returns; it is over when `ended` is true."""

    def __init__(self, letter: Letter, helo_name: str, *, login: Login | None = None, start_tls: bool = False) -> None:
        self._letter = letter
        self._helo_name = helo_name
        self._login = login
        self._offers: list[str] = []
        """The lines of the present reply; after EHLO what the server can do."""
        self._steps = self._all_steps(start_tls)
        self.step, self._expected, _ = next(self._steps)
        self._waiting = b""
        self._heard = 0
        self.wants_tls = False
        """The server waits for the handshake; call `secured` when it is done."""
        self.accepted = False
        """The server has taken the message: it is its business from now on."""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; returns what is to be sent, perhaps nothing. Raises DialogueError."""
        self._heard += len(data)
        if self._heard > REPLY_BYTES:
            raise DialogueError("reply-too-long", 0)
        self._waiting += data
        answer = b""
        while (end := self._waiting.find(b"\n")) >= 0:
            line, self._waiting = self._waiting[:end], self._waiting[end + 1 :]
            self._offers.append(line[4:].decode("ascii", "replace").strip().upper())
            if line[3:4] != b"-":
                answer += self._reply(line)
                self._offers = []
            if self.wants_tls:
                break
        if self.wants_tls and self._waiting:
            # Whoever can write into the plain connection could have put words into the mouth of the server.
            raise DialogueError("early-data", 0)
        return answer

    def secured(self) -> bytes:
        """TLS stands; what is to be sent now. The greeting is still to come where TLS began with the connection."""
        if not self.wants_tls:
            return b""
        self.wants_tls = False
        self.step, self._expected, command = next(self._steps)
        return command

    def _reply(self, line: bytes) -> bytes:
        if self.ended:
            return b""
        code = int(line[:3]) if line[:3].isdigit() else 0
        if code != self._expected:
            raise DialogueError(self.step, code)
        self.accepted = self.accepted or self.step == "BODY"
        if self.step == "STARTTLS":
            self.wants_tls = True
            return b""
        following = next(self._steps, None)
        if following is None:
            self.ended = True
            return b""
        self.step, self._expected, command = following
        return command

    def _all_steps(self, start_tls: bool) -> Iterator[tuple[str, int, bytes]]:
        """Name of a step, the code that it needs, and what is sent for it."""
        letter = self._letter
        yield "(E)SMTP", 220, b""
        if start_tls:
            yield "EHLO", 250, _line(f"EHLO {self._helo_name}")
            yield "STARTTLS", 220, _line("STARTTLS")
        if self._login is not None:
            yield "EHLO", 250, _line(f"EHLO {self._helo_name}")
            yield from self._login_steps(self._login)
        else:
            yield "HELO", 250, _line(f"HELO {self._helo_name}")
        yield "MAIL", 250, _line(f"MAIL FROM:<{letter.sender}>")
        for recipient in letter.recipients:
            yield "RCPT", 250, _line(f"RCPT TO:<{recipient}>")
        yield "DATA", 354, _line("DATA")
        yield "BODY", 250, _data(letter.message)
        yield "QUIT", 221, QUIT

    def _login_steps(self, login: Login) -> Iterator[tuple[str, int, bytes]]:
        offered = {word for offer in self._offers if offer.startswith("AUTH ") for word in offer.split()[1:]}
        if "PLAIN" in offered:
            yield "AUTH", 235, _line(f"AUTH PLAIN {_base64(chr(0) + login.user + chr(0) + login.password)}")
        elif "LOGIN" in offered:
            yield "AUTH", 334, _line("AUTH LOGIN")
            yield "AUTH", 334, _line(_base64(login.user))
            yield "AUTH", 235, _line(_base64(login.password))
        else:
            raise DialogueError("no-login", 0)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _line(text: str) -> bytes:
    """A line end inside a configured name would be a command of its own."""
    return _encoded(text.replace("\r", " ").replace("\n", " ")) + b"\r\n"


def _data(message: str) -> bytes:
    """The message with CRLF, with doubled dots at line beginnings (RFC 5321 section 4.5.2), and its end."""
    lines = message.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    stuffed = "\r\n".join(f".{line}" if line.startswith(".") else line for line in lines)
    return _encoded(stuffed.removesuffix("\r\n")) + b"\r\n.\r\n"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"")


#: What a client says before it goes.
QUIT: Final = b"QUIT\r\n"
