# SPDX-License-Identifier: Apache-2.0
"""The program of usage.py, run."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

import libpolicy
import messages
import usage


def test_the_program_that_mypy_reads_runs(document):
    lines = []
    policy = usage.compile_it(document, lines)
    with libpolicy.Grants() as grants, libpolicy.Worker(policy, grants) as worker:
        verdict, where = usage.decide(worker, policy)
        assert where == "web of clients" and verdict.generation == 1
        frames = [messages.datagram("10.0.0.5", "192.0.2.10", 6, messages.tcp(1, port))
                  for port in (443, 444)]
        assert [action.name for action in usage.decide_many(worker, frames)] == ["ALLOW", "DENY"]
        events, shown = usage.look(worker, grants, policy)
        assert [event.kind.name for event in events] == ["FLOW_OPEN", "FLOW_OPEN", "DENY"]
        assert shown == 3
        query = messages.query("api.example.com")
        answer = messages.answer("api.example.com", "198.51.100.7")
        assert usage.proxy(worker, query, answer) == answer
        assert grants.list(libpolicy.seconds(3))[0].name == "api.example.com"
        refused = usage.proxy(worker, messages.query("elsewhere.example"), b"")
        assert refused[3] & 15 == 3
        assert usage.refuse(frames[1])[9] == 6
        assert usage.name_of(b"GET /") is None and usage.name_of(b"\x16\x03\x01") is None
        flight = pathlib.Path(os.environ["POLICY_SOURCE"], "tests/data/tls/direct.flight")
        assert usage.names_of(flight.read_bytes()) == (
            "db.example.com", "*.db.example.com", "db.example.com")
        state = json.loads(usage.ready([worker]))
        assert [check["ok"] for check in state["checks"]] == [
            False, False, True, False, False, True, True, False]


@pytest.mark.parametrize("wall, action", [(1_780_272_000_000, "ALLOW"), (0, "DENY")])
def test_a_certificate_rule_needs_anchors_and_the_time_of_day(wall, action):
    source = pathlib.Path(os.environ["POLICY_SOURCE"])
    policy = libpolicy.Policy({"source_groups": [{
        "id": "clients", "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/8"]},
        "rules": [{"id": "db", "action": "allow", "match": {"proto": "tcp", "tls": {
            "server_san": ["db.example.com"]}}}]}]})
    hello = (source / "tests/fuzz/corpus/hello/tls12").read_bytes()
    flight = (source / "tests/data/tls/direct.flight").read_bytes()
    steps = [("inside", messages.tcp(1, 443, 2, 100)),
             ("outside", messages.tcp(443, 1, 18, 500, 101)),
             ("inside", messages.tcp(1, 443, 16, 101, 501, hello)),
             ("outside", messages.tcp(443, 1, 16, 501, 101 + len(hello), flight))]
    with usage.knowing(policy, (source / "tests/data/tls/ca.pem").read_text(), wall) as worker:
        seen = []
        for side, segment in steps:
            ends = ("10.0.0.5", "192.0.2.9") if side == "inside" else ("192.0.2.9", "10.0.0.5")
            packet = libpolicy.Packet.parse(messages.datagram(*ends, 6, segment), "raw_ip",
                                            side=side)
            seen.append(worker.decide(packet, libpolicy.seconds(2)).action.name)
    assert seen == ["PENDING"] * 3 + [action]


def test_its_mistakes_are_told(document):
    lines = []
    with pytest.raises(libpolicy.PolicyError, match='unknown key "surprise"'):
        usage.compile_it({**document, "surprise": 1}, lines)
    assert lines and "surprise" in lines[-1]


def test_the_example_says_what_and_why(top, document, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document))

    def say(*arguments):
        return subprocess.run([sys.executable, top / "examples/python/verdict.py", *arguments],
                              capture_output=True, text=True, check=False, env=os.environ)
    assert say(path, "10.0.0.5", "192.0.2.10", "443").stdout == \
        'allow by rule "web" of group "clients": a rule matched\n'
    assert say(path, "10.0.0.5", "203.0.113.9", "443").stdout == "deny: no group decided\n"
    assert say(path, "10.0.0.5", "203.0.113.9", "443", "api.example.com").stdout == \
        'allow by rule "api" of group "clients": a rule matched\n'
    assert say(path).returncode == 1 and "POLICY SRC DST PORT" in say(path).stderr
    assert 'address "nowhere"' in say(path, "nowhere", "203.0.113.9", "443").stderr
    assert "port" in say(path, "10.0.0.5", "203.0.113.9", "70000").stderr
    path.write_text('{"defaultpolicy": "deny"}')
    assert '1:2: error: unknown key "defaultpolicy"' in say(path, "10.0.0.5", "::1", "1").stderr
