"""Configurations that ours and Debian's keepalived both run in the test kernel.

They use what both versions know. `@DIRECTORY@` is a directory of each daemon's own with a program `note`. Servers:
192.168.0.12 to .14 and 2001:db8:1::12 to ::14, each on ports 80 and 8080.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[3]

#: The cluster of the tutorial that examples/keepalived.conf is derived from, as a reader of today would type it.
WEB = """
global_defs {
    notification_email {
        mon@mail.com
    }
    notification_email_from keepalived@domaine.tld
    smtp_server 127.0.0.1
    smtp_connect_timeout 30
    router_id LVS_MAIN
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        10.0.0.5
        192.168.0.1
    }
}
virtual_server 192.168.0.1 80 {
    delay_loop 1
    lb_algo wlc
    lb_kind NAT
    persistence_timeout 50
    protocol TCP
    sorry_server 192.168.0.1 80
    real_server 192.168.0.12 80 {
        weight 20
        %s
    }
    real_server 192.168.0.13 80 {
        weight 8
        %s
    }
}
"""
TCP = """TCP_CHECK {
            connect_port 80
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }"""
#: What every server answers.
PAGE = b"<h1>hello</h1>\n"
HTTP = f"""HTTP_GET {{
            url {{
                path /
                digest {hashlib.md5(PAGE).hexdigest()}
            }}
            connect_timeout 1
            nb_get_retry 1
            delay_before_retry 1
        }}"""

_REAL = """
    real_server 192.168.0.12 80 {
        weight 3
        %(more)s
        TCP_CHECK {
            connect_port 80
            connect_timeout 3
            retry 0
        }
    }
    real_server 192.168.0.13 80 {
        weight 2
        TCP_CHECK {
            connect_port 80
            connect_timeout 3
            retry 0
        }
    }
    real_server 192.168.0.14 80 {
        weight 1
        %(last)s
        TCP_CHECK {
            connect_port 80
            connect_timeout 3
            retry 0
        }
    }
"""


def _service(place: str, words: str, more: str = "", last: str = "", real: str = _REAL) -> str:
    head = f"virtual_server {place} {{\n    delay_loop 1\n    "
    return (
        head
        + "\n    ".join(words.split("; "))
        + real % {"more": more.replace("; ", "\n        "), "last": last.replace("; ", "\n        ")}
        + "}\n"
    )


def _calls(name: str) -> str:
    """Scripts that write a line each: `quorum_up` and `_down` for q…, `notify_up` and `_down` for s…"""
    word = "quorum" if name.startswith("q") else "notify"
    return "; ".join(f'{word}_{way} "@DIRECTORY@/note {name} {way}"' for way in ("up", "down"))


_LEAVES = f"""
    real_server 192.168.0.13 8080 {{
        {_calls("s34").replace("; ", chr(10))}
        TCP_CHECK {{
            connect_timeout 3
            retry 0
        }}
    }}
