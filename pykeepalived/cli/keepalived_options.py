"""Every option of keepalived 2.4.3, with its help line (keepalived-behaviour 2), and the two of ours.

An option that is known and has no effect here is still read as the original reads it, and the log says that it has
none: `NO_EFFECT` names them.
"""

from __future__ import annotations

from typing import Final

import click

from pykeepalived.cli.getopt import OptionalArgument


def _flag(*declarations: str, help: str = "", hidden: bool = False) -> click.Option:
    return click.Option(list(declarations), is_flag=True, help=help, hidden=hidden)


def _word(*declarations: str, metavar: str, help: str = "", hidden: bool = False) -> click.Option:
    return click.Option(list(declarations), metavar=metavar, help=help, hidden=hidden)


def _maybe(*declarations: str, metavar: str, help: str = "", text: str = "") -> OptionalArgument:
    return OptionalArgument(list(declarations), metavar=metavar, help=help, flag_text=text)


#: In the order of the usage text.
OPTIONS: Final[list[click.Parameter]] = [
    _word(
        "use_file", "-f", "--use-file", metavar="FILE",
        help="Use the specified configuration file\ndefault '/etc/keepalived/keepalived.conf'",
    ),
    _flag("vrrp", "-P", "--vrrp", help="Only run with VRRP subsystem"),
    _flag("check", "-C", "--check", help="Only run with Health-checker subsystem"),
    _flag("no_bfd", "-B", "--no_bfd", help="Don't run BFD subsystem"),
    _flag("all", "-3", "--all", help="Run all child processes, even without configuration for them"),
    _flag("log_console", "-l", "--log-console", help="Log messages to the console, too (with -n)"),
    click.Option(["log_detail", "-D", "--log-detail"], count=True, help="Detailed log messages"),
    _word("log_facility", "-S", "--log-facility", metavar="WORD", help="Facility: 0-7 for local0-7, or its name"),
    _flag("no_syslog", "-G", "--no-syslog", help="Don't log via syslog"),
    _maybe(
        "log_file", "-g", "--log-file", metavar="FILE", text="/tmp/keepalived.log",
        help="Log to a file (default /tmp/keepalived.log)",
    ),
    _flag("flush_log_file", "--flush-log-file", help="Write each line to the log file at once (always so)"),
    _word("umask", "-u", "--umask", metavar="MASK", help="umask for file creation (in numeric form)"),
    _flag("release_vips", "-X", "--release-vips", help="Drop addresses that an earlier run has left (always so)"),
    _flag("dont_release_vrrp", "-V", "--dont-release-vrrp", help="Leave VIPs, routes and rules on stop"),
    _flag("dont_release_ipvs", "-I", "--dont-release-ipvs", help="Leave the IPVS configuration on stop"),
    _flag("dont_respawn", "-R", "--dont-respawn", help="End when a child process dies"),
    _flag("dont_fork", "-n", "--dont-fork", help="Stay in the foreground"),
    _flag("dump_conf", "-d", "--dump-conf", help="Write the configuration to the log"),
    _word("pid", "-p", "--pid", metavar="FILE", help="Pid file of the parent process"),
    _word("vrrp_pid", "-r", "--vrrp_pid", metavar="FILE", help="Pid file of the VRRP child process"),
    _flag("genhash", "-T", "--genhash", help="Be genhash (must be the first option)"),
    _word("checkers_pid", "-c", "--checkers_pid", metavar="FILE", help="Pid file of the checkers child process"),
    _flag("address_monitoring", "-a", "--address-monitoring", help="Log every change of an address"),
    _word("bfd_pid", "-b", "--bfd_pid", metavar="FILE", help="Pid file of the BFD child process"),
    _flag("snmp", "-x", "--snmp", help="Enable SNMP"),
    _word("snmp_agent_socket", "-A", "--snmp-agent-socket", metavar="FILE", help="Socket of the SNMP master agent"),
    _word("namespace", "-s", "--namespace", metavar="NAME", help="Run in network namespace NAME (overrides config)"),
    _flag("core_dump", "-m", "--core-dump", help="Allow core dumps"),
    _maybe(
        "core_dump_pattern", "-M", "--core-dump-pattern", metavar="PATN", text="core",
        help="Also set the kernel's core pattern (default 'core')",
    ),
    _flag("all_config", "-e", "--all-config", help="Missing include files are errors"),
    _word(
        "config_id", "-i", "--config-id", metavar="ID",
        help="Skip configuration lines that begin with @ and another id or\n@^ and this id; default: the node's name",
    ),
    _word(
        "signum", "--signum", metavar="SIGFUNC",
        help="Print the signal number for STOP, RELOAD, DATA, STATS,\nSTATS_CLEAR or JSON",
    ),
    _maybe(
        "config_test", "-t", "--config-test", metavar="LOG_FILE", text="",
        help="Check the configuration; findings go to stderr or LOG_FILE",
    ),
    _maybe("perf", "--perf", metavar="TYPE", help="Performance recording"),
    _maybe("debug", "--debug", metavar="LETTERS", help="Debugging output"),
    _flag("no_mem_check", "--no-mem-check", hidden=True),
    _flag("mem_check_log", "-L", "--mem-check-log", hidden=True),
    _flag("list_features", "-O", hidden=True),
    _flag("ignore_sigint", "--ignore-sigint", hidden=True),
    _word("config_fd", "--config-fd", metavar="FD", hidden=True),
    _word("control_socket", "--control-socket", metavar="PATH", help="Control socket for keepalivedctl"),
    _word("ldirectord", "--ldirectord", metavar="FILE", help="Serve the pools of this ldirectord.cf while MASTER"),
    _flag("strict_config", "--strict-config", help="Don't start with a configuration that -t finds fault with"),
    _flag("version", "-v", "--version", help="Display the version number"),
    _flag("help", "-h", "--help", help="Display this help message"),
]  # fmt: skip

#: Known options without effect here, by parameter name. (Those of memory checks of C programs have nothing to do here,
#: and --config-fd is between processes of the original.)
NO_EFFECT: Final = {
    "perf": "--perf",
    "debug": "--debug",
}
