"""What `-x` and `-A` make of a configuration: the command line wins over the file, at every reload."""

from __future__ import annotations

import msgspec

from pykeepalived.runtime.reload import Load, Loaded


def with_snmp(load: Load, *, all_mibs: bool, target: str | None) -> Load:
    """`all_mibs`: -x; `target`: the master agent of -A."""
    if not all_mibs and target is None:
        return load

    def loaded() -> Loaded:
        found = load()
        settings = found.config.globals
        agents = settings.agents
        if all_mibs:
            agents = msgspec.structs.replace(
                agents,
                enable_snmp_vrrp=True,
                enable_snmp_checker=True,
                enable_snmp_rfcv2=True,
                enable_snmp_rfcv3=True,
            )
        if target is not None:
            agents = msgspec.structs.replace(agents, snmp_socket=target)
        changed = msgspec.structs.replace(settings, agents=agents)
        return msgspec.structs.replace(found, config=msgspec.structs.replace(found.config, globals=changed))

    return loaded
