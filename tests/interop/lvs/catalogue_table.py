"""Configurations about what stands in the table: services, forwarding, groups, quorum, sorry servers, reloads."""

from __future__ import annotations

from tests.interop.lvs.cases import FAST, NAT, TCP, Case, case, group, real, three, virtual

V = "10.0.0.5"
V6 = "2001:db8::5"
SORRY = "sorry_server 192.168.0.20 80"
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq")

SERVICES: tuple[Case, ...] = (
    case("nat", virtual(f"{V} 80", NAT, three(called="s"), called="q"), quick=True),
    case("dr-persistent", virtual(f"{V} 80", "lb_algo wlc; lb_kind DR; protocol TCP; persistence_timeout 120",
                                  three(called="s"))),
    case("tun-ipip", virtual(f"{V} 80", "lb_algo rr; lb_kind TUN; protocol TCP", three()),
         virtual(f"{V} 81", "lb_algo rr; lb_kind TUN type ipip nocsum; protocol TCP", three())),
    case("tun-gue", virtual(f"{V} 80", "lb_algo rr; lb_kind TUN type gue port 6080; protocol TCP", three()),
         virtual(f"{V} 81", "lb_algo rr; lb_kind TUN type gue port 6080 csum; protocol TCP", three()),
         virtual(f"{V} 82", "lb_algo rr; lb_kind TUN type gue port 6080 remcsum; protocol TCP", three())),
    case("tun-gre", virtual(f"{V} 80", "lb_algo rr; lb_kind TUN type gre; protocol TCP", three()),
         virtual(f"{V} 81", "lb_algo rr; lb_kind TUN type gre csum; protocol TCP", three()), quick=True),
    case("methods", virtual(f"{V} 80", NAT, real("192.168.0.12 8080", "weight 3; lvs_method DR")
                            + real("192.168.0.13 8080", "lvs_method TUN type gue port 5555")
                            + real("192.168.0.14 8080", "lvs_method NAT")),
         virtual(f"{V} 81", "lvs_sched wrr; lvs_method TUN; protocol TCP", three())),
    case("tunnel-words", *(virtual(f"{V} {80 + number}", f"lb_algo rr; lvs_method TUN {first}; protocol TCP; {SORRY}; "
         f"sorry_server_lvs_method TUN {second}", three(words=f"lvs_method TUN {third}"))
         for number, (first, second, third) in enumerate((
                       ("type gue port 7000 csum", "type gue port 7001 remcsum", "type gre nocsum"),
                       ("type gre nocsum", "type gre csum", "type gue port 7002 remcsum"),
                       ("type gue port 7003 remcsum", "type ipip nocsum", "type gue port 7004 csum"))))),
    case("six-nat", virtual(f"{V6} 80", NAT, three(six=True, called="s"), called="q")),
    case("six-dr", virtual(f"{V6} 443", "lb_algo sed; lb_kind DR; protocol TCP; persistence_timeout 60; "
                           "persistence_granularity 64", three(six=True)),
         change=(("granularity 64", "granularity 48"), ("weight 2", "weight 0"))),
    case("mixed-tunnels", virtual(f"{V} 80", "lb_algo wrr; lb_kind TUN; protocol TCP", three() + real(
        "2001:db8:1::12 8080", "weight 7")), virtual(f"{V6} 80", "lb_algo wrr; lb_kind TUN; protocol TCP", three())),
    case("fwmark", virtual("fwmark 5", "lb_algo wrr; lb_kind NAT; quorum 2", three(called="s"), called="q"),
         virtual("fwmark 6", "lb_algo rr; lb_kind DR; ip_family inet; persistence_timeout 30", three()), quick=True),
    case("fwmark-six", virtual("fwmark 7", "lb_algo wrr; lb_kind NAT; ip_family inet6", three(six=True)),
         virtual("fwmark 8", "lb_algo wrr; lb_kind DR", three(six=True, called="s"), called="q")),
    case("fwmark-moves", virtual("fwmark 5", "lb_algo wrr; lb_kind NAT", three(called="s"), called="q"),
         change=(("fwmark 5", "fwmark 15"),)),
    case("group", group("G", "10.0.1.1-5 80", "10.0.2.1 443"),
         virtual("group G", f"{NAT}; {SORRY}", three(called="s"), called="q"), quick=True),
    case("group-marks", group("H", "10.0.3.1 80", "10.0.3.2 81", "fwmark 10"),
         virtual("group H", "lb_algo wrr; lb_kind DR; protocol TCP", three(called="s"), called="q")),
    case("group-six", group("I", "2001:db8:2::1-f 80", "2001:db8:3::1 443", "fwmark 11 inet6"),
         virtual("group I", f"{NAT}; ip_family inet6", three(six=True))),
    case("group-inet", group("J", "10.0.4.1-10.0.4.4 80", "fwmark 12 inet"),
         virtual("group J", f"{NAT}; ip_family inet", three())),
    case("group-twice", group("K", "10.0.5.1-3 80"),
         virtual("group K", "lb_algo rr; lb_kind DR; protocol TCP", three(called="a"), called="b"),
         virtual("group K", "lb_algo rr; lb_kind DR; protocol UDP", three(called="c"), called="d")),
    case("group-granularity", group("P", "10.0.5.1-2 80", "fwmark 77"), virtual(
        "group P", f"{NAT}; persistence_timeout 50; persistence_granularity 255.255.0.0", three())),
    case("all-ports", virtual(f"{V} 0", "lb_algo rr; lb_kind DR; protocol TCP; persistence_timeout 20",
                              three(0, check=TCP.replace("{", "{ connect_port 8080;"))),
         virtual(V, "lb_algo rr; lb_kind DR; protocol UDP; persistence_timeout", three(
             "", check=TCP.replace("{", "{ connect_port 8080;")))),
    case("protocols", virtual(f"{V} 80", "lb_algo wlc; lb_kind NAT; protocol SCTP", three()),
         virtual(f"{V} 80", "lb_algo wlc; lb_kind NAT; protocol tcp", three()),
         virtual(f"{V} 80", "lb_algo wlc; lb_kind NAT; protocol udp", three())),
    case("ops", virtual(f"{V} 53", "lb_algo rr; lb_kind NAT; protocol UDP; ops", three()),
         virtual(f"{V} 54", "lb_algo rr; lb_kind NAT; protocol TCP; ops", three()),
         virtual("fwmark 53", "lb_algo rr; lb_kind NAT; ops", three())),
    case("defaults", virtual(f"{V} 80", "protocol TCP", three()), virtual(f"{V} 81", "lb_algo rr", three())),
    case("hashes", virtual(f"{V} 80", "lb_algo sh; sh-port; sh-fallback; hashed; lb_kind NAT; protocol TCP", three()),
         virtual(f"{V} 81", "lb_algo mh; mh-port; mh-fallback; lb_kind NAT; protocol TCP", three()),
         virtual(f"{V} 82", "lb_algo sh; sh-port; lb_kind NAT; protocol TCP", three()),
         virtual(f"{V} 83", "lb_algo rr; flag-1; flag-2; flag-3; lb_kind NAT; protocol TCP", three()),
         change=(("sh-port; sh-fallback".replace("; ", "\n    "), "sh-fallback"), ("weight 3", "weight 4"))),
    case("schedulers", *(virtual(f"{V} {80 + number}", f"lb_algo {name}; lb_kind NAT; protocol TCP", three(check=FAST))
                         for number, name in enumerate(SCHEDULERS)), change=(("lb_algo rr", "lb_algo nq"),)),
    case("sip", virtual(f"{V} 5060", "lb_algo rr; lb_kind NAT; protocol UDP; persistence_engine sip; "
                        "persistence_timeout 90; ops", three(5060, check=TCP.replace("{", "{ connect_port 8080;")))),
    case("granularity", virtual(f"{V} 80", f"{NAT}; persistence_timeout 600; persistence_granularity 255.255.255.0",
                                three()), virtual(f"{V} 81", f"{NAT}; persistence_granularity 255.255.0.0", three()),
         change=(("persistence_timeout 600", "persistence_timeout 700"), ("255.255.0.0", "255.0.0.0"))),
    case("thresholds", virtual(f"{V} 80", NAT, real("192.168.0.12 8080", "weight 3; uthreshold 100; lthreshold 7")
                               + real("192.168.0.13 8080", "uthreshold 50") + real("192.168.0.14 8080")),
         change=(("weight 3", "weight 4"),)),
    case("weights", virtual(f"{V} 80", f"{NAT}; weight 5", real("192.168.0.12 8080") + real("192.168.0.13 8080",
         "weight 0") + real("192.168.0.14 8080", "weight 65000")), change=(("weight 5", "weight 6"),)),
)  # fmt: skip

