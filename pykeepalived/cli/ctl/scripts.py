"""`keepalivedctl scripts`: the last runs of notify programs and check scripts."""

from __future__ import annotations

import click

from pykeepalived.cli.ctl import common


@click.command(name="scripts")
@click.option("--failed", is_flag=True, help="Only those whose last run failed.")
@common.json_option
@common.socket_option
def command(failed: bool, as_json: bool, path: str | None) -> None:
    """The last runs of every script: when, exit status, duration, the end of the output.

    What notify programs write until they end is kept, and goes to the daemon's own output as it always did. On a
    terminal, or where the daemon's output and errors go to different places, it goes there only.
    """
    answer = common.ask(path, "scripts")
    shown = [item for item in answer.get("scripts", ()) if not failed or item["runs"][-1]["status"] != 0]
    if as_json:
        common.print_json({"scripts": shown})
        return
    for item in shown:
        click.echo(click.style(common.clean(f"{item['command']} ({item['process']})"), bold=True))
        for run in item["runs"]:
            status = run["status"]
            said = "timed out" if status is None else f"signal {-status}" if status < 0 else f"exit {status}"
            click.echo(f"  {common.clock(run['ended'])}  {said}  {run['took_us'] / 1000:.0f} ms")
            for line in run["output"].splitlines()[-5:]:
                click.echo(f"    {common.clean(line)}")


if __name__ == "__main__":
    command()
