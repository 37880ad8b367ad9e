"""Readers that several blocks share."""

from __future__ import annotations

from typing import Final

from pykeepalived.dialects.keepalived.readers import (
    INT_MAX,
    UINT_MAX,
    Address,
    Duration,
    Integer,
    Listen,
    Prefix,
    Text,
)
from pykeepalived.units import SECOND_US

NAME: Final = Text("NAME")
PATH: Final = Text("PATH")
STRING: Final = Text("STRING")
USER: Final = Text("USER")
GROUP: Final = Text("GROUP")
HOST: Final = Text("HOST")
INTERFACE: Final = Text("INTERFACE", 15)
PROCESS_NAME: Final = Text("NAME", 15)
ADDRESS: Final = Address()
ADDRESS4: Final = Address(family=4)
MULTICAST: Final = Address(multicast=True)
MULTICAST4: Final = Address(multicast=True, family=4)
MULTICAST6: Final = Address(multicast=True, family=6)
PREFIX: Final = Prefix()
LISTEN: Final = Listen()
PORT: Final = Integer(1, 65535, "port")
#: 0: all ports.
SERVICE_PORT: Final = Integer(0, 65535, "port")
BYTE: Final = Integer(0, 255)
UNSIGNED: Final = Integer(0, UINT_MAX)
BYTES: Final = Integer(0, UINT_MAX, "bytes")
COUNT: Final = Integer(1, INT_MAX, "count")
COUNT0: Final = Integer(0, INT_MAX, "count")
#: Whole seconds that keepalived keeps in microseconds of 32 bits.
WHOLE_SECONDS: Final = Integer(0, 4294, "seconds", scale=SECOND_US)
#: Times of checkers: decimals, more than nothing.
CHECK_SECONDS: Final = Duration(1, 4294 * SECOND_US)
#: Periods and pauses have no such limit.
LONG_SECONDS: Final = Duration(1, UINT_MAX * SECOND_US)
LONG_SECONDS0: Final = Duration(0, UINT_MAX * SECOND_US)
NICE: Final = Integer(-20, 19)
REAL_TIME_PRIORITY: Final = Integer(1, 99, clamp=True)
CPU: Final = Integer(0, 4095, "cpu")
RTTIME: Final = Integer(1, UINT_MAX, "microseconds")
WEIGHT_254: Final = Integer(-254, 254)
WEIGHT_253: Final = Integer(-253, 253, clamp=True)
