# SPDX-License-Identifier: Apache-2.0
"""Grants, findings, taps, readiness, replies."""
import dataclasses
import json

import pytest

import libpolicy
from conftest import syn
from libpolicy import (Audit, FindingType, GrantKind, Grants, Packet, Readiness, Tap, reply, seconds,
                       tls)
from messages import answer, datagram, ethernet, query, tcp, udp


def teach(worker, count, now=0):
    for i in range(count):
        asked = worker.dns_decide("10.0.0.5", query("api.example.com"), now).query
        worker.dns_learn(asked, answer("api.example.com", f"203.0.{i >> 8}.{i & 255}"), now)


# -- grants

def test_grants_are_listed_found_and_restored(worker):
    teach(worker, 300)
    grants = worker.grants
    listed = grants.list(1)
    assert len(listed) == len(set(grant.addr for grant in grants.iterate(1))) == 300
    key = worker.policy.group("clients").key
    grant, = grants.names("203.0.0.7", 1, key)
    assert (grant.name, grant.kind, grant.ttl, grant.group_key, grant.learned) == (
        "api.example.com", GrantKind.ALLOWED, 30, key, 0)
    assert grant.expires == seconds(420) and grants.names("203.0.0.7", 1) == []
    with Grants() as other:
        for each in listed:
            other.restore(each, 1)
        assert sorted(map(repr, other.list(1))) == sorted(map(repr, listed))
        with pytest.raises(libpolicy.NotFound):
            other.restore(grant, seconds(100000))
        with pytest.raises(libpolicy.Invalid):
            other.restore(dataclasses.replace(grant, name="x" * 256), 1)
        with pytest.raises(libpolicy.Invalid):
            other.restore(dataclasses.replace(grant, name=""), 1)
        with pytest.raises(libpolicy.Invalid):
            other.restore(dataclasses.replace(grant, ttl=-1), 1)


def test_tables_say_how_much_memory_they_hold():
    with Grants(capacity=10) as few, Grants(capacity=1000) as many:
        assert 1000 < few.memory < many.memory
    with Audit(10) as few_findings, Audit(100) as many_findings:
        assert 1000 < few_findings.memory < many_findings.memory


def test_grants_expire_and_count(worker):
    teach(worker, 3)
    teach(worker, 1)
    assert worker.grants.stats.learned == 3 and worker.grants.stats.refreshed == 1
    assert worker.grants.list(seconds(1000)) == []
    assert worker.grants.expire(seconds(100000), budget=0) == 0
    assert worker.grants.expire(seconds(100000)) == 3
    assert worker.grants.stats.live == 0 and repr(worker.grants) == "<Grants, 0 live>"


def test_a_full_table_says_so(policy):
    with Grants(capacity=1, idle=seconds(10)) as grants, libpolicy.Worker(policy, grants) as worker:
        teach(worker, 1)
        worker.decide(syn(dst="203.0.0.0"), 1)
        asked = worker.dns_decide("10.0.0.5", query("api.example.com"), 2).query
        with pytest.raises(libpolicy.Full, match="api.example.com"):
            worker.dns_learn(asked, answer("api.example.com", "203.0.0.9"), 2)
        assert grants.stats.refused_full == 1
    for wrong in ({"capacity": 0}, {"capacity": 1 << 25}, {"idle": -1}):
        with pytest.raises(libpolicy.Invalid):
            Grants(**wrong)


# -- findings

def denials(worker):
    for port in (1, 2, 2):
        worker.decide(syn(dport=port), 0)
    worker.dns_decide("10.0.0.5", query("evil.example"), 0)
    return worker.drain()


def test_denials_are_merged_into_findings(worker):
    with Audit(16) as audit:
        for i, event in enumerate(denials(worker)):
            audit.add(event, 1000 * i, worker.policy, worker.grants)
        assert [(finding.type.name, finding.dst_port, finding.name, finding.count)
                for finding in audit.find()] == [
                    ("DNS_DENY", 0, "evil.example", 1), ("L4_DENY", 2, "", 2),
                    ("L4_DENY", 1, "", 1)]
        assert len(audit.find(types=["dns_deny"])) == 1 and len(audit.find(limit=2)) == 2
        assert len(audit.find(groups=["DEFAULT"])) == 2 and audit.find(groups=["guests"]) == []
        assert len(audit.find(groups=["Default", "clients"])) == 3
        assert len(audit.find(since=2000)) == 2 and len(audit.find(until=0)) == 1
        first = audit.find(types=[FindingType.L4_DENY])[0]
        assert (first.group, str(first.src), first.first_seen, first.last_seen) == (
            "default", "10.0.0.5", 1000, 2000)
        shown = json.loads(first.json("node-1"))
        assert shown["node_ids"] == ["node-1"] and shown["count"] == 2
        assert audit.stats.events == 4 and len(audit) == 3 and audit


def test_findings_are_stored_restored_and_merged(worker):
    with Audit() as audit, Audit() as other:
        for event in denials(worker):
            audit.add(event, 5, worker.policy)
        stored = audit.changes()
        assert len(stored) == 3 and audit.changes() == []
        for finding in stored:
            other.restore(dataclasses.replace(finding, names=("a.example", "b.example")))
        assert other.find(types=["l4_deny"])[0].names == ("a.example", "b.example")
        audit.merge(other)
        assert sorted(finding.count for finding in audit.find()) == [2, 2, 4]
        for wrong in ({"count": 0}, {"group": "x" * 257}, {"names": ("x",) * 9},
                      {"name": "a\0b"}, {"type": 99}):
            with pytest.raises(libpolicy.Invalid):
                other.restore(dataclasses.replace(stored[0], **wrong))


