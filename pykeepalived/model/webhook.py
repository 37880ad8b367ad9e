"""The parts of a webhook's URL (RFC 3986), as `webhook_url` may have it."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

_LENGTH: Final = 2000
_PORTS: Final = {"http": 80, "https": 443}


class WebhookPlace(NamedTuple):
    tls: bool
    host: str
    """Name or address, without brackets."""
    port: int
    target: str
    """Path and query, as the request line has them."""

    @property
    def authority(self) -> str:
        """Host and port, as the Host header has them (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"


def webhook_place(url: str) -> WebhookPlace:
    """Cut a URL. Raises ValueError, whose text says what is wrong."""
    if len(url) > _LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"a URL has at most {_LENGTH} printable ASCII characters and no blank")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user and password in the URL, where logs would show them: use webhook_token")
    if not parts.hostname:
        raise ValueError("the URL has no host")
    port = parts.port if parts.port is not None else _PORTS[parts.scheme]
    if not port:
        raise ValueError("the port of the URL must be 1-65535")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookPlace(parts.scheme == "https", parts.hostname, port, target)
