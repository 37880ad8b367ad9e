"""bfd_instance and track_group, printed."""

from __future__ import annotations

from pykeepalived.dialects.keepalived.printer_text import Writer
from pykeepalived.model import BfdInstance, TrackGroup
from pykeepalived.units import MILLISECOND_US


def bfd_instance(writer: Writer, found: BfdInstance) -> None:
    plain = BfdInstance(name="", neighbor="")
    with writer.block("bfd_instance", found.name):
        writer.value("source_ip", found.source)
        writer.line("neighbor_ip", found.neighbor)
        for word, value_us, usual_us in (
            ("min_rx", found.min_rx_us, plain.min_rx_us),
            ("min_tx", found.min_tx_us, plain.min_tx_us),
            ("idle_tx", found.idle_tx_us, plain.idle_tx_us),
        ):
            if value_us != usual_us or writer.everything:
                writer.line(word, f"{value_us / MILLISECOND_US:.3f}".rstrip("0").rstrip("."))
        writer.value("multiplier", found.multiplier, plain.multiplier)
        writer.flag("passive", found.passive)
        writer.flag("multihop", found.multihop)
        writer.value("ttl", found.ttl)
        writer.value("max_hops", found.max_hops)
        if found.weight or found.reverse:
            writer.line("weight", found.weight, *(("reverse",) if found.reverse else ()))
        writer.flag("vrrp", found.vrrp and not found.checker)
        writer.flag("checker", found.checker and not found.vrrp)


def track_group(writer: Writer, found: TrackGroup) -> None:
    with writer.block("track_group", found.name), writer.block("group"):
        for name in found.instances:
            writer.line(name)
