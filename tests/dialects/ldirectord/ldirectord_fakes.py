"""A machine for the loader that is the same everywhere."""

from pykeepalived.model.common import Family

PORTS = {("http", "tcp"): 80, ("https", "tcp"): 443, ("domain", "tcp"): 53, ("domain", "udp"): 53, ("smtp", "tcp"): 25}
NAMES = {
    ("localhost", Family.INET): "127.0.0.1",
    ("localhost", Family.INET6): "::1",
    ("web1", Family.INET): "10.1.1.1",
    ("web4", Family.INET): "10.1.1.4",
    ("5060", Family.INET): "0.0.19.196",
}


class FakeHost:
    """Knows a few names; /nosuch does not exist, /var/log and /tmp can be written."""

    def __init__(self, *absent: str) -> None:
        self.absent = absent

    def resolve(self, name: str, family: Family) -> str | None:
        return NAMES.get((name, family))

    def service_port(self, name: str, protocol: str | None) -> int | None:
        if protocol is None:
            return next((port for (word, _), port in PORTS.items() if word == name), None)
        return PORTS.get((name, protocol))

    def hostname(self) -> str:
        return "director"

    def append_problem(self, path: str) -> str | None:
        return None if path.startswith(("/var/log/", "/tmp/")) else "No such file or directory"

    def read_problem(self, path: str) -> str | None:
        return None if path.startswith(("/var/log/", "/tmp/")) else "No such file or directory"

    def has_module(self, name: str) -> bool:
        return name not in self.absent

    def has_program(self, name: str) -> bool:
        return name not in self.absent

    def is_directory(self, path: str) -> bool:
        return path == "/tmp"