def test_a_store_that_fails_keeps_the_changes(worker):
    audit = Audit()
    for event in denials(worker):
        audit.add(event, 5, worker.policy)
    rows = []

    def store(finding):
        if rows:
            raise OSError("disk full")
        rows.append(finding)
    with pytest.raises(OSError, match="disk full"):
        audit.changes(store)
    assert len(audit.changes(rows.append)) == 2 and len(set(rows)) == 3


def test_what_makes_room_is_reported_as_gone(worker):
    audit = Audit(2)
    for event in denials(worker)[:2]:
        audit.add(event, 5, worker.policy)
    audit.changes()
    for event in denials(worker)[3:]:
        audit.add(event, 6, worker.policy)
    assert audit.stats.evicted == 1
    assert [finding.count for finding in audit.changes()] == [0, 1]
    for wrong in (0, 1 << 24, -1):
        with pytest.raises(libpolicy.Invalid):
            Audit(wrong)
    worker.decide(syn(src="10.9.0.1", dport=25), 0)
    softened, = worker.drain()[-1:]
    with pytest.raises(libpolicy.Invalid): # numbers of a policy that is not given
        audit.add(softened, 5)
    audit.add(softened, 5, worker.policy)


# -- taps

@pytest.mark.parametrize("said, seen", [
    ({}, 4), ({"src": ["10.0.0.0/24"]}, 4), ({"src": ["10.1.0.0/16"]}, 0),
    ({"dst": ["192.0.2.10"]}, 3), ({"dst_ports": [2]}, 2), ({"dst_ports": [(1, 2)]}, 3),
    ({"protos": ["tcp", 17]}, 4), ({"protos": ["icmp"]}, 0), ({"hostnames": ["^evil"]}, 1),
    ({"hostnames": ["^evil", "x"], "dst_ports": [1]}, 0), ({"src_ports": [40000]}, 3)])
def test_a_tap_passes_what_fits(worker, said, seen):
    with Tap(**said) as tap:
        assert len(tap.filter(denials(worker))) == seen


def test_a_tap_that_cannot_be_is_refused():
    with pytest.raises(libpolicy.Format, match=r"hostname '\(' is no regular expression"):
        Tap(hostnames=["ok", "("])
    for wrong in ({"dst_ports": [(5, 4)]}, {"src_ports": [65536]}, {"protos": ["x"]}):
        with pytest.raises(libpolicy.Invalid):
            Tap(**wrong)
    for wrong in ({"hostnames": "one"}, {"src": "10.0.0.0/8"}, {"dst_ports": "80"},
                  {"hostnames": [7]}, {"src": [7]}, {"dst_ports": 80}):
        with pytest.raises(TypeError):
            Tap(**wrong)


# -- readiness

def test_readiness_is_named_checks_in_order(worker):
    with Readiness(["one", "policy_ready", "draining"]) as ready:
        assert not ready.ok and ready.report()[0].detail == "not checked yet"
        ready.set("one", True)
        assert not ready.generations(2, [worker])
        assert ready.report()[1].detail == \
            "0 of 1 workers use generation 2; wait for the others"
        assert ready.generations(1, [worker]) and not ready.generations(0, [])
        ready.advise("policy_ready")
        ready.draining(False)
        assert ready.ok and ready.report()[1].advisory
        ready.draining(True)
        assert not ready.ok
        assert json.loads(ready.json())["checks"][2]["detail"].startswith("stopping")
        with pytest.raises(libpolicy.NotFound, match="check 'two'"):
            ready.set("two", True)
        with pytest.raises(libpolicy.NotFound):
            ready.advise("two")
        ready.set("one", False, "x" * 400)
        assert len(ready.report()[0].detail) == 255
        with pytest.raises(libpolicy.Invalid):
            ready.set("one", False, "a\0b")
    for wrong in ([], ["a"] * 2, [str(i) for i in range(33)], ["a\0b"]):
        with pytest.raises(libpolicy.Invalid):
            Readiness(wrong)


# -- replies

def test_frames_of_our_own():
    frame = ethernet(datagram("10.0.0.5", "192.0.2.10", 6, tcp(1, 443, 0x18, 7, 9, b"hi")))
    packet = Packet.parse(frame)
    answers = [Packet.parse(made) for made in (reply.reject(packet, frame),
                                               reply.reset(packet, frame))]
    assert [str(made.tuple) for made in answers] == [
        "tcp 192.0.2.10:443 > 10.0.0.5:1", "tcp 10.0.0.5:1 > 192.0.2.10:443"]
    asked = ethernet(datagram("10.0.0.5", "192.0.2.53", 17, udp(5, 53, query("a.example"))))
    parsed = Packet.parse(asked)
    told = reply.dns(parsed, asked, libpolicy.dns.refuse(parsed.payload))
    assert Packet.parse(told).sport == 53
    assert len(reply.dns(parsed, asked, bytes(5000))) > 5000
    big = datagram("2001:db8::5", "2001:db8::9", 17, udp(1, 2, bytes(1400)))
    told = Packet.parse(reply.too_big(Packet.parse(big, "raw_ip"), big, 1280, "raw_ip"), "raw_ip")
    assert (told.icmp_type, told.inner.dport) == (2, 2)
    for wrong in (lambda: reply.reset(parsed, asked), lambda: reply.reject(packet, asked[:20]),
                  lambda: reply.too_big(packet, frame, 10), lambda: reply.reject(parsed, b"")):
        with pytest.raises(libpolicy.Invalid):
            wrong()


def test_a_stream_that_is_no_hello():
    with pytest.raises(libpolicy.NotFound):
        tls.server_name(b"GET / HTTP/1.1\r\n")
    with pytest.raises(libpolicy.Truncated):
        tls.server_name(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    with pytest.raises(libpolicy.Format):
        tls.server_name(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
