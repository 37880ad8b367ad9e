"""Red Hat Piranha's lvs.cf as a keepalived.conf (migration-facts 3)."""

from __future__ import annotations

import re
import shlex
from typing import Final

import msgspec

from pykeepalived.dialects.keepalived.readers import canonical_address
from pykeepalived.dialects.keepalived.tables.lvs import SCHEDULERS
from pykeepalived.model import (
    AddressSelector,
    CheckerSpec,
    CheckTiming,
    Config,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GlobalDefs,
    HttpCheck,
    HttpUrl,
    IpPrefix,
    MiscCheck,
    Protocol,
    RealServer,
    Script,
    Selector,
    SocketOptions,
    SorryServer,
    SyncDaemon,
    TcpCheck,
    UnicastPeer,
    VirtualAddress,
    VirtualServer,
    VrrpInstance,
    VrrpState,
)
from pykeepalived.model.checks import CheckQuestion
from pykeepalived.tools.convert.result import ROOT, Converted, NotConvertible, Notes, with_script_security
from pykeepalived.units import SECOND_US

_ASSIGNMENT: Final = re.compile(r"(?P<name>\w+)\s*=\s*(?P<value>.*)")
_BLOCK: Final = re.compile(r"(?P<kind>virtual|server|failover)\s+(?P<name>\S+)\s*\{")
_REQUEST: Final = re.compile(r"GET\s+(?P<path>\S+)")
_STATUS: Final = re.compile(r"HTTP/\d\.\d\s+(?P<code>[1-5]\d\d)")
_METHODS: Final = {
    "nat": ForwardingMethod.NAT, "direct": ForwardingMethod.DR, "tunnel": ForwardingMethod.TUN,
}  # fmt: skip
#: What is of no meaning elsewhere: a counter of edits, names of programs, a setting of the web page.
_SILENT: Final = frozenset({"serial_no", "client_monitor", "ipvsadm"})
#: Settings with one value that is what keepalived does; another one is listed.
_USUAL: Final = {"service": "lvs", "backup_active": "1", "heartbeat": "1"}
_KNOWN_SERVER: Final = frozenset({"active", "address", "port", "weight"})
_KNOWN: Final = frozenset(
    {"primary", "backup", "keepalive", "deadtime", "network", "nat_router", "nat_nmask", "syncdaemon", "syncd_iface",
     "syncd_id", "tcp_timeout", "tcpfin_timeout", "udp_timeout", "active_cmd"}
)  # fmt: skip
_KNOWN_VIRTUAL: Final = frozenset(
    {"active", "address", "vip_nmask", "port", "protocol", "fwmark", "scheduler", "persistent", "pmask", "send",
     "expect", "use_regex", "send_program", "timeout", "load_monitor", "sorry_server", "client_monitor"}
)  # fmt: skip
_DEEPEST: Final = 3
_LOAD_PROGRAM: Final = "/usr/local/sbin/load-weight"


