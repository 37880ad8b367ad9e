"""BFD control packets as bytes: built by scapy once per change and kept."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.bfd.packet import LENGTH, VERSION, Control
from pykeepalived.netio.frames import scapy_quietly  # noqa: F401 - must come before any other import of scapy

# isort: split
from scapy.contrib.bfd import BFD

_FLAGS: Final = (("poll", "P"), ("final", "F"), ("independent", "C"), ("authenticated", "A"), ("demand", "D"))
#: A session alternates between few packets; one that is polled by a hostile neighbour must not fill the memory.
_KEPT: Final = 4096


def control_packet(control: Control) -> Any:
    """The control packet as a scapy layer (RFC 5880 section 4.1)."""
    return BFD(
        version=VERSION,
        diag=control.diagnostic,
        sta=int(control.state),
        flags="".join(letter for field, letter in _FLAGS if getattr(control, field)),
        detect_mult=control.multiplier,
        len=LENGTH,
        my_discriminator=control.my_discriminator,
        your_discriminator=control.your_discriminator,
        min_tx_interval=control.min_tx_us,
        min_rx_interval=control.min_rx_us,
        echo_rx_interval=control.min_echo_us,
    )


class PacketCache:
    """Packets that were built, by what they hold."""

    def __init__(self) -> None:
        self._packets: dict[Control, bytes] = {}

    def packet(self, control: Control) -> bytes:
        found = self._packets.get(control)
        if found is None:
            if len(self._packets) >= _KEPT:
                self._packets.clear()
            found = self._packets[control] = bytes(control_packet(control))
        return found
