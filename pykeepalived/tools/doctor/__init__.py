"""The doctor: what a director or a real server lacks, and the command that mends it. It changes nothing itself."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pykeepalived.diagnostics import Severity
from pykeepalived.diagnostics.render import short
from pykeepalived.model.config import Config
from pykeepalived.tools.configurations import Loaded
from pykeepalived.tools.doctor import kernel, networks, scripts, surroundings, vmac, wire
from pykeepalived.tools.doctor.ailment import Ailment, Weight, fault, note
from pykeepalived.tools.doctor.machine import Machine, ThisMachine

__all__ = ["Ailment", "Machine", "ThisMachine", "Weight", "examine_director", "examine_vmac"]

_FINDINGS = 20
#: What the help of a finding begins with when it is a command.
_COMMANDS = frozenset(("chgrp", "chmod", "chown", "ip", "modprobe", "sysctl"))


def examine_director(machine: Machine, loaded: Loaded | None, listen_s: float) -> list[Ailment]:
    """Everything about a director, the worst first. `loaded` None: there is no configuration to look at."""
    found: list[Ailment] = []
    config = loaded.config if loaded is not None else Config()
    if loaded is not None:
        found += _findings(loaded)
    for part in (scripts, networks, kernel, surroundings):
        found += part.examine(machine, config)
    if listen_s > 0 and config.instances:
        found += _heard(machine, config, listen_s)
    order = list(Weight)
    return sorted(dict.fromkeys(found), key=lambda item: order.index(item.weight))


def examine_vmac(machine: Machine, loaded: Loaded | None, listen_s: float) -> list[Ailment]:
    """Who answers for the virtual addresses, and with which MAC address."""
    config = loaded.config if loaded is not None else Config()
    try:
        heard = wire.listen(config, machine, listen_s)
    except OSError as error:
        return [note("not-heard", f"the wire was not listened to: {error.strerror or error}", "# run it as root")]
    return list(vmac.examine(machine, config, heard))


def _findings(loaded: Loaded) -> Iterator[Ailment]:
    errors = [item for item in loaded.findings if item.severity is Severity.ERROR]
    for item in errors[:_FINDINGS]:
        text = short(msgspec.structs.replace(item, help=None))
        yield fault("configuration", text, _mend(item.help))


def _mend(help_text: str | None) -> str:
    """What a finding advises: a command as it is, words as a remark."""
    if help_text is None:
        return "# keepalivedctl lint FILE shows the line"
    return help_text if help_text.split(" ", 1)[0] in _COMMANDS else f"# {help_text}"


def _heard(machine: Machine, config: Config, listen_s: float) -> Iterator[Ailment]:
    try:
        heard = wire.listen(config, machine, listen_s)
    except OSError as error:
        yield note("not-heard", f"the wire was not listened to: {error.strerror or error}", "# run it as root")
        return
    yield from wire.examine(machine, config, heard)
