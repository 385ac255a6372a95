# SPDX-License-Identifier: Apache-2.0
"""The program of usage.py, run."""
import json
import os
import pathlib

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


def test_its_mistakes_are_told(document):
    lines = []
    with pytest.raises(libpolicy.PolicyError, match='unknown key "surprise"'):
        usage.compile_it({**document, "surprise": 1}, lines)
    assert lines and "surprise" in lines[-1]
