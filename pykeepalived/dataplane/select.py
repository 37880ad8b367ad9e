"""Which dataplane this machine gets: IPVS where the kernel has it, else nftables, said aloud."""

from __future__ import annotations

import functools
from collections.abc import Callable

from pykeepalived.dataplane import Dataplane, DataplaneUnavailable
from pykeepalived.dataplane.nft_options import Options

_PLAIN = Options()


def open_dataplane(wish: str, say: Callable[[str], None], options: Options = _PLAIN) -> Dataplane:
    """Open the dataplane of `lvs_dataplane`: auto, ipvs or nftables.

    `options` are for nftables. `say` gets the line about the choice.
    Raises `DataplaneUnavailable` with what is missing.
    """
    if wish == "ipvs":
        return _ipvs()
    if wish == "nftables":
        return _nftables(options)
    try:
        dataplane = _ipvs()
    except DataplaneUnavailable as no_ipvs:
        try:
            dataplane = _nftables(options)
        except DataplaneUnavailable as no_nftables:
            raise DataplaneUnavailable(f"no dataplane: {no_ipvs}; {no_nftables}") from no_nftables
        say(f"LVS dataplane is nftables: {no_ipvs}")
        return dataplane
    say("LVS dataplane is IPVS")
    return dataplane


@functools.cache
def without_ipvs() -> bool:
    """Whether `auto` gives nftables for want of IPVS; asked once, as a running daemon does not change over."""
    from pykeepalived.dataplane.ipvs_commands import Commands  # noqa: PLC0415

    try:
        Commands().close()
    except (DataplaneUnavailable, OSError):
        return True
    return False


def _ipvs() -> Dataplane:
    from pykeepalived.dataplane.ipvs import IpvsDataplane  # noqa: PLC0415 (pyroute2 is costly to import)

    return IpvsDataplane()


def _nftables(options: Options) -> Dataplane:
    from pykeepalived.dataplane.nftables import NftablesDataplane  # noqa: PLC0415

    return NftablesDataplane(options=options)
