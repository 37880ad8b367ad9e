"""A mail server that writes everything down, and misbehaves when asked to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage


class Postbox:
    """Listens on `address`; the mails it got are in `mails`, whole client dialogues in `dialogues`."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0, *, answers: dict[str, bytes] | None = None) -> None:
        self.mails: list[bytes] = []
        self.dialogues: list[list[bytes]] = []
        self._answers = answers or {}
        self._listener = socket.create_server((address, port), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(mail, policy=policy.SMTP) for mail in list(self.mails)]  # type: ignore[arg-type]

    def texts(self) -> list[tuple[str, str]]:
        """Subject and body of each."""
        return [(str(mail["Subject"]), mail.get_content().strip()) for mail in self.messages()]

    def until(self, condition: Callable[[], bool], limit_s: float = 120) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, self.texts()
            time.sleep(0.05)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        said: list[bytes] = []
        self.dialogues.append(said)
        with connection, contextlib.suppress(OSError), connection.makefile("rwb", 0) as stream:
            self._say(stream, "connect", b"220 postbox\r\n")
            while line := stream.readline():
                said.append(line)
                word = line.split()[0].upper().decode() if line.split() else ""
                if word == "DATA" and "DATA" not in self._answers:
                    self._say(stream, "DATA", b"354 go on\r\n")
                    mail = b""
                    while (line := stream.readline()) and line != b".\r\n":
                        mail += line[1:] if line.startswith(b".") else line
                    if line:
                        self.mails.append(mail)
                    self._say(stream, "BODY", b"250 taken\r\n")
                elif word == "QUIT":
                    self._say(stream, "QUIT", b"221 bye\r\n")
                    return
                else:
                    self._say(stream, word, b"250-first\r\n250 good\r\n")

    def _say(self, stream: socket.SocketIO, step: str, usual: bytes) -> None:
        stream.write(self._answers.get(step, usual))  # type: ignore[attr-defined]
