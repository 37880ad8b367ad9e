"""The questions of the benchmark book, in the order in which they are asked: what matters most comes first."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """One program of this directory. Seconds are what it takes on an idle machine with two processors."""

    name: str
    title: str
    why: str
    """What makes the figures what they are."""
    short: str | None
    """Words of the short book; None: not in it."""
    short_s: int
    long: str
    long_s: int


QUESTIONS = (
    Question(
        "failover",
        "How late does a backup take over?",
        "A master falls silent; a third namespace stamps in the kernel what the backup sends. Timers count from when"
        " the kernel took the last advert in; shortly before an election is due the process is awake and has decided;"
        " all adverts leave before all addresses, these in one netlink batch, before all announcements.",
        "--rounds 10",
        85,
        "--rounds 10 --stress",
        190,
    ),
    Question(
        "adverts",
        "What does an advert cost?",
        "CPU time of the VRRP process, two routers of one program on a wire. All adverts that are due together leave in"
        " one turn of the loop as bytes made beforehand, and a repeated one that is heard costs a look-up of its bytes;"
        " keepalived turns its loop once for each it sends. The limit is what a process takes that does nothing but the"
        " system calls.",
        "--seconds 4",
        90,
        "--seconds 5 --rounds 2",
        115,
    ),
    Question(
        "checks",
        "What does a health check cost?",
        "CPU time of the checker process, 200 servers, a check a second each; `shared` has each server behind ten"
        " virtual servers, where one check of ours serves all ten. No task and no object of its own for a check beyond"
        " its socket, one epoll set, a timer only where one is due; most of the rest is the kernel's `connect`.",
        "--seconds 3 --rounds 2",
        115,
        "--seconds 4 --rounds 2",
        130,
    ),
    Question(
        "programming",
        "How fast does the kernel get its table?",
        "In the test kernel with IPVS. Requests go to the kernel many at a time in one netlink message batch; `ipvsadm"
        " -R` waits for each answer, ldirectord starts ipvsadm for each server.",
        "",
        70,
        "",
        70,
    ),
    Question(
        "reload",
        "How long does a reload take?",
        "One line among many real servers, from SIGHUP until the kernel tells of the change. Virtual servers whose"
        " text has not changed are taken over from the load before; only the difference goes to the kernel."
        " keepalived's time grows with the square, so it takes part at 5,000 servers.",
        "--rounds 2",
        50,
        "--rounds 4",
        80,
    ),
    Question(
        "storm",
        "Are there false failovers under load?",
        "1,000 instances at an advert_int of 0.1 s with a real-time priority, beside `stress-ng --cpu 2 --hdd 1`.",
        "--seconds 10",
        90,
        "--seconds 60",
        185,
    ),
    Question(
        "detection",
        "How long until silent servers are out, beside ldirectord?",
        "60 of 200 servers fall silent. ldirectord asks one server after the other, and each silent one costs its whole"
        " timeout; ours asks all at once. Nearly all of the time that this question takes is ldirectord's.",
        None,
        0,
        "",
        270,
    ),
    Question(
        "config_load",
        "How long does a configuration take to load?",
        "From file to checked model for three sizes, cold and after a change of one line, beside `keepalived -t`. Equal"
        " blocks are read once; blocks whose text has not changed are taken over from the load before. This is where"
        " Python is slower than C, and the targets are absolute.",
        "--runs 3",
        20,
        "--runs 3",
        20,
    ),
    Question(
        "start",
        "How long does a start take, and how much memory?",
        "From exec to `Startup complete`, and the proportional set size of all processes, for a small configuration."
        " The time is the interpreter's imports; the children are forks of the parent and share its pages.",
        "--rounds 3",
        20,
        "--rounds 5",
        35,
    ),
    Question(
        "nftables",
        "What does balancing without IPVS cost?",
        "New connections through the nftables dataplane beside the same job in a ruleset written by hand, and the time"
        " of its changes. The packets' way is the kernel's alone.",
        "--rounds 3",
        25,
        "--rounds 5",
        45,
    ),
    Question(
        "syscalls",
        "How many system calls does it take?",
        "Counted with `strace -c`: what no rewriting of the Python around them can save.",
        "--seconds 3",
        60,
        "--seconds 3",
        60,
    ),
    Question(
        "pace",
        "Are 37,205 checks every six seconds on time?",
        "One daemon with the nftables dataplane; the checks are spread over the checker and its worker processes.",
        "--seconds 20",
        45,
        "--seconds 600",
        630,
    ),
    Question(
        "many",
        "Does it bear thousands of instances?",
        "4,096 instances (1,000 in the short book): start, election after a silent master, and a netlink overrun in"
        " which an address is lost.",
        "--instances 1000",
        60,
        "",
        130,
    ),
    Question(
        "ldirectord_pace",
        "Are a thousand checks a second of an ldirectord.cf on time?",
        "1,000 real servers with `checkinterval=1`, 20 more that accept connections and say nothing.",
        "--seconds 15",
        20,
        "--seconds 20",
        25,
    ),
    Question(
        "flood",
        "Does a flood of hostile packets delay adverts?",
        "50,000 packets a second of five kinds against a MASTER, from another router's place.",
        "--seconds 1",
        30,
        "--seconds 4",
        75,
    ),
)
