"""Runs in a room: real servers of every service on loopback, and the checks that are asked of them.

    python real_servers.py QUESTIONS.json

Prints the outcomes as JSON, by the questions' names. All servers start side by side, with files of their own below
/run/servers, and end with the room's process namespace; all questions of a family are asked at once.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import Note, Outcome
from pykeepalived.model.checks import NegotiateCheck
from pykeepalived.netio.connectors import Connectors
from pykeepalived.processes.runner import Runner
from pykeepalived.reactor import Reactor

TOP = Path("/run/servers")
#: The servers listen here and on ::1; with another address than this machine's own, clients come from its network.
ADDRESS = os.environ.get("SERVERS_ADDRESS", "127.0.0.1")
CLIENTS = "127.0.0.1" if ADDRESS == "127.0.0.1" else f"{ADDRESS}/16"
ADDRESS6 = os.environ.get("SERVERS_ADDRESS6", "::1")
CLIENTS6 = "::1" if ADDRESS6 == "::1" else f"{ADDRESS6}/64"
LIMIT_S = int(os.environ.get("SERVERS_LIMIT_S", "90"))
#: What tells programs in the test kernel which parts of the processor they have; some servers clear their environment.
PROCESSOR = "GLIBC_TUNABLES OPENSSL_ia32cap"
#: Ports on which somebody accepts and says nothing, closes at once, and resets.
SILENT, CLOSING, RESETTING = 7001, 7002, 7003


def run(*words: object, user: str | None = None, **more: object) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=LIMIT_S, check=False, user=user, **more
    )
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def spawn(name: str, *words: object, user: str | None = None, **environment: str) -> None:
    with (TOP / f"{name}.log").open("wb") as log:
        group = pwd.getpwnam(user).pw_gid if user else None
        subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, group=group,
            extra_groups=[] if user else None, cwd="/", env=os.environ | environment,
        )  # fmt: skip


def place(name: str, user: str = "root") -> Path:
    path = TOP / name
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.chown(path, user)
    return path


def certificates() -> Path:
    """An authority, a server's certificate for `web.example`, a client's."""
    top = place("tls")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=authority", "-keyout", top / "ca.key", "-out", top / "ca.pem")  # fmt: skip
    for name, subject in (("server", "web.example"), ("client", "director")):
        extension = top / f"{name}.ext"
        # Perl's TLS holds an address against the certificate when it was given one.
        extension.write_text(f"subjectAltName=DNS:{subject},IP:{ADDRESS},IP:{ADDRESS6}\n")
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            f"/CN={subject}", "-keyout", top / f"{name}.key", "-out", top / f"{name}.csr")  # fmt: skip
        run("openssl", "x509", "-req", "-in", top / f"{name}.csr", "-CA", top / "ca.pem", "-CAkey", top / "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", extension, "-out", top / f"{name}.pem")  # fmt: skip
        (top / f"{name}.key").chmod(0o644)
    return top


def nginx() -> None:
    top, tls = place("nginx"), TOP / "tls"
    (top / "index.html").write_text("a test page")
    server = f"ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key; root {top};"
    (top / "nginx.conf").write_text(f"""
