# SPDX-License-Identifier: Apache-2.0
import json

import pytest

import libpolicy
from conftest import syn
from libpolicy import Action, EventKind, PacketBatch, Reason, Verdict, VerdictFlag, Worker, seconds
from messages import answer, datagram, query, udp


def test_a_verdict_says_what_and_why(worker):
    verdict = worker.decide(syn(), seconds(1))
    assert (verdict.action, verdict.raw_action, verdict.reason, verdict.group, verdict.rule) == (
        Action.ALLOW, Action.ALLOW, Reason.RULE, 0, 0)
    assert verdict.flags == VerdictFlag.OPENED and verdict.side is libpolicy.Side.INSIDE
    assert verdict.allowed and verdict.generation == 1 and verdict.flow > 0
    assert verdict.group_key == worker.policy.groups[0].key
    denied = worker.decide(syn(dst="203.0.113.1"), seconds(1))
    assert (denied.action, denied.group, denied.rule, denied.allowed) == (
        Action.DENY, None, None, False)
    assert denied.reason is Reason.POLICY_DEFAULT
    assert repr(denied) == "<Verdict deny, policy_default, group None, rule None>"
    assert Verdict() != denied and Verdict() == Verdict() and Verdict().action is Action.DENY


def test_without_a_policy_everything_is_denied():
    with Worker() as worker:
        assert worker.policy is None and worker.generation == 0
        assert worker.decide(syn(), 0).reason is Reason.NO_POLICY


def test_a_batch_decides_as_one_by_one(policy):
    packets = [syn(dst=dst, dport=port, sport=sport) for sport in (1, 2, 1) for port in (80, 81)
               for dst in ("192.0.2.1", "203.0.113.1")]
    with Worker(policy) as one, Worker(policy) as other:
        singly = [one.decide(packet, 5) for packet in packets]
        batch = PacketBatch(packets)
        together = other.decide_batch(batch, 5)
        assert list(together) == singly and len(together) == len(packets)
        assert together.actions() == bytes(verdict.action for verdict in singly)
        assert together[-1] == singly[-1]
        again = other.decide_batch(batch, 6, together)
        assert again is together and list(again) != singly
        with pytest.raises(libpolicy.Invalid, match="do not fit"):
            other.decide_batch(batch, 7, libpolicy.VerdictBatch(3))
        with pytest.raises(IndexError):
            together[len(packets)]


def test_another_policy_judges_open_flows_again(worker, policy):
    worker.decide(syn(), 0)
    assert worker.use(libpolicy.Policy({"default_policy": "deny"})) == 2
    verdict = worker.decide(syn(flags="A", seq=1), 1)
    assert verdict.action is Action.DENY and verdict.flags & VerdictFlag.REJUDGED
    assert worker.policy_of(verdict) is worker.policy and worker.generation == 2
    assert [worker.policy_of(event) for event in worker.drain()][0] == policy
    for stale in (1, 2):
        with pytest.raises(libpolicy.Invalid, match=f"generation {stale}"):
            worker.use(policy, stale)
    assert worker.generation == 2
    worker.use(None, 10)
    assert worker.policy is None and worker.use(policy) == 11
    for _ in range(5):
        worker.use(policy)
    assert worker.policy_of(verdict) is None


def test_events_are_drained_and_ticks_end_flows(worker):
    worker.decide(syn(vlan=9), seconds(1))
    assert seconds(31) <= worker.deadline <= seconds(32) and worker.flow_count == 1
    opened, = worker.drain()
    assert (opened.kind, opened.vlan, opened.packets_out, opened.at) == (
        EventKind.FLOW_OPEN, 9, 1, seconds(1))
    assert str(opened.src) == "10.0.0.5" and opened.dport == 443 and opened.rcode == 0
    assert worker.tick(seconds(30)) == 0 and worker.tick(seconds(32)) == 1
    ended, = worker.drain()
    assert (ended.kind, ended.end, ended.bytes_out) == (
        EventKind.FLOW_END, libpolicy.End.IDLE, 40)
    assert worker.deadline is None and worker.drain() == []
    assert json.loads(ended.json(worker.policy, node_id="n", wall=5000))["rule"] == "web"
    assert json.loads(ended.json())["node_id"] == ""


def test_memory_for_events_is_used_again(worker):
    batch = libpolicy.EventBatch(2)
    for port in range(3):
        worker.decide(syn(sport=port), 0)
    assert worker.drain_into(batch) == 2
    kept, view = batch[0].copy(), batch[0]
    assert kept == view and kept.sport == 0
    assert worker.drain_into(batch) == 1 and [event.sport for event in batch] == [2]
    assert kept.sport == 0 and view.sport == 2
    assert worker.flush(1) == 0 and len(worker.drain()) == 3


def test_only_the_kinds_that_are_wanted_are_made(worker):
    worker.report(["deny"])
    worker.decide(syn(), 0)
    worker.decide(syn(dport=1), 0)
    assert [event.kind for event in worker.drain()] == [EventKind.DENY]
    worker.report([])
    worker.decide(syn(dport=1), 0)
    assert worker.drain() == []
    for wrong in (["none"], [7]):
        with pytest.raises(libpolicy.Invalid):
            worker.report(wrong)
    with pytest.raises(TypeError):
        worker.report("deny")


