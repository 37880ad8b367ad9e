"""What an instance accepts of what it hears, as the receive ladder needs it."""

from __future__ import annotations

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import AuthHmac, AuthType, VrrpInstance
from pykeepalived.vrrp import hmac_trailer
from pykeepalived.vrrp.facts import advert_interval_us, instance_family, is_unicast
from pykeepalived.vrrp.links import advert_link
from pykeepalived.vrrp.timers import OWNER


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance accepts."""

    instance: str
    vrid: int
    family: Family
    interface: str | None
    """None: any (unicast without an interface)."""
    version: int
    interval_us: int
    auth_type: AuthType = AuthType.NONE
    password: bytes = b"\0" * 8
    unicast: bool = False
    destination: str | None = None
    """Where its adverts go to: the multicast group, or our own unicast address; None: not told."""
    peers: dict[str, tuple[int, int]] = {}
    """Unicast peers with their lowest and highest TTL."""
    check_peers: bool = False
    """Refuse adverts whose source is not a peer, or whose TTL is out of the peer's range."""
    ignores_adverts: bool = False
    sends_plain_checksum: bool = False
    """IPv4 v3: our own adverts carry RFC 9568's checksum, without the pseudo-header."""
    takes_old_checksum: bool = False
    """IPv4 v3 unicast: the checksum of keepalived before 1.3.6 is accepted too."""
    hmac: AuthHmac | None = None
    hmac_window_s: int | None = None
    """How far the clock of a sender may be off; None: that does not count."""


def expectation(config: VrrpInstance) -> Expectation:
    """What the instance of this configuration accepts."""
    authentication = config.authentication if config.version == 2 else None
    return Expectation(
        instance=config.name,
        vrid=config.vrid,
        family=instance_family(config),
        interface=advert_link(config),
        version=config.version,
        interval_us=advert_interval_us(config),
        auth_type=authentication.type if authentication else AuthType.NONE,
        password=(authentication.password if authentication else b"")[:8].ljust(8, b"\0"),
        unicast=is_unicast(config),
        destination=config.source if is_unicast(config) else config.multicast_group,
        peers={peer.address: (peer.min_ttl, peer.max_ttl) for peer in config.unicast_peers},
        check_peers=config.check_unicast_src
        or config.auth_hmac is not None
        or any(peer.min_ttl > 0 or peer.max_ttl < 255 for peer in config.unicast_peers),
        ignores_adverts=config.owner_ignore_adverts and config.priority == OWNER,
        sends_plain_checksum=config.v3_checksum_as_v2,
        takes_old_checksum=is_unicast(config) and config.version == 3 and config.old_unicast_checksum != "never",
        hmac=config.auth_hmac,
        hmac_window_s=hmac_trailer.time_window_s(config, config.auth_hmac) if config.auth_hmac else None,
    )