daemon off; pid {top}/pid; error_log {top}/error.log; user root;
events {{ worker_connections 64; }}
http {{
  access_log off;
  server {{ listen 80; listen [::]:80; root {top};
    location /moved {{ return 302 /index.html; }}
    location /secret {{ return 403; }} }}
  server {{ listen 443 ssl; listen [::]:443 ssl; {server} }}
  server {{ listen 444 ssl; listen [::]:444 ssl; {server} ssl_client_certificate {tls}/ca.pem; ssl_verify_client on; }}
  server {{ listen 445 ssl default_server; listen [::]:445 ssl default_server; {server} location / {{ return 421; }} }}
  server {{ listen 445 ssl; listen [::]:445 ssl; server_name web.example; {server}
    location / {{ if ($ssl_server_name != web.example) {{ return 421; }} }} }}
  server {{ listen 3128; listen [::]:3128; location / {{ proxy_pass http://127.0.0.1:80; }} }}
}}
""")
    spawn("nginx", "nginx", "-c", top / "nginx.conf", "-e", top / "error.log")


def vsftpd() -> None:
    Path("/run/vsftpd/empty").mkdir(parents=True)
    root = place("ftp")
    (root / "welcome.txt").write_text("Hello from ftp\n")
    common = f"""anonymous_enable=YES
local_enable=NO
anon_root={root}
listen=NO
listen_ipv6=YES
seccomp_sandbox=NO
background=NO
secure_chroot_dir=/run/vsftpd/empty
"""
    active = "connect_from_port_20=NO\n"
    for name, port, more in (("passive", 21, "port_enable=NO\n"), ("active", 2121, f"pasv_enable=NO\n{active}"),
                             ("either", 2122, active)):  # fmt: skip
        conf = TOP / f"vsftpd-{name}.conf"
        conf.write_text(f"{common}listen_port={port}\n{more}")
        spawn(f"vsftpd-{name}", "vsftpd", conf)


def dovecot() -> None:
    top, tls = place("dovecot"), TOP / "tls"
    (top / "dovecot.conf").write_text(f"""
base_dir = /run/dovecot
state_dir = {top}/state
log_path = {top}/log
protocols = imap pop3
import_environment = TZ {PROCESSOR}
listen = *, ::
ssl = yes
ssl_cert = <{tls}/server.pem
ssl_key = <{tls}/server.key
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
mail_location = maildir:{top}/mail/%u
first_valid_uid = 1
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={top}/home
}}
""")
    place("dovecot/mail", "mail")
    place("dovecot/state")
    spawn("dovecot", "dovecot", "-F", "-c", top / "dovecot.conf")


def postfix() -> None:
    top = place("postfix")
    data, queue = place("postfix/data", "postfix"), place("postfix/queue")
    shutil.copy("/usr/share/postfix/master.cf.dist", top / "master.cf")
    lines = []
    for line in (top / "master.cf").read_text().splitlines():
        words = line.split()
        if len(words) >= 8 and not line.startswith(("#", " ")):
            words[4] = "n"
        lines.append(" ".join(words) if words and not line.startswith(("#", " ")) else line)
    refusing = "smtpd -o smtpd_delay_reject=no -o smtpd_client_restrictions=reject"
    lines += [f"2525 inet n - n - - {refusing}", "587 inet n - n - - smtpd"]
    (top / "master.cf").write_text("\n".join(lines) + "\n")
    (top / "main.cf").write_text(f"""
compatibility_level = 3.6
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C {PROCESSOR}
queue_directory = {queue}
data_directory = {data}
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = all
inet_protocols = all
myhostname = mail.example
alias_maps =
alias_database =
maillog_file = /var/log/postfix.log
""")
    spawn("postfix", "postfix", "-c", top, "start-fg")


def slapd() -> None:
    top, tls = place("slapd"), TOP / "tls"
    database = place("slapd/db")
    (top / "slapd.conf").write_text(f"""
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {tls}/server.pem
TLSCertificateKeyFile {tls}/server.key
TLSCACertificateFile {tls}/ca.pem
TLSVerifyClient try
access to * by * read
database mdb
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw secret
directory {database}
""")
    entry = "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n"
    (top / "data.ldif").write_text(entry)
    run("slapadd", "-f", top / "slapd.conf", "-l", top / "data.ldif")
    urls = f"ldap://{ADDRESS} ldap://[{ADDRESS6}] ldaps://{ADDRESS} ldaps://[{ADDRESS6}]"
    spawn("slapd", "slapd", "-h", urls, "-f", top / "slapd.conf", "-d", "0")


def mariadb() -> None:
    top = place("mariadb", "mysql")
    # It would like 8 TB of addresses, which the test kernel does not have.
    small = "--loose-innodb-buffer-pool-size-max=16M"
    run("mariadb-install-db", "--no-defaults", f"--datadir={top}/data", "--user=mysql", "--skip-test-db",
        "--auth-root-authentication-method=normal", "--skip-name-resolve", small)  # fmt: skip
    (top / "init.sql").write_text(
        "CREATE DATABASE shop;\nCREATE TABLE shop.goods (n INT);\nINSERT INTO shop.goods VALUES (1);\n"
        "CREATE TABLE shop.empty (n INT);\nCREATE USER checker IDENTIFIED BY 'secret';\n"
        "GRANT SELECT ON shop.* TO checker;\n"
    )
    spawn("mariadb", "mariadbd", "--no-defaults", f"--datadir={top}/data", "--user=mysql", "--bind-address=*",
          f"--socket={top}/socket", f"--pid-file={top}/pid", f"--init-file={top}/init.sql",
          "--innodb-buffer-pool-size=8M", "--skip-name-resolve", "--innodb-log-file-size=4M", small)  # fmt: skip


def postgresql() -> None:
    top = place("postgresql", "postgres")
    binaries = max(Path("/usr/lib/postgresql").iterdir(), key=lambda path: float(path.name)) / "bin"
    (top / "password").write_text("secret\n")
    run(binaries / "initdb", "-D", top / "data", "-U", "checker", "-A", "scram-sha-256", "--pwfile",
        top / "password", "--no-sync", "-E", "UTF8", "--locale=C", user="postgres", cwd="/")  # fmt: skip
    with (top / "data" / "pg_hba.conf").open("a") as file:
        file.write(f"host all all {ADDRESS}/16 scram-sha-256\nhost all all {ADDRESS6}/64 scram-sha-256\n")
    spawn("postgresql", binaries / "postgres", "-D", top / "data", "-c", "listen_addresses=*", "-c",
          f"unix_socket_directories={top}", "-c", "fsync=off", "-c", "shared_buffers=8MB", user="postgres")  # fmt: skip


def freeradius() -> None:
    top = place("radius")
    (top / "radiusd.conf").write_text(f"""
prefix = /usr
logdir = {top}
run_dir = {top}
libdir = /usr/lib/freeradius
log {{
  destination = files
  file = {top}/radius.log
}}
security {{
  allow_core_dumps = no
  max_attributes = 200
  reject_delay = 0
  status_server = no
}}
client four {{
  ipaddr = {CLIENTS}
  secret = shared
  require_message_authenticator = {"yes" if CLIENTS == ADDRESS else "no"}
}}
client six {{
  ipv6addr = {CLIENTS6}
  secret = shared
}}
modules {{
  files {{
    usersfile = {top}/users
  }}
  pap {{
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = {ADDRESS}
    port = 1812
  }}
  listen {{
    type = auth
    ipv6addr = {ADDRESS6}
    port = 1812
  }}
  authorize {{
    files
    pap
  }}
  authenticate {{
    pap
  }}
}}
""")
    (top / "users").write_text('checker Cleartext-Password := "secret"\n')
    shutil.copy("/usr/share/freeradius/dictionary", top / "dictionary")
    (top / "dictionary").write_text("$INCLUDE /usr/share/freeradius/dictionary\n")
    spawn("freeradius", "freeradius", "-f", "-l", top / "radius.log", "-d", top, "-n", "radiusd")


def knot() -> None:
    top = place("knot")
    (top / "example.zone").write_text(
        "example. 60 SOA ns.example. admin.example. 1 60 60 60 60\nexample. NS ns.example.\n"
        "ns.example. A 192.0.2.53\nwww.example. A 192.0.2.80\n"
    )
    (top / "reverse.zone").write_text(
        "2.0.192.in-addr.arpa. 60 SOA ns.example. admin.example. 1 60 60 60 60\n"
        "2.0.192.in-addr.arpa. NS ns.example.\n80.2.0.192.in-addr.arpa. PTR www.example.\n"
    )
    (top / "knot.conf").write_text(f"""
server:
    rundir: "{top}"
    user: root:root
    listen: [ {ADDRESS}@53, {ADDRESS6}@53 ]
database:
    storage: "{top}"
zone:
  - domain: example.
    file: "{top}/example.zone"
  - domain: 2.0.192.in-addr.arpa.
    file: "{top}/reverse.zone"
""")
    spawn("knot", "knotd", "-c", top / "knot.conf")


def inn() -> None:
    """The news reader daemon on its own: 119 serves this machine, 1119 nobody."""
    for name, port, auth in (("news", 119, "default: <all>"), ("no-news", 1119, "")):
        top = place(name, "news")
        for folder in ("db", "db/overview", "spool", "log", "run", "tmp"):
            place(f"{name}/{folder}", "news")
        for file in ("active", "newsgroups", "active.times", "history", "history.dir", "history.hash", "history.index"):
            shutil.copy(f"/var/lib/news/{file}", top / "db" / file)
            shutil.chown(top / "db" / file, "news")
        group = f'auth "all" {{\n hosts: "*"\n {auth}\n}}\naccess "all" {{\n users: "<all>"\n newsgroups: "*"\n}}\n'
        (top / "readers.conf").write_text(group if auth else "")
        conf = Path("/etc/news/inn.conf").read_text()
        own = f"\npathetc: {top}\npathdb: {top}/db\npathspool: {top}/spool\npathlog: {top}/log\npathrun: {top}/run\n\
pathtmp: {top}/tmp\n\
nnrpdloadlimit: 0\ndomain: example.org\nhismethod: hisv6\novmethod: tradindexed\npathoverview: {top}/db/overview\n"
        names = {line.split(":")[0] for line in own.splitlines() if line}
        kept = [line for line in conf.splitlines() if line.split(":")[0] not in names and not line.startswith("#")]
        (top / "inn.conf").write_text("\n".join(kept) + own)
        (top / "storage.conf").write_text("method timehash {\n newsgroups: *\n class: 0\n}\n")
        index = top / "db" / "overview" / "group.index"
        index.touch()
        shutil.chown(index, "news")
        spawn(name, "/usr/lib/news/bin/nnrpd", "-D", "-f", "-p", str(port), INNCONF=str(top / "inn.conf"))


def sipp() -> None:
    # It ends itself on a machine that it finds too slow.
    patient = ("-watchdog_minor_maxtriggers", "1000000", "-watchdog_major_maxtriggers", "1000000")
    for name, port, answer in (("sip", 5060, "200 OK"), ("sip-busy", 5061, "486 Busy Here")):
        scenario = TOP / f"{name}.xml"
        scenario.write_text(f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="options"><recv request="OPTIONS" crlf="true"></recv><send><![CDATA[

SIP/2.0 {answer}
[last_Via:]
[last_From:]
[last_To:];tag=1
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send></scenario>
""")
        four, six = ("4", ADDRESS), ("6", ADDRESS6)
        kinds = [(*each, "u1") for each in (four, six)]
        kinds += [(f"t{number}", address, "t1") for number, address in (four, six) if port == 5060]
        for order, (word, address, transport) in enumerate(kinds):
            control = str(9000 + port % 100 * 10 + order)
            spawn(f"{name}-{word}", "sipp", "-sf", scenario, "-i", address, "-p", str(port), "-t", transport,
                  "-nostdin", "-cp", control, *patient)  # fmt: skip


def oddities() -> None:
    """Listeners of our own: silence, an end at once, a reset."""
    for port in (SILENT, CLOSING, RESETTING):
        for family, address in ((socket.AF_INET, ADDRESS), (socket.AF_INET6, ADDRESS6)):
            sock = socket.create_server((address, port), family=family, backlog=256)
            threading.Thread(target=_odd, args=(sock, port), daemon=True).start()
    for family, address in ((socket.AF_INET, ADDRESS), (socket.AF_INET6, ADDRESS6)):
        silent = socket.socket(family, socket.SOCK_DGRAM)
        silent.bind((address, SILENT))
        _KEPT.append(silent)


_KEPT: list[socket.socket] = []


def _odd(sock: socket.socket, port: int) -> None:
    while True:
        connection, _ = sock.accept()
        if port == SILENT:
            _KEPT.append(connection)
            continue
        if port == RESETTING:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


SERVERS: dict[Callable[[], None], tuple[int, ...]] = {
    nginx: (80, 443, 444, 445, 3128), vsftpd: (21, 2121, 2122), dovecot: (110, 143, 993, 995), postfix: (25, 587, 2525),
    slapd: (389, 636), mariadb: (3306,), postgresql: (5432,), freeradius: (), knot: (53,), inn: (119, 1119),
    sipp: (5060,), oddities: (SILENT, CLOSING, RESETTING),
}  # fmt: skip


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
        return True
    return False


def start_all(servers: Mapping[Callable[[], None], tuple[int, ...]] = SERVERS) -> list[str]:
    """Problems, in words."""
    TOP.mkdir(mode=0o755)
    certificates()
    problems: list[str] = []

    def start(function: Callable[[], None]) -> None:
        try:
            function()
        except Exception as error:
            problems.append(f"{function.__name__}: {error}")

    threads = [threading.Thread(target=start, args=(function,)) for function in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end = time.monotonic() + LIMIT_S
    missing = [(function.__name__, port) for function, ports in servers.items() for port in ports]
    while missing and time.monotonic() < end:
        missing = [(name, port) for name, port in missing if not listening(port)]
        time.sleep(0.1)
    for name, port in missing:
        logs = "".join(path.read_text(errors="replace")[-1500:] for path in TOP.glob(f"*{name[:4]}*.log"))
        problems.append(f"{name} does not listen on {port}: {logs}")
    return problems


def ask(questions: dict[str, NegotiateCheck]) -> dict[str, Outcome]:
    reactor = Reactor()
    runner = Runner(reactor, lambda text: print(text, file=sys.stderr))
    runner.start()
    notes: list[Note] = []
    connectors = Connectors(reactor, runner, notes.append)
    outcomes: dict[str, Outcome] = {}
    # First one family, then the other: all at once would be more than a small machine's servers take.
    for six in (False, True):
        for name, question in questions.items():
            if name.endswith(" six") is six:
                connectors.perform(
                    registry.converse(question),
                    registry.limit_us(question),
                    lambda outcome, name=name: outcomes.update({name: outcome}),
                )
        end = time.monotonic() + LIMIT_S
        expected = sum(name.endswith(" six") <= six for name in questions)
        while len(outcomes) < expected and time.monotonic() < end:
            reactor.turn(100_000)
    connectors.close()
    runner.close()
    return outcomes


def main() -> None:
    questions = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=dict[str, NegotiateCheck])
    problems = start_all()
    outcomes = {} if problems else ask(questions)
    sys.stdout.buffer.write(msgspec.json.encode({"problems": problems, "outcomes": outcomes}))


if __name__ == "__main__":
    main()