"""
NAT = "lb_algo wrr; lb_kind NAT; protocol TCP"

#: One virtual server for each thing that decides what is in the table.
FEATURES = (
    "global_defs {\n    script_user root\n    lvs_notify_fifo @DIRECTORY@/fifo\n}\n"
    + _service("10.0.0.5 1001", NAT)
    + _service("10.0.0.5 1002", f"{NAT}; inhibit_on_failure")
    + _service("10.0.0.5 1003", NAT, more="inhibit_on_failure")
    + _service("10.0.0.5 1004", f"{NAT}; sorry_server 192.168.0.20 8081")
    + _service("10.0.0.5 1030", f"{NAT}; {_calls('q30')}; sorry_server 192.168.0.20 80", more=_calls("s30"))
    + _service("10.0.0.5 1031", f"{NAT}; {_calls('q31')}; quorum 3; omega", more=_calls("s31"))
    + _service("10.0.0.5 1032", f"{NAT}; {_calls('q32')}; alpha", more=f"inhibit_on_failure; {_calls('s32')}")
    + _service("10.0.0.5 1033", f"{NAT}; {_calls('q33')}; alpha; sorry_server 192.168.0.20 80", more=_calls("s33"))
    + _service("10.0.0.5 1034", f"{NAT}; {_calls('q34')}", real=_REAL + _LEAVES)
    + _service("10.0.0.5 1035", f"{NAT}; {_calls('q35')}; omega", more=_calls("s35"), last=_calls("t35"))
    + _service("10.0.0.5 1036", f"{NAT}; {_calls('q36')}", more=_calls("s36"), last=_calls("t36"))
    + _service("10.0.0.5 1005", f"{NAT}; sorry_server 192.168.0.20 80; sorry_server_inhibit")
    + _service("10.0.0.5 1006", f"{NAT}; sorry_server 192.168.0.20 80; inhibit_on_failure")
    + _service("10.0.0.5 1007", f"{NAT}; sorry_server 192.168.0.20 80; quorum 3")
    + _service("10.0.0.5 1008", f"{NAT}; sorry_server 192.168.0.20 80; quorum 4; hysteresis 2")
    + _service("10.0.0.5 1009", f"{NAT}; quorum 4; hysteresis 2")
    + _service("10.0.0.5 1010", f"{NAT}; sorry_server 192.168.0.20 80; quorum 6; inhibit_on_failure")
    + _service("10.0.0.5 1011", f"{NAT}; alpha")
    + _service("10.0.0.5 1012", f"{NAT}; alpha; inhibit_on_failure")
    + _service("10.0.0.5 1013", f"{NAT}; alpha; sorry_server 192.168.0.20 80")
    + _service("10.0.0.5 1014", f"{NAT}; omega; sorry_server 192.168.0.20 80")
    + _service("10.0.0.5 1015", NAT, last="weight 0")
    + _service("10.0.0.5 1016", f"{NAT}; sorry_server 192.168.0.20 8080; quorum 6", last="inhibit_on_failure")
    + _service("10.0.0.5 1017", "lb_algo sh; lb_kind DR; protocol TCP; sh-port; sh-fallback", last="lvs_method TUN")
    + _service("10.0.0.5 1018", "lb_algo mh; lb_kind TUN; protocol TCP; mh-port; mh-fallback")
    + _service("10.0.0.5 1019", "lb_algo rr; lb_kind NAT; protocol UDP; ops")
    + _service("10.0.0.5 1020", "lb_algo wlc; lb_kind NAT; protocol SCTP; persistence_timeout 90")
    + _service(
        "10.0.0.5 1021",
        "lb_algo lc; lb_kind NAT; protocol TCP; persistence_timeout 600; persistence_granularity 255.255.255.0",
    )
    + _service("10.0.0.5 1022", NAT, more="uthreshold 100", last="uthreshold 50; lthreshold 5")
    + _service("10.0.0.5 1023", "lb_algo rr; lb_kind DR; protocol TCP; sorry_server 192.168.0.20 80")
    + _service("10.0.0.5 1024", f"{NAT}; sorry_server 192.168.0.20 80; sorry_server_lvs_method DR")
    + _service("10.0.0.5 ", "lb_algo rr; lb_kind DR; protocol TCP; persistence_timeout 20")
    + _service("fwmark 5", "lb_algo rr; lb_kind NAT; quorum 2")
    + _service("fwmark 6", "lb_algo wrr; lb_kind DR; inhibit_on_failure; persistence_timeout 30")
    + "virtual_server_group G {\n    10.0.1.1-3 80\n    10.0.2.1 443\n    fwmark 9\n}\n"
    + _service("group G", f"{NAT}; sorry_server 192.168.0.20 80")
    + "virtual_server_group H {\n    10.0.3.1 80\n    10.0.3.2 81\n    fwmark 10\n}\n"
    + _service("group H", "lb_algo wrr; lb_kind DR; protocol TCP")
    + _service("2001:db8::5 80", "lb_algo sed; lb_kind NAT; protocol TCP; sorry_server 2001:db8:1::20 80",
               real=_REAL.replace("192.168.0.", "2001:db8:1::"))
    + _service("2001:db8::5 81", "lb_algo rr; lb_kind NAT; protocol TCP; persistence_timeout 60; "
               "persistence_granularity 64", real=_REAL.replace("192.168.0.", "2001:db8:1::"))
)  # fmt: skip

#: The same file after an edit. Two things that 2.2.7 does wrong stay out of it: it leaves the services of a group's
#: dropped range behind, and forgets to add the alive servers when the sorry server changes while it serves.
FEATURES_CHANGED = (
    FEATURES.replace("10.0.0.5 1001", "10.0.0.5 1101")
    .replace("10.0.0.5 1035", "10.0.0.5 1135")
    .replace("10.0.0.5 1036", "10.0.0.5 1136")
    .replace(_LEAVES, "")
    .replace("weight 2", "weight 7")
    .replace("lb_algo sed", "lb_algo nq")
    .replace("persistence_timeout 600", "persistence_timeout 700")
    .replace("virtual_server fwmark 5", "virtual_server fwmark 15")
    .replace("sorry_server 192.168.0.20 8081", "sorry_server 192.168.0.21 8081")
)

#: The same cluster as it stands in print: an old word, an unknown state, a line that was broken in two.
AS_PRINTED = (
    (WEB % (TCP, TCP))
    .replace("router_id LVS_MAIN", "lvs_id LVS_MAIN")
    .replace("state MASTER", "state SLAVE")
    .replace("sorry_server 192.168.0.1 80", "sorry_server 192.168.0.1\n   80")
)

CONFIGURATIONS: dict[str, str] = {
    "as-printed": AS_PRINTED,
    "web-tcp": WEB % (TCP, TCP),
    "web-http": WEB % (TCP, HTTP),
    "example": (ROOT / "examples/keepalived.conf").read_text(),
    "features": FEATURES,
}
CHANGES: dict[str, str] = {
    "web-tcp": WEB.replace("weight 8", "weight 9").replace("lb_algo wlc", "lb_algo wrr") % (TCP, HTTP),
    "features": FEATURES_CHANGED,
}
