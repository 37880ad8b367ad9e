"""BFD sessions: `bfd_instance`. Words are keepalived.conf's; defaults are keepalived 2.4.3's."""

from __future__ import annotations

import msgspec

from pykeepalived.units import MILLISECOND_US, SECOND_US

#: TTL or hop limit that single-hop packets carry (RFC 5881 section 5), and that of multihop ones in keepalived.
TTL_SINGLE_HOP = 255
TTL_MULTIHOP = 64
#: `max_hops` that asks for no check of received packets; -1 means the same.
ANY_HOPS = 255


class BfdInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One session with one neighbour (RFC 5880; over one hop RFC 5881, over several RFC 5883)."""

    name: str
    neighbor: str
    source: str | None = None
    """None: what the kernel chooses for the neighbour."""
    min_rx_us: int = 10 * MILLISECOND_US
    """Required Min RX Interval: packets need not come more often."""
    min_tx_us: int = 10 * MILLISECOND_US
    """Desired Min TX Interval while the session is Up."""
    idle_tx_us: int = SECOND_US
    """Desired Min TX Interval while it is not; at least one second (RFC 5880 section 6.8.3)."""
    multiplier: int = 5
    """Detection multiplier: packets that may go missing, 1 to 255."""
    passive: bool = False
    """Say nothing until the neighbour was heard (RFC 5880 section 6.1)."""
    ttl: int | None = None
    """TTL or hop limit of what is sent; None: 255, over several hops 64."""
    max_hops: int | None = None
    """Routers that a received packet may have crossed: its TTL is at least 255 minus this. -1 and 255: no check.

    None: 0, over several hops no check, as RFC 5883 asks for none and what keepalived sends there has TTL 64.
    """
    multihop: bool = False
    weight: int = 0
    reverse: bool = False
    vrrp: bool = True
    """Its state is told to the VRRP process."""
    checker: bool = True
    """Its state is told to the checker process."""

    @property
    def sent_ttl(self) -> int:
        if self.ttl is not None:
            return self.ttl
        return TTL_MULTIHOP if self.multihop else TTL_SINGLE_HOP

    @property
    def least_ttl(self) -> int:
        """The smallest TTL that a received packet may have; 0: any."""
        if self.max_hops is None:
            return 0 if self.multihop else 255
        return 0 if self.max_hops in {-1, ANY_HOPS} else 255 - self.max_hops
