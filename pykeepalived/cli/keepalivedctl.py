"""`keepalivedctl`: look at a running daemon, help with configurations. Each command stands in a file of `cli.ctl`."""

from __future__ import annotations

import importlib
from typing import Final

import click
from click.shell_completion import CompletionItem

from pykeepalived import __version__

#: Command → its module, and the line that the overview shows. A command's module is loaded when it is used.
COMMANDS: Final = {
    "status": ("pykeepalived.cli.ctl.status", "Instances, virtual servers and real servers of a running daemon."),
    "watch": ("pykeepalived.cli.ctl.watch", "The status, live, with keys to sort and filter."),
    "explain": ("pykeepalived.cli.ctl.explain", "Why an instance is MASTER or not, why a real server is up or not."),
    "standby": ("pykeepalived.cli.ctl.standby", "Hand MASTER over on purpose, and stay out until resume."),
    "resume": ("pykeepalived.cli.ctl.resume", "Take part in elections again."),
    "weight": ("pykeepalived.cli.ctl.weight", "Another weight for a real server, until it is taken back."),
    "checks": ("pykeepalived.cli.ctl.checks", "`checks run`: ask real servers now."),
    "scripts": ("pykeepalived.cli.ctl.scripts", "The last runs of scripts: exit status, duration, output."),
    "events": ("pykeepalived.cli.ctl.events", "What happened, numbered, and with --follow what happens."),
    "doctor": (
        "pykeepalived.cli.ctl.doctor",
        "What this director or real server lacks, and the command that mends it.",
    ),
    "lint": ("pykeepalived.cli.ctl.lint", "Faults of a configuration, and combinations that are rarely meant."),
    "show-config": ("pykeepalived.cli.ctl.show_config", "The effective configuration of a file, with every default."),
    "explain-word": ("pykeepalived.cli.ctl.explain_word", "What a keyword of either language means."),
    "convert": ("pykeepalived.cli.ctl.convert", "One language into the other; Heartbeat, Piranha and ipvsadm too."),
    "fix": ("pykeepalived.cli.ctl.fix", "Repair a configuration that lost its indentation."),
    "plan": ("pykeepalived.cli.ctl.plan", "What a reload would do, before it does it."),
    "drain": ("pykeepalived.cli.ctl.drain", "Take a real server out when its connections have ended."),
    "undrain": ("pykeepalived.cli.ctl.undrain", "Put a drained real server back."),
    "ipvs": ("pykeepalived.cli.ctl.ipvs", "The kernel's table of virtual services, with ipvsadm's options."),
    "completion": ("pykeepalived.cli.ctl.completion", "The completion file for bash, zsh or fish."),
    "demo": ("pykeepalived.cli.ctl.demo", "Show a cluster at work on this machine."),
}


class _Group(click.Group):
    """Knows its commands by name and loads only the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command if isinstance(command, click.Command) else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names alone: a press of the tabulator key loads no command."""
        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in COMMANDS.items()])


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-v", "--version", prog_name="keepalivedctl")
def main() -> None:
    """Look at a running keepalived or ldirectord, and help with their configurations."""


if __name__ == "__main__":
    main()
