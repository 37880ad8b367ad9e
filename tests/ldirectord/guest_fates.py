"""Runs in the test kernel: two directors with the same file, one of them ours, and servers that die and return.

    python guest_fates.py PLAN.json

Each director lives in a network namespace of its own that also has the servers' addresses. After every step the table
is read with `ipvsadm -Sn` until both directors' tables have stood still, and everything is printed as JSON.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = {"ours": "pyldirectord", "peer": "ldirectord"}

#: What a server of a kind says on connection and to each word; `None` ends the connection.
GREETINGS = {
    21: b"220 ftp\r\n", 25: b"220 mail ESMTP\r\n", 110: b"+OK pop\r\n", 119: b"200 news\r\n", 143: b"* OK imap\r\n",
    587: b"220 mail ESMTP\r\n",
}  # fmt: skip
ANSWERS = {
    b"USER": {21: b"331 password\r\n", 110: b"+OK\r\n"},
    b"PASS": {21: b"230 in\r\n", 110: b"+OK\r\n"},
    b"CWD": {21: b"250 ok\r\n"},
    b"TYPE": {21: b"200 ok\r\n"},
    b"EHLO": {25: b"250 mail\r\n", 587: b"250 mail\r\n"},
}
BYE = {21: b"221 bye\r\n", 25: b"221 bye\r\n", 110: b"+OK bye\r\n", 119: b"205 bye\r\n", 587: b"221 bye\r\n"}


# ---- servers: one process per director, told on its standard input what to do ----


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    await reader.readuntil(b"\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


async def open_data(control: asyncio.StreamWriter) -> bytes:
    """A data connection that gives its one client an empty file."""
    address = control.get_extra_info("sockname")[0]

    def give(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        server.close()

    server = await asyncio.start_server(give, address, 0)
    port = server.sockets[0].getsockname()[1]
    return f"227 ({address.replace('.', ',')},{port >> 8},{port & 255})\r\n".encode()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    writer.write(GREETINGS[port])
    while line := await reader.readline():
        word = line.split()[0].upper() if line.split() else b""
        if port == 143:
            # The first word of a line is the client's tag.
            writer.write(word + b" OK done\r\n")
            continue
        if word == b"QUIT":
            writer.write(BYE[port])
            return
        if word == b"PASV":
            writer.write(await open_data(writer))
            continue
        if word == b"RETR":
            writer.write(b"150 here\r\n226 done\r\n")
            continue
        default = b"-ERR what\r\n" if port == 110 else b"500 what\r\n"
        writer.write(ANSWERS.get(word, {}).get(port, default))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"you said " + await reader.read(4096) + b"\n")
    await writer.drain()


class Names(asyncio.DatagramProtocol):
    """Answers every question for an address with 192.0.2.80."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: tuple) -> None:
        end = data.index(b"\0", 12) + 5
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 80])
        self.transport.sendto(data[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + data[12:end] + answer, peer)


async def serve() -> None:
    """Lines `up ADDRESS PORT [BODY]` and `down ADDRESS PORT`; each is answered with `done`."""
    servers: dict[tuple[str, int], asyncio.AbstractServer] = {}
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while command := (await commands.readline()).decode().split(maxsplit=3):
        what, address, port = command[0], command[1], int(command[2])
        if what == "up":
            body = command[3].encode() if len(command) > 3 else b""

            if port == 53:
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_datagram_endpoint(Names, local_addr=(address, port))
                servers[address, port] = transport
                print("done", flush=True)
                continue

            async def handle(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port, body: bytes = body
            ) -> None:
                try:
                    if port == 7:
                        await echo(reader, writer)
                    else:
                        await (talk(reader, writer, port) if port in GREETINGS else web(reader, writer, body))
                except (OSError, asyncio.IncompleteReadError):
                    pass
                finally:
                    writer.close()

            servers[address, port] = await asyncio.start_server(handle, address, port)
        else:
            servers.pop((address, port)).close()
        print("done", flush=True)


# ---- directors ----


class Director:
    def __init__(self, name: str, plan: dict, namespace: str = "") -> None:
        self.name = name
        self.namespace = namespace or f"ld-{name}"
        self.config = plan["config"]
        run("ip", "netns", "add", self.namespace)
        batch = "".join(f"addr add {address}/{128 if ':' in address else 32} dev lo\n" for address in plan["addresses"])
        self.inside("ip", "-batch", "-", stdin=f"link set lo up\n{batch}")
        self.servers = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, sys.executable, __file__, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Logs and pid files of its own: a mount namespace that lives as long as this process.
        self.room = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, "sh", "-c",
             "mount -t tmpfs run /run && mount -t tmpfs log /var/log && echo ready && exec sleep 1000"],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.room.stdout is not None
        assert self.room.stdout.readline() == "ready\n"

    def inside(self, *words: str, stdin: str = "") -> str:
        return run("ip", "netns", "exec", self.namespace, *words, stdin=stdin)

    def in_room(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", "-t", str(self.room.pid), "-m", "-n", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    def control(self, action: str) -> list:
        done = self.in_room(PROGRAMS[self.name], self.config, action)
        return [done.returncode, done.stdout, done.stderr]

    def tell(self, command: str) -> None:
        assert self.servers.stdin is not None
        assert self.servers.stdout is not None
        self.servers.stdin.write(f"{command}\n")
        self.servers.stdin.flush()
        assert self.servers.stdout.readline() == "done\n"

    def table(self) -> str:
        return run("nsenter", f"--net=/run/netns/{self.namespace}", "ipvsadm", "-Sn")

    def log(self) -> str:
        return self.in_room("cat", "/var/log/ldirectord.log").stdout

    def close(self) -> None:
        for process in (self.servers, self.room):
            process.send_signal(signal.SIGKILL)


def run(*words: str, stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def settle(directors: list[Director], still_s: float, limit_s: float) -> dict[str, str]:
    """Both tables once they are equal and nothing has moved for a while; after the limit, as they are."""
    end = time.monotonic() + limit_s
    tables: dict[str, str] = {}
    since = time.monotonic()
    while time.monotonic() < end:
        now = {director.name: director.table() for director in directors}
        if now != tables:
            tables, since = now, time.monotonic()
        elif len(set(now.values())) == 1 and time.monotonic() - since > still_s:
            break
        time.sleep(0.7)
    return tables


def main(plan_path: str) -> None:
    plan = json.loads(Path(plan_path).read_text())
    directors = [Director(name, plan) for name in PROGRAMS]
    report: dict = {"steps": [], "actions": {}, "logs": {}}
    try:
        for step in plan["steps"]:
            for director in directors:
                for command in step.get("servers", ()):
                    director.tell(command)
            for path, text in step.get("write", {}).items():
                Path(path).write_text(text)
            for action in step.get("actions", ()):
                report["actions"][step["name"]] = {each.name: each.control(action) for each in directors}
            tables = settle(directors, plan["still_s"], plan["limit_s"])
            # Whoever waits for a long comparison sees where it is.
            print(json.dumps([step["name"], round(time.monotonic()), tables]), file=sys.stderr, flush=True)
            report["steps"].append([step["name"], tables])
        report["logs"] = {director.name: director.log() for director in directors}
    finally:
        for director in directors:
            director.close()
    print(json.dumps(report))


if __name__ == "__main__":
    os.environ.setdefault("LANG", "C")
    if sys.argv[1] == "serve":
        asyncio.run(serve())
    else:
        main(sys.argv[1])
