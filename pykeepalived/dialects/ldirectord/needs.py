"""What a section's checks need of the machine: client libraries, and perl. Absent, they are errors at load.

ldirectord dies at the first check instead (ldirectord-behaviour 3).
"""

from __future__ import annotations

from pykeepalived.dialects.ldirectord.host import Host
from pykeepalived.dialects.ldirectord.report import Reporter
from pykeepalived.dialects.ldirectord.services import CLIENTS
from pykeepalived.dialects.ldirectord.values import Places, Values
from pykeepalived.model.checks import ExternalCheck, NegotiateCheck
from pykeepalived.model.lvs import VirtualServer


def on_section(report: Reporter, places: Places, values: Values, host: Host, server: VirtualServer) -> None:
    """Report what is missing, at the word that asks for it."""
    question = next((spec.question for real in server.real_servers for spec in real.checkers), None)
    if isinstance(question, ExternalCheck) and question.perl and not host.has_program("perl"):
        found = values.get("checktype")
        if found:
            report.error(
                "missing-program",
                "`external-perl` needs perl, which is not installed",
                places.value(found.statement),
                help_text="install the package `perl`",
            )
    if not isinstance(question, NegotiateCheck):
        return
    client = CLIENTS.get(question.service)
    if client is None or host.has_module(client.module):
        return
    lines = values.all("real", "real6")
    found = values.get("service") or (lines[0] if lines else None)
    if found is None:
        return
    debian = f", or Debian's package `{client.package}`" if client.package else ""
    report.error(
        "missing-library",
        f"checks of {question.service} need the Python library `{client.module}`, which is not installed",
        places.value(found.statement),
        help_text=f"install `pykeepalived[{client.extra}]`{debian}",
    )
