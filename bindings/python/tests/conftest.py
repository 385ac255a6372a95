# SPDX-License-Identifier: Apache-2.0
"""What the tests share, and the last line that the project's test run counts by."""
import pathlib

import pytest

import libpolicy

DOCUMENT = {
    "default_policy": "deny",
    "source_groups": [
        {"id": "clients", "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/24", "2001:db8::/64"]},
         "rules": [
             {"id": "web", "action": "allow",
              "match": {"dst_cidrs": ["192.0.2.0/24", "2001:db8:1::/48"], "proto": "tcp",
                        "dst_ports": [80, 443]}},
             {"id": "api", "action": "allow",
              "match": {"dns_hostname": "^api\\.example\\.com$", "dst_ports": [443]}}]},
        {"id": "guests", "mode": "audit", "sources": {"cidrs": ["10.9.0.0/16"]}, "rules": [
            {"id": "no-mail", "action": "deny", "match": {"proto": "tcp", "dst_ports": [25]}}]},
    ],
}


@pytest.fixture(name="document")
def make_document():
    return DOCUMENT


@pytest.fixture(name="policy")
def make_policy():
    with libpolicy.Policy(DOCUMENT, libpolicy.Context(hash_seed=(1, 2))) as policy:
        yield policy


@pytest.fixture(name="worker")
def make_worker(policy):
    with libpolicy.Grants() as grants, \
            libpolicy.Worker(policy, grants, trusted_resolvers=["192.0.2.53"]) as worker:
        yield worker


@pytest.fixture(name="top")
def find_top():
    return pathlib.Path(__file__).resolve().parents[3]


def syn(dst="192.0.2.10", dport=443, sport=40000, src="10.0.0.5", **more):
    return libpolicy.Packet(src=src, dst=dst, sport=sport, dport=dport, **more)


def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    for report in stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.line(f"SKIP {report.nodeid.rpartition('::')[2]}: "
                              f"{str(reason).removeprefix('Skipped: ')}")
    terminalreporter.line(
        f"{len(stats.get('passed', []))} passed, "
        f"{len(stats.get('failed', [])) + len(stats.get('error', []))} failed, "
        f"{len(stats.get('skipped', []))} skipped")
