"""One server that accepts and says nothing: what it costs the checks of the others, in ldirectord and in ours."""

import itertools
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.ldirectord.room import PROGRAM, Room, wait_for

#: Writes the instant of each connection to the port that answers; the other port takes connections and is silent.
SERVERS = """
import select, socket, sys, time
good, mute = (socket.create_server(("127.0.0.1", port), backlog=64) for port in (8001, 8002))
kept = []
print("ready", flush=True)
while True:
    for sock in select.select([good, mute], [], [])[0]:
        connection = sock.accept()[0]
        if sock is mute:
            kept.append(connection)
            continue
        with open(sys.argv[1], "a") as file:
            file.write(f"{time.monotonic()}\\n")
        connection.settimeout(5)
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        connection.close()
"""
SILENCE_S = 4
TEXT = f"""\
checktimeout={SILENCE_S}
negotiatetimeout={SILENCE_S}
checkinterval=1
virtual=10.1.0.1:80
    real=127.0.0.1:8001 masq
    real=127.0.0.1:8002 masq
    service=http
"""
ROUNDS = 5


def gaps_of(program: str, top: Path) -> list[float]:
    """Seconds between one check of the good server and the next, while the silent one is checked, too."""
    config, heard = top / f"{Path(program).name}.cf", top / f"{Path(program).name}.heard"
    config.write_text(TEXT)
    heard.touch()
    with Room() as room:
        room.give_ipvsadm()
        servers = room.start(sys.executable, "-c", SERVERS, str(heard))
        assert servers.stdout is not None
        assert servers.stdout.readline() == "ready\n"
        assert room.run(program, str(config), "start").returncode == 0
        wait_for(lambda: len(heard.read_text().split()) > ROUNDS, "checks of the good server", 600)
        room.run(program, str(config), "stop")
        # It stops between two checks, and one of them is waiting for the silent server.
        time.sleep(SILENCE_S)
    servers.communicate(timeout=90)
    instants = [float(word) for word in heard.read_text().split()][: ROUNDS + 1]
    return [after - before for before, after in itertools.pairwise(instants)]


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.long
def test_a_silent_server_delays_no_other_check(tmp_path: Path) -> None:
    theirs, ours = gaps_of("/usr/sbin/ldirectord", tmp_path), gaps_of(PROGRAM, tmp_path)
    # Theirs: the interval and the whole limit of the silent server. Its first two rounds follow at once.
    assert statistics.median(theirs) > SILENCE_S
    assert statistics.median(ours) < 2, ours
