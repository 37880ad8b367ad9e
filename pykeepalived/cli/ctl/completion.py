"""`keepalivedctl completion`: the file that teaches a shell the commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pykeepalived.cli.ctl import common

PROGRAM = "keepalivedctl"
VARIABLE = "_KEEPALIVEDCTL_COMPLETE"


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common.json_option
def command(shell: str, *, as_json: bool) -> None:
    """Print the completion file for SHELL.

    For one session: `eval "$(keepalivedctl completion bash)"`. Names of instances and virtual servers are asked of the
    daemon that runs.
    """
    if as_json:
        common.print_json({"shell": shell, "source": source(shell)})
    else:
        click.echo(source(shell))


def source(shell: str) -> str:
    """The text of the file."""
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"click knows no shell {shell}")
    # Not BashComplete.source: that one runs bash to look at its version, which may not be here.
    made = found(click.Command(PROGRAM), {}, PROGRAM, VARIABLE)
    return made.source_template % made.source_vars()


if __name__ == "__main__":
    command()