HEALTH: tuple[Case, ...] = (
    case("quorum", virtual(f"{V} 80", f"{NAT}; quorum 3", three(called="s"), called="q"), quick=True),
    case("hysteresis", virtual(f"{V} 80", f"{NAT}; quorum 4; hysteresis 2", three(called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; quorum 4; hysteresis 2; {SORRY}", three(called="t"), called="r")),
    case("hysteresis-cut", virtual(f"{V} 80", f"{NAT}; quorum 2; hysteresis 5; {SORRY}", three(called="s"),
                                   called="q")),
    case("quorum-out-of-reach", virtual(f"{V} 80", f"{NAT}; quorum 7; {SORRY}", three(called="s"), called="q"),
         change=(("quorum 7", "quorum 5"),)),
    case("sorry", virtual(f"{V} 80", f"{NAT}; {SORRY}", three(called="s"), called="q"), quick=True),
    case("sorry-itself", virtual(f"{V} 80", f"{NAT}; sorry_server {V} 80", three(called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; sorry_server 192.168.0.20", three())),
    case("sorry-inhibit", virtual(f"{V} 80", f"{NAT}; {SORRY}; sorry_server_inhibit", three(called="s"), called="q")),
    case("sorry-method", virtual(f"{V} 80", f"{NAT}; {SORRY}; sorry_server_lvs_method DR", three()),
         virtual(f"{V} 81", f"{NAT}; {SORRY}; sorry_server_lvs_method TUN type gue port 7000", three())),
    case("sorry-six", virtual(f"{V6} 80", f"{NAT}; sorry_server 2001:db8:1::20 80", three(six=True, called="s"),
                              called="q")),
    case("sorry-quorum-inhibit", virtual(f"{V} 80", f"{NAT}; {SORRY}; quorum 6; inhibit_on_failure",
                                         three(called="s"), called="q")),
    case("sorry-changes", virtual(f"{V} 80", f"{NAT}; {SORRY}", three(called="s"), called="q"),
         change=((SORRY, "sorry_server 192.168.0.21 8081"),)),
    case("sorry-group", group("S", "10.0.6.1-2 80"), virtual("group S", f"{NAT}; {SORRY}; quorum 5", three())),
    case("inhibit", virtual(f"{V} 80", f"{NAT}; inhibit_on_failure", three(called="s"), called="q"), quick=True),
    case("inhibit-one", virtual(f"{V} 80", NAT, real("192.168.0.12 8080", "weight 3; inhibit_on_failure")
                                + real("192.168.0.13 8080", "inhibit_on_failure true") + real("192.168.0.14 8080"))),
    case("inhibit-not", virtual(f"{V} 80", f"{NAT}; inhibit_on_failure", real("192.168.0.12 8080",
         "weight 3; inhibit_on_failure false") + real("192.168.0.13 8080") + real("192.168.0.14 8080"))),
    case("inhibit-changes", virtual(f"{V} 80", f"{NAT}; inhibit_on_failure", three(called="s"), called="q"),
         change=(("    inhibit_on_failure\n", ""),)),
    case("alpha", virtual(f"{V} 80", f"{NAT}; alpha", three(called="s"), called="q"), quick=True),
    case("alpha-inhibit", virtual(f"{V} 80", f"{NAT}; alpha; inhibit_on_failure", three(called="s"), called="q")),
    case("alpha-sorry", virtual(f"{V} 80", f"{NAT}; alpha; {SORRY}", three(called="s"), called="q")),
    case("alpha-one", virtual(f"{V} 80", NAT, real("192.168.0.12 8080", "weight 3; alpha") + real("192.168.0.13 8080",
         "alpha true") + real("192.168.0.14 8080", "alpha false"), called="q")),
    case("alpha-checker", virtual(f"{V} 80", NAT, three(called="s", check=TCP.replace("{", "{ alpha;")), called="q")),
    case("omega", virtual(f"{V} 80", f"{NAT}; omega", three(called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; omega; {SORRY}; quorum 6", three(called="t"), called="r"), quick=True),
    case("no-checks", virtual(f"{V} 80", NAT, three(check="", called="s"), called="q")),
    case("one-unchecked", virtual(f"{V} 80", f"{NAT}; {SORRY}", three(called="s") + real("192.168.0.15 80", check=""),
                                  called="q")),
    case("init-notifies", virtual(f"{V} 80", NAT, three(called="s"), called="q"), globals="rs_init_notifies"),
    case("names", virtual(f"{V} 80", f"{NAT}; snmp_name web; smtp_alert; virtualhost www.example.org",
                          three(words="snmp_name s@N@; smtp_alert false; virtualhost a.example.org", called="s"))),
)  # fmt: skip

LIFE: tuple[Case, ...] = (
    case("timeouts", virtual(f"{V} 80", NAT, three()), globals="lvs_timeouts tcp 700 tcpfin 60 udp 200"),
    case("flush", virtual(f"{V} 80", NAT, three()), globals="lvs_flush; lvs_flush_on_stop"),
    case("flush-services", virtual(f"{V} 80", NAT, three()), virtual("fwmark 3", "lb_kind DR; lb_algo rr", three()),
         globals="lvs_flush_on_stop VS"),
    case("flush-groups", group("F", "10.0.6.1-2 80", "fwmark 66"), virtual("group F", NAT, three()),
         virtual(f"{V} 80", NAT, three()), globals="lvs_flush_on_stop VS"),
    case("service-goes", virtual(f"{V} 80", NAT, three(called="s"), called="q"),
         virtual(f"{V} 81", NAT, three(called="t"), called="r"), change=((f"{V} 81", f"{V} 8181"),)),
    case("servers-go", virtual(f"{V} 80", NAT, three(called="s") + real("192.168.0.15 80", "weight 8", ""), called="q"),
         change=(("192.168.0.15 80", "192.168.0.16 80"), ("weight 2", "weight 20"))),
    case("server-goes-down", virtual(f"{V} 80", f"{NAT}; {SORRY}; quorum 2", three(called="s"), called="q"),
         change=(("192.168.0.13 8080", "192.168.0.13 8081"),)),
    case("attributes-change", virtual(f"{V} 80", f"{NAT}; persistence_timeout 50", three(called="s"), called="q"),
         change=(("lb_algo wrr", "lb_algo sh"), ("lb_kind NAT", "lb_kind DR"), ("persistence_timeout 50\n", "\n")),
         quick=True),
    # The servers that leave carried the quorum, and what comes does not bring it back.
    case("quorum-leaves", virtual(f"{V} 80", f"{NAT}; {SORRY}; quorum 2", three(called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; quorum 2", three(called="t"), called="r"),
         change=(("192.168.0.13 8080 {\n        weight 2", "192.168.0.16 8080 {\n        weight 1"),)),
    case("ha-suspend", virtual(f"{V} 80", f"{NAT}; ha_suspend", three(called="s"), called="q"),
         virtual("10.9.9.9 80", f"{NAT}; ha_suspend", three(called="t"), called="r")),
    case("quorum-changes", virtual(f"{V} 80", f"{NAT}; quorum 1; {SORRY}", three(called="s"), called="q"),
         change=(("quorum 1", "quorum 4"),)),
    case("checks-change", virtual(f"{V} 80", NAT, three(called="s"), called="q"),
         change=(("retry 1", "retry 2"),)),
    case("check-goes", virtual(f"{V} 80", NAT, three(check=f"{TCP}; {FAST}", called="s"), called="q"),
         change=(("connect_timeout 2\n            retry 0", "connect_timeout 3\n            retry 0"),)),
    case("file-as-it-was", virtual(f"{V} 80", f"{NAT}; {SORRY}; quorum 3; omega", three(called="s"), called="q"),
         change=(("router_id lb1", "router_id lb2"),)),
)  # fmt: skip
