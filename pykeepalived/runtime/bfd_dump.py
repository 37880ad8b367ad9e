"""What the BFD process shows: the status for `keepalivedctl` and keepalived_bfd.data (keepalived-behaviour 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pykeepalived.bfd.events import SessionStatus
from pykeepalived.bfd.packet import diagnostic_words
from pykeepalived.bfd.sessions import Sessions
from pykeepalived.units import SECOND_US


def status(sessions: Sessions, now_us: int) -> dict[str, Any]:
    """The snapshot for the control socket."""
    return {
        "sessions": [_session_status(item, now_us) for item in sessions.status()],
        "refused": dict(sessions.refused),
    }


def _session_status(item: SessionStatus, now_us: int) -> dict[str, Any]:
    seen_us = item.last_seen_us
    return {
        "name": item.config.name,
        "neighbor": item.config.neighbor,
        "source": item.config.source,
        "multihop": item.config.multihop,
        "state": item.state.word,
        "remote_state": item.remote_state.word,
        "diagnostic": diagnostic_words(item.diagnostic),
        "remote_diagnostic": diagnostic_words(item.remote_diagnostic),
        "local_discriminator": item.local_discriminator,
        "remote_discriminator": item.remote_discriminator,
        "tx_interval_us": item.tx_interval_us,
        "detection_time_us": item.detection_time_us,
        "remote_min_tx_us": item.remote_min_tx_us,
        "remote_min_rx_us": item.remote_min_rx_us,
        "remote_multiplier": item.remote_multiplier,
        "last_seen_s": None if seen_us is None else round((now_us - seen_us) / SECOND_US, 6),
        "since_s": round((now_us - item.last_change_us) / SECOND_US, 3),
        "sent": item.sent,
        "received": item.received,
        "times_up": item.times_up,
        "times_expired": item.times_expired,
    }


def data(sessions: Sessions, now_us: int) -> str:
    """keepalived_bfd.data."""
    lines = ["------< BFD Topology >------"]
    for item in sessions.status():
        lines += [f" BFD Instance = {item.config.name}", *(f"   {line}" for line in _lines(item, now_us))]
    if sessions.refused:
        lines.append("------< BFD refused packets >------")
        lines += [f" {word} = {count}" for word, count in sorted(sessions.refused.items())]
    return "".join(f"{line}\n" for line in lines)


def _lines(item: SessionStatus, now_us: int) -> Iterator[str]:
    config = item.config
    yield f"Neighbor IP = {config.neighbor}"
    if config.source:
        yield f"Source IP = {config.source}"
    yield f"Required min RX interval = {config.min_rx_us} us"
    yield f"Desired min TX interval = {config.min_tx_us} us"
    yield f"Desired idle TX interval = {config.idle_tx_us} us"
    yield f"Detection multiplier = {config.multiplier}"
    yield f"TTL = {config.sent_ttl}"
    yield f"max_hops = {255 - config.least_ttl}"
    yield f"passive = {'true' if config.passive else 'false'}"
    if config.multihop:
        yield "multihop = true"
    yield f"send event to VRRP process = {'Yes' if config.vrrp else 'No'}"
    yield f"send event to checker process = {'Yes' if config.checker else 'No'}"
    yield f"local state = {item.state.word}"
    yield f"remote state = {item.remote_state.word}"
    yield f"local discriminator = 0x{item.local_discriminator:x}"
    yield f"remote discriminator = 0x{item.remote_discriminator:x}"
    yield f"local diag = {diagnostic_words(item.diagnostic)}"
    yield f"remote diag = {diagnostic_words(item.remote_diagnostic)}"
    yield f"remote min tx intv = {item.remote_min_tx_us} us"
    yield f"remote min rx intv = {item.remote_min_rx_us} us"
    yield "local demand = 0"
    yield f"remote demand = {int(item.remote_demand)}"
    yield f"remote detect multiplier = {item.remote_multiplier}"
    yield f"{'' if item.polling else '!'}poll, !final"
    yield f"local tx intv = {item.tx_interval_us} us"
    yield f"remote tx intv = {max(item.required_rx_us, item.remote_min_tx_us) if item.received else 0} us"
    yield f"local detection time = {item.detection_time_us} us"
    yield f"remote detection time = {item.remote_detection_time_us} us"
    if item.last_seen_us is None:
        yield "last_seen = [never]"
    else:
        yield f"last_seen = {(now_us - item.last_seen_us) / SECOND_US:.6f} s ago"