def test_names_are_learned_on_the_wire(worker):
    def packet(src, dst, sport, dport, payload, side):
        return libpolicy.Packet.parse(datagram(src, dst, 17, udp(sport, dport, payload)), "raw_ip",
                                      side=side)
    asked = packet("10.0.0.5", "192.0.2.53", 5353, 53, query("api.example.com"), "inside")
    assert worker.decide(asked, 0).reason is Reason.RULE
    told = packet("192.0.2.53", "10.0.0.5", 53, 5353, answer("api.example.com", "203.0.113.7"),
                  "outside")
    assert worker.decide(told, 1).action is Action.ALLOW
    verdict = worker.decide(syn(dst="203.0.113.7"), 2)
    assert verdict.flags & VerdictFlag.NAMED and worker.policy.rule(verdict.rule).id == "api"
    event = worker.drain()[0]
    assert (event.kind, event.name, event.rcode, event.learned, event.qtype) == (
        EventKind.DNS, "api.example.com", 0, 1, 1)
    assert [str(addr) for addr in event.answers] == ["203.0.113.7"]


def test_names_are_learned_by_a_proxy(worker):
    decision = worker.dns_decide("10.0.0.5", query("api.example.com"), 0)
    assert decision.verdict.action is Action.ALLOW
    asked = decision.query
    assert (asked.name, str(asked.client), asked.id, asked.qtype, asked.qclass, asked.kind.name) == (
        "api.example.com", "10.0.0.5", 7, 1, 1, "ALLOWED")
    assert asked.grantees == [worker.policy.group("clients").key]
    learned = worker.dns_learn(asked, answer("api.example.com", "203.0.113.7"), 1)
    assert (learned.addresses, learned.added, learned.refreshed, learned.rcode) == (1, 1, 0, 0)
    with pytest.raises(libpolicy.Format):
        worker.dns_learn(asked, answer("other.example.com", "203.0.113.8"), 1)
    refused = worker.dns_decide("10.0.0.5", query("evil.example"), 2)
    assert refused.verdict.action is Action.ANSWER
    assert libpolicy.dns.refuse(query("evil.example"))[3] & 15 == 3
    assert libpolicy.dns.refuse(query("evil.example"), "refused")[3] & 15 == 5
    assert worker.dns_decide("10.0.0.5", b"junk", 3).verdict.action is Action.DENY
    with pytest.raises(libpolicy.Format):
        libpolicy.dns.refuse(b"junk")
    with Worker(worker.policy) as lone, pytest.raises(libpolicy.Invalid):
        lone.dns_learn(asked, answer("api.example.com", "203.0.113.7"), 1)


def test_options_reach_the_library(policy):
    with Worker(policy, flow_capacity=1, idle={"tcp_opening": seconds(5)}, midstream="deny",
                reject_inside=True, event_capacity=4, inside=["10.0.0.0/8"],
                control={"multicast": "pass"}) as worker:
        worker.decide(syn(sport=1), 0)
        assert seconds(5) <= worker.deadline <= seconds(6)
        assert worker.decide(syn(dport=1), 0).action is Action.REJECT
        assert worker.decide(syn(sport=3, flags="A"), 0).reason is Reason.MIDSTREAM
        assert worker.decide(syn(sport=4, side="unknown"), 0).flags & VerdictFlag.SIDE_INFERRED
        assert worker.memory > 1000


@pytest.mark.parametrize("wrong", [
    {"flow_capacity": 1 << 25}, {"flow_capacity": -1}, {"flow_capacity": 1 << 32},
    {"idle": {"quic": 1}}, {"idle": {"icmp": -1}}, {"midstream": "maybe"}, {"sni_check": 9},
    {"control": {"arp": "judge"}}, {"control": {"token": "pass"}}, {"tls_timeout": 1 << 64},
    {"inside": ["10.0.0.0/33"]}, {"trusted_resolvers": ["resolver"]}, {"generation": 0}])
def test_options_out_of_range_are_refused(policy, wrong):
    with pytest.raises((libpolicy.Invalid, libpolicy.Format)):
        Worker(policy, **wrong)


def test_moments_have_a_range(worker):
    assert seconds(1.5) == 1_500_000_000 and seconds(0) == 0
    for wrong in (-1, libpolicy.NEVER + 1, 1 << 80):
        with pytest.raises(libpolicy.Invalid):
            worker.decide(syn(), wrong)
        with pytest.raises(libpolicy.Invalid):
            worker.tick(wrong)
    for wrong in (1.0, "1", None):
        with pytest.raises(TypeError):
            worker.decide(syn(), wrong)
    for wrong in (-1, float("inf"), float("nan"), 1e300):
        with pytest.raises(libpolicy.Invalid):
            seconds(wrong)
    assert worker.decide(syn(), True).allowed # an int, as everywhere in Python


def test_counters_are_a_mapping(worker):
    worker.decide(syn(), 0)
    worker.decide(syn(dport=1), 0)
    counters = worker.counters
    assert counters["dp_packets_total"] == 2
    assert counters['dp_packets_total{decision="deny"}'] == 1
    assert counters['dp_packets_total{direction="outbound",proto="tcp",decision="allow"}'] == 1
    assert counters.value("dp_packets_total", 'proto="udp"') == 0
    assert sum(value for key, value in counters.items() if key.startswith("dp_packets_total{")) == 2
    assert len(counters) == len(list(counters)) and "dp_packets_total" in counters
    assert "nonsense" not in counters and 7 not in counters and counters.get("nonsense") is None
    info = counters.info("dp_packets_total")[0]
    assert info.unit == "packets" and info.help and not info.is_gauge
    assert counters.info(info.key) == [info]
    for wrong in ("nonsense", "dp_packets_tota"):
        with pytest.raises(KeyError):
            counters[wrong]
        with pytest.raises(KeyError):
            counters.info(wrong)
    assert "# TYPE dp_packets_total counter" in counters.metrics()
    assert json.loads(counters.json())["dataplane"]["packets"]
    counters.add(worker)
    counters.add_grants(worker.grants)
    assert counters["dp_packets_total"] == 4
    counters.clear()
    assert counters["dp_packets_total"] == 0