class _Block:
    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.values: dict[str, str] = {}
        self.blocks: list[_Block] = []

    def number(self, name: str, default: int) -> int:
        text = self.values.get(name, str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise NotConvertible(f"{self.kind} {self.name}: `{name} = {text}` is no number")
        return int(text)

    def on(self, name: str, default: bool = False) -> bool:
        return self.values.get(name, "1" if default else "0") == "1"


def _parse(text: str) -> _Block:
    root = _Block("file", "lvs.cf")
    open_blocks = [root]
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        block = _BLOCK.fullmatch(line)
        if line == "}":
            if len(open_blocks) == 1:
                raise NotConvertible(f"line {number}: this `}}` closes nothing")
            open_blocks.pop()
        elif block and len(open_blocks) < _DEEPEST:
            inner = _Block(block["kind"], block["name"])
            open_blocks[-1].blocks.append(inner)
            open_blocks.append(inner)
        elif match := _ASSIGNMENT.fullmatch(line):
            open_blocks[-1].values[match["name"]] = _unquoted(match["value"])
        else:
            raise NotConvertible(f"line {number}: neither NAME = VALUE nor a block")
    if len(open_blocks) > 1:
        raise NotConvertible(f"the block {open_blocks[-1].kind} {open_blocks[-1].name} is never closed")
    return root


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def convert(text: str, notes: Notes) -> Converted:
    """Raises NotConvertible."""
    root = _parse(text)
    for name, value in root.values.items():
        if name not in _SILENT | _KNOWN and _USUAL.get(name) != value:
            notes.add(f"{name} = {value}: no equivalent")
    for block in root.blocks:
        if block.kind == "failover":
            notes.add(f"failover {block.name}: plain failover of a service: write its address into the vrrp_instance, "
                      "and start and stop it by notify_master and notify_backup")  # fmt: skip
    virtuals = [block for block in root.blocks if block.kind == "virtual"]
    active = [block for block in virtuals if block.on("active", True)]
    for block in virtuals:
        if block not in active:
            notes.add(f"virtual {block.name} is not active and is left out")
    method = _METHODS.get(root.values.get("network", "nat"))
    if method is None:
        raise NotConvertible(f"network = {root.values['network']}")
    services = [service for block in active if (service := _service(block, Forwarding(method), notes)) is not None]
    addresses = _addresses(root, active, notes)
    scripts = [
        spec.question.script
        for service in services
        for server in service.real_servers
        for spec in server.checkers
        if isinstance(spec.question, MiscCheck)
    ]
    master = Script(tuple(shlex.split(root.values["active_cmd"])), ROOT) if root.values.get("active_cmd") else None
    settings = with_script_security(_globals(root), [*scripts, master], notes)
    instance = _instance(root, addresses, master, notes) if addresses else None
    configs = {}
    for router in ("primary", "backup"):
        found = (_for_router(instance, router, root),) if instance is not None else ()
        configs[router] = Config(
            globals=msgspec.structs.replace(settings, router_id=router),
            instances=found,
            virtual_servers=tuple(services),
        )
    return Converted(configs, notes.all())


def _globals(root: _Block) -> GlobalDefs:
    timeouts = tuple(root.number(name, 0) for name in ("tcp_timeout", "tcpfin_timeout", "udp_timeout"))
    daemon = None
    if root.on("syncdaemon"):
        daemon = SyncDaemon(
            interface=root.values.get("syncd_iface", "eth0"), instance="VI_1", sync_id=root.number("syncd_id", 0)
        )
    return GlobalDefs(
        dynamic_interfaces=True,
        lvs_timeouts=(timeouts[0], timeouts[1], timeouts[2]) if any(timeouts) else None,
        sync_daemon=daemon,
    )


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _length(mask: str, what: str, notes: Notes) -> int:
    address = canonical_address(mask) if mask else None
    bits = "".join(f"{int(part):08b}" for part in address.split(".")) if address and ":" not in address else "01"
    if "01" in bits:
        notes.add(f"{what}: no netmask, /32 is written")
        return 32
    return bits.count("1")


def _address(text: str, mask: str, what: str, notes: Notes) -> VirtualAddress:
    words = text.split()
    address = canonical_address(words[0]) if words else None
    if address is None:
        raise NotConvertible(f"{what}: `{text}` is no address with a device")
    device = words[1].split(":")[0] if len(words) > 1 else None
    return VirtualAddress(prefix=IpPrefix(address, _length(mask, what, notes)), dev=device)


def _addresses(root: _Block, virtuals: list[_Block], notes: Notes) -> list[VirtualAddress]:
    found: dict[str, VirtualAddress] = {}
    sources = [(block.values.get("address", ""), block.values.get("vip_nmask", ""), f"virtual {block.name}")
               for block in virtuals if block.values.get("address")]  # fmt: skip
    if root.values.get("nat_router") and root.values.get("network", "nat") == "nat":
        sources.append((root.values["nat_router"], root.values.get("nat_nmask", ""), "nat_router"))
    for text, mask, what in sources:
        address = _address(text, mask, what, notes)
        found.setdefault(address.prefix.address, address)
    return list(found.values())


def _instance(root: _Block, addresses: list[VirtualAddress], master: Script | None, notes: Notes) -> VrrpInstance:
    keepalive_s = min(255, max(1, root.number("keepalive", 2)))
    dead_s = root.number("deadtime", 5)
    missed = min(100, max(1, -(-dead_s // keepalive_s)))
    notes.add(
        f"keepalive {keepalive_s}, deadtime {dead_s}: advert_int {keepalive_s} and down_timer_adverts {missed} keep "
        "them; both routers must say the same"
    )
    interface = next((address.dev for address in addresses if address.dev is not None), None)
    if interface is None:
        notes.add("no address names a device: eth0 is written")
    return VrrpInstance(
        name="VI_1",
        vrid=51,
        interface=interface or "eth0",
        advert_interval_us=keepalive_s * SECOND_US,
        down_timer_adverts=missed,
        addresses=tuple(addresses),
        notify_master=master,
    )


def _for_router(found: VrrpInstance, router: str, root: _Block) -> VrrpInstance:
    first = router == "primary"
    own = canonical_address(root.values.get(router, ""))
    other = canonical_address(root.values.get("backup" if first else "primary", ""))
    changed = msgspec.structs.replace(
        found,
        priority=150 if first else 100,
        initial_state=VrrpState.MASTER if first else VrrpState.BACKUP,
    )
    if own is None or other is None:
        return changed
    return msgspec.structs.replace(changed, source=own, unicast_peers=(UnicastPeer(other),))


# ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _service(block: _Block, forwarding: Forwarding, notes: Notes) -> VirtualServer | None:
    what = f"virtual {block.name}"
    for name, value in block.values.items():
        if name not in _KNOWN_VIRTUAL:
            notes.add(f"{what}: {name} = {value}: no equivalent")
    port = block.number("port", 80)
    selector: Selector
    if block.values.get("fwmark"):
        selector = FwmarkSelector(block.number("fwmark", 0))
    else:
        words = block.values.get("address", "").split()
        address = canonical_address(words[0]) if words else None
        if address is None:
            raise NotConvertible(f"{what}: no address")
        selector = AddressSelector(address, port)
    scheduler = block.values.get("scheduler", "wlc")
    if scheduler not in SCHEDULERS:
        notes.add(f"{what}: scheduler {scheduler} is unknown, wlc is written")
        scheduler = "wlc"
    protocol = Protocol.UDP if block.values.get("protocol", "tcp") == "udp" else Protocol.TCP
    servers = tuple(
        _server(inner, block, port, forwarding, notes)
        for inner in block.blocks
        if inner.kind == "server" and _is_active(inner, what, notes)
    )
    if not servers:
        notes.add(f"{what} has no active server and is left out")
        return None
    persistent = block.number("persistent", 0)
    mask = block.values.get("pmask", "")
    prefix = _length(mask, what, notes) if mask and mask != "255.255.255.255" and persistent else None
    sorry = canonical_address(block.values.get("sorry_server", "").split(" ")[0])
    own_port = selector.port if isinstance(selector, AddressSelector) else 0
    return VirtualServer(
        selector=selector,
        protocol=None if isinstance(selector, FwmarkSelector) else protocol,
        scheduler=scheduler,
        persistence_timeout_s=persistent,
        persistence_prefix=prefix,
        forwarding=forwarding,
        alpha=True,
        sorry_server=SorryServer(address=sorry, port=own_port, forwarding=forwarding) if sorry else None,
        real_servers=servers,
    )


def _is_active(block: _Block, what: str, notes: Notes) -> bool:
    if not block.on("active", True):
        notes.add(f"{what}: server {block.name} is not active and is left out")
        return False
    return True


def _server(block: _Block, virtual: _Block, port: int, forwarding: Forwarding, notes: Notes) -> RealServer:
    address = canonical_address(block.values.get("address", ""))
    if address is None:
        raise NotConvertible(f"virtual {virtual.name}: server {block.name} has no address")
    for name, value in block.values.items():
        if name not in _KNOWN_SERVER:
            notes.add(f"virtual {virtual.name}, server {block.name}: {name} = {value}: no equivalent")
    own = block.number("port", port)
    marked = bool(virtual.values.get("fwmark"))
    table_port = own if forwarding.method is ForwardingMethod.NAT else (0 if marked else port)
    # Out after `timeout` seconds without success: two tries of half of it.
    half_us = max(1, virtual.number("timeout", 10) // 2) * SECOND_US
    timing = CheckTiming(delay_loop_us=half_us, warmup_us=half_us, retry=1, delay_before_retry_us=SECOND_US, alpha=True)
    socket = SocketOptions(address=address, port=own, timeout_us=half_us)
    questions = _questions(virtual, socket, notes)
    return RealServer(
        address=address,
        port=table_port,
        weight=block.number("weight", 1),
        forwarding=forwarding,
        alpha=True,
        checkers=tuple(CheckerSpec(question=question, timing=timing) for question in questions),
    )


def _questions(virtual: _Block, socket: SocketOptions, notes: Notes) -> list[CheckQuestion]:
    what = f"virtual {virtual.name}"
    values = virtual.values
    found: list[CheckQuestion] = []
    send, expect = values.get("send", ""), values.get("expect", "")
    request = _REQUEST.match(send)
    if values.get("send_program"):
        words = shlex.split(values["send_program"].replace("%h", socket.address))
        found.append(MiscCheck(script=Script(tuple(words), ROOT), timeout_us=socket.timeout_us))
        notes.add(f"{what}: send_program: MISC_CHECK looks at the exit code, not at the output (expect was "
                  f"`{expect}`): put a script around it")  # fmt: skip
    elif request:
        found.append(HttpCheck(socket=socket, urls=(_url(request["path"], expect, virtual, notes),)))
    else:
        if send or expect:
            notes.add(f"{what}: send `{send}`, expect `{expect}`: TCP_CHECK connects only; MISC_CHECK can do more")
        found.append(TcpCheck(socket=socket))
    monitor = values.get("load_monitor", "none")
    if monitor != "none":
        script = Script((_LOAD_PROGRAM, monitor, socket.address), ROOT)
        found.append(MiscCheck(script=script, timeout_us=socket.timeout_us, dynamic=True))
        notes.add(f"{what}: load_monitor {monitor}: write the program {_LOAD_PROGRAM}; its exit code 2 to 255 is the "
                  "weight plus 2")  # fmt: skip
    return found


def _url(path: str, expect: str, virtual: _Block, notes: Notes) -> HttpUrl:
    status = _STATUS.match(expect)
    if status:
        code = int(status["code"])
        return HttpUrl(path=path, status_codes=((code, code),))
    regex = expect if virtual.on("use_regex") else None
    if regex is not None:
        notes.add(f"virtual {virtual.name}: expect `{expect}` is looked for in the page, not at the start of the reply")
    elif expect and not expect.startswith("HTTP") and expect != "*":
        notes.add(f"virtual {virtual.name}: expect `{expect}`: status codes 200 to 299 are good")
    return HttpUrl(path=path, regex=regex)
