"""BFD packets of strangers and broken neighbours: nothing of them may be believed."""

from __future__ import annotations

import random
import struct

from pykeepalived.bfd.packet import Control, State


def encode(control: Control) -> bytes:
    """RFC 5880 section 4.1."""
    flags = control.state.value << 6 | control.poll << 5 | control.final << 4 | control.demand << 1
    intervals = (control.min_tx_us, control.min_rx_us, control.min_echo_us)
    numbers = (control.my_discriminator, control.your_discriminator)
    return struct.pack("!BBBBIIIII", 0x20 | control.diagnostic, flags, control.multiplier, 24, *numbers, *intervals)


def junk(chance: random.Random, number: int, *, multihop: bool) -> tuple[bytes, int, bool]:
    """A packet for the session of that number, its TTL, and whether it comes to the port of multihop sessions."""
    right = Control(
        state=State.DOWN, multiplier=3, my_discriminator=77, your_discriminator=number, min_tx_us=1, min_rx_us=1
    )
    packet = bytearray(encode(right))
    ttl = 64 if multihop else 255
    match chance.randrange(8):
        case 0:
            ttl = 0 if multihop else 254
            multihop = False
        case 1:
            multihop = not multihop
        case 2:
            packet[8:12] = struct.pack("!I", (number + 1) % 2**32 or 1)
        case 3:
            packet[2] = 0
        case 4:
            packet[1] |= chance.choice((1, 4))
        case 5:
            packet[0] = 0x40
        case 6:
            packet[4:8] = bytes(4)
        case _:
            # It says that it is authenticated, and has a password with it.
            packet[1] |= 4
            packet[3] = 28
            packet += b"\1\4\1a"
    return bytes(packet), ttl, multihop
