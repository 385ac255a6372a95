# SPDX-License-Identifier: Apache-2.0
"""Packets of scapy, where it is installed, and its absence."""
import subprocess
import sys

import pytest

import libpolicy
from libpolicy import Action, Link, Packet, Side


class IP:
    """What scapy's packets look like from here."""

    def __init__(self, octets):
        self.octets = octets

    def haslayer(self, _cls):
        return False

    def __bytes__(self):
        return self.octets


FRAME = bytes.fromhex("02000000000202000000000108004500002800000000400666cd0a000005c000020a9c4001bb"
                      "000003e8000000005002ffff00000000")


def test_the_first_layer_says_the_link():
    packet = Packet.parse(IP(FRAME[14:]))
    assert (str(packet.src), packet.dport, packet.malformed) == ("10.0.0.5", 443, False)


def test_a_link_that_is_said_counts_more():
    assert Packet.parse(IP(FRAME[14:]), Link.ETHERNET).kind != libpolicy.PacketKind.IP


def test_a_packet_without_a_link_is_refused():
    other = type("Raw", (), {"haslayer": IP.haslayer, "__bytes__": lambda self: FRAME})()
    with pytest.raises(libpolicy.Invalid, match="begins with Raw"):
        Packet.parse(other)


def test_a_worker_takes_no_octets(worker):
    for wrong in (FRAME, bytearray(FRAME), 5, None, "10.0.0.5"):
        with pytest.raises(TypeError, match="expected a Packet"):
            worker.decide(wrong, now=0)


def test_nothing_needs_scapy():
    code = "import sys, libpolicy.testing; sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- with scapy ----------------------------------------------------------------------------------


@pytest.fixture(name="scapy")
def find_scapy():
    return pytest.importorskip("scapy.layers.all", reason="scapy is not installed (python3-scapy)")


def wrapped(scapy, outer):
    ip = {"6": scapy.IPv6(src="2001:db8::5", dst="2001:db8:1::a"),
          "4": scapy.IP(src="10.0.0.5", dst="192.0.2.10")}
    packet = ip[outer[-1]] / scapy.TCP(sport=40000, dport=443, flags="S")
    if outer.startswith("vlan"):
        return scapy.Ether() / scapy.Dot1Q(vlan=7) / packet
    if outer.startswith("cooked"):
        return scapy.CookedLinux(proto=0x0800 if outer[-1] == "4" else 0x86DD) / packet
    return scapy.Ether() / packet if outer.startswith("ether") else packet


@pytest.mark.parametrize("outer", ["ether4", "ether6", "vlan4", "vlan6", "cooked4", "cooked6",
                                   "raw4", "raw6"])
def test_packets_of_every_link_are_judged(scapy, worker, outer):
    made = wrapped(scapy, outer)
    packet = Packet.parse(made, side="inside")
    assert (packet.sport, packet.dport, packet.malformed) == (40000, 443, False)
    assert packet.vlan == ([7] if outer.startswith("vlan") else [])
    assert worker.decide(made, now=0).action == Action.ALLOW
    made["TCP"].dport, made["TCP"].sport = 22, 40001
    assert worker.decide(made, now=0).action == Action.DENY


def test_a_query_and_its_answer_open_an_address(scapy, worker):
    query = (scapy.IP(src="10.0.0.5", dst="192.0.2.53") / scapy.UDP(sport=5300, dport=53)
             / scapy.DNS(id=9, rd=1, qd=scapy.DNSQR(qname="api.example.com")))
    answer = (scapy.Ether() / scapy.IP(src="192.0.2.53", dst="10.0.0.5")
              / scapy.UDP(sport=53, dport=5300)
              / scapy.DNS(id=9, qr=1, rd=1, ra=1, qd=query[scapy.DNSQR].copy(),
                          an=scapy.DNSRR(rrname="api.example.com", ttl=60, rdata="203.0.113.7")))
    syn = scapy.IP(src="10.0.0.5", dst="203.0.113.7") / scapy.TCP(sport=40000, dport=443)
    assert worker.decide(syn, now=0).action == Action.DENY
    assert worker.decide(query, now=1).action == Action.ALLOW
    assert worker.decide(Packet.parse(answer, side=Side.OUTSIDE), now=2).action == Action.ALLOW
    assert worker.decide(syn, now=3).action == Action.ALLOW


def test_a_layer_without_a_link_is_refused(scapy, worker):
    with pytest.raises(libpolicy.Invalid, match="begins with UDP"):
        worker.decide(scapy.UDP(), now=0)
