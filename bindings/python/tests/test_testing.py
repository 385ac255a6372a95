# SPDX-License-Identifier: Apache-2.0
"""Unit tests of a policy: what the assertions accept, and what they say when they do not."""
import pathlib
import re
import subprocess
import sys

import pytest

from libpolicy import Policy
from libpolicy.testing import (assert_allows, assert_audited, assert_denies, assert_intercepts,
                               assert_query, attempt, explain)

DOCUMENT = {
    "default_policy": "deny",
    "source_groups": [
        {"id": "office", "mode": "enforce",
         "sources": {"cidrs": ["10.0.0.0/24", "2001:db8:a::/64"]},
         "rules": [
             {"id": "no-tracker", "action": "deny",
              "match": {"dns_hostname": "^(?:.+\\.)?tracker\\.example$"}},
             {"id": "api", "action": "allow",
              "match": {"dns_hostname": "^api\\.example\\.com$", "proto": "tcp",
                        "dst_ports": [443, "8000-8010"]}},
             {"id": "bank", "action": "allow",
              "match": {"proto": "tcp", "dst_ports": [443],
                        "tls": {"sni": ["pay.bank.example"]}}},
             {"id": "inner", "action": "allow",
              "match": {"dns_hostname": "^db\\.corp\\.example$", "dst_cidrs": ["10.99.0.0/24"]}},
             {"id": "ping", "action": "allow", "match": {"proto": "icmp", "icmp_types": [8]}},
             {"id": "ping6", "action": "allow", "match": {"proto": "icmpv6", "icmp_types": [128]}},
             {"id": "ntp", "action": "allow",
              "match": {"dst_ips": ["192.0.2.123"], "proto": "udp", "dst_ports": [123]}},
             {"id": "tunnel", "action": "allow",
              "match": {"dst_ips": ["192.0.2.50"], "proto": 50}}]},
        {"id": "trial", "mode": "audit",
         "sources": {"cidrs": ["10.1.0.0/24", "2001:db8:b::/64"]},
         "rules": [
             {"id": "web", "action": "allow",
              "match": {"dns_hostname": "^www\\.example\\.com$", "dst_ports": [443]}}],
         "default_action": "deny"},
    ],
}
OFFICE, OFFICE6, TRIAL = "10.0.0.5", "2001:db8:a::5", "10.1.0.5"


@pytest.fixture(name="policy", scope="module")
def make_policy():
    return Policy(DOCUMENT)


def said(function, *arguments, **given):
    """What the assertion says that must fail."""
    with pytest.raises(AssertionError) as caught:
        function(*arguments, **given)
    return str(caught.value)


# --- what holds ----------------------------------------------------------------------------------

ALLOWED = [
    (OFFICE, "api.example.com", 443, {"rule": "api", "group": "office", "reason": "rule"}),
    (OFFICE6, "API.example.com.", 8005, {"rule": "api"}),
    (OFFICE, "192.0.2.9", 443, {"sni": "pay.bank.example", "rule": "bank"}),
    (OFFICE, "db.corp.example", 5432, {"address": "10.99.0.7", "rule": "inner"}),
    (OFFICE, "192.0.2.123", 123, {"proto": "udp", "rule": "ntp"}),
    (OFFICE, "192.0.2.9", 0, {"proto": "icmp", "rule": "ping"}),
    (OFFICE6, "2001:db8:1::9", 0, {"proto": "icmp", "rule": "ping6"}),
    (OFFICE, "192.0.2.50", 0, {"proto": 50, "rule": "tunnel"}),
    (OFFICE, "api.example.com", 443, {"resolver": "198.51.100.53"}),
    (TRIAL, "www.example.com", 443, {"mode": "enforce", "rule": "web"}),
]
DENIED = [
    (OFFICE, "api.example.com", 80, {"reason": "policy_default", "group": "default"}),
    (OFFICE, "www.example.com", 443, {"reason": "dns_no_rule"}),
    (OFFICE, "ads.tracker.example", 443, {"rule": "no-tracker"}),
    (OFFICE, "203.0.113.10", 443, {"reason": "policy_default"}),
    (OFFICE, "192.0.2.9", 443, {"sni": ""}),
    (OFFICE, "192.0.2.9", 443, {"sni": "other.example"}),
    (OFFICE, "192.0.2.9", 443, {"tls": False, "reason": "not_tls"}),
    (OFFICE, "db.corp.example", 5432, {"address": "10.98.0.7"}),
    (OFFICE, "192.0.2.9", 0, {"proto": "icmp", "icmp_type": 13}),
    (OFFICE, "www.example.com", 443, {"address": "192.0.2.99", "reason": "policy_default"}),
    (TRIAL, "other.example.com", 443, {"mode": "enforce"}),
    ("10.7.7.7", "api.example.com", 443, {}),
]
AUDITED = [
    (TRIAL, "192.0.2.9", 22, {"group": "trial", "reason": "group_default"}),
    (TRIAL, "other.example.com", 443, {}),
    (TRIAL, "www.example.com", 80, {"mode": "audit", "group": "trial"}),
]


@pytest.mark.parametrize("src, dst, port, given", ALLOWED)
def test_allows(policy, src, dst, port, given):
    assert assert_allows(policy, src, dst, port, **given).result == "allow"
    for other in (assert_denies, assert_audited, assert_intercepts):
        assert "came allow" in said(other, policy, src, dst, port, **given)


@pytest.mark.parametrize("src, dst, port, given", DENIED)
def test_denies(policy, src, dst, port, given):
    assert assert_denies(policy, src, dst, port, **given).result == "deny"
    for other in (assert_allows, assert_audited, assert_intercepts):
        assert "came deny" in said(other, policy, src, dst, port, **given)


@pytest.mark.parametrize("src, dst, port, given", AUDITED)
def test_audited(policy, src, dst, port, given):
    assert assert_audited(policy, src, dst, port, **given).result == "audit"
    for other in (assert_allows, assert_denies, assert_intercepts):
        assert "assert_audited() expects that" in said(other, policy, src, dst, port, **given) \
            or other is assert_intercepts


def test_intercepts():
    http = {"request": {"host": {"exact": ["api.example.com"]}}}
    policy = Policy({"source_groups": [
        {"id": "office", "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/8"]}, "rules": [
            {"id": "look", "action": "allow",
             "match": {"proto": "tcp", "dst_ports": [443],
                       "tls": {"mode": "intercept", "http": http}}}]}]})
    assert_intercepts(policy, OFFICE, "192.0.2.9", rule="look")
    assert "came intercept" in said(assert_allows, policy, OFFICE, "192.0.2.9", 443)


def test_queries(policy):
    assert_query(policy, OFFICE, "api.example.com", rule="api", group="office")
    assert_query(policy, OFFICE, "tracker.example", "deny", rule="no-tracker")
    assert_query(policy, TRIAL, "other.example", "audit")
    assert_query(policy, TRIAL, "other.example", "deny", mode="enforce")
    assert "came deny" in said(assert_query, policy, OFFICE, "other.example")


# --- what it says --------------------------------------------------------------------------------


def test_a_failure_says_what_happened_and_what_was_missing(policy):
    text = said(assert_allows, policy, OFFICE, "api.example.com", 80)
    assert text.splitlines()[:2] == ["expected allow, came deny",
                                     "10.0.0.5 > api.example.com tcp/80"]
    for line in (r"  query A api.example.com to 192.0.2.53 +allow +rule office/api",
                 r"  SYN to 203.0.113.10 port 80 +deny +policy_default: no group decided",
                 r"  names known for 203.0.113.10: api.example.com in office \(allowed\)",
                 r"    office/api needs dst_ports 443, 8000-8010; this is 80"):
        assert re.search(f"^{line}$", text, re.M), text


NEEDED = [
    (OFFICE, "www.example.com", 443, {}, 'a name like "^api\\.example\\.com$"; www.example.com is'),
    (OFFICE, "192.0.2.9", 443, {"sni": "x.example"}, "tls.sni pay.bank.example; this is x.example"),
    (OFFICE, "192.0.2.9", 443, {"tls": False}, "a TLS ClientHello; none was seen"),
    (OFFICE, "192.0.2.124", 123, {"proto": "udp"}, "a destination in 192.0.2.123; this is 192"),
    (OFFICE, "192.0.2.123", 123, {}, "proto udp; this is tcp"),
    (OFFICE, "192.0.2.9", 0, {"proto": "icmp", "icmp_type": 13}, "icmp_types 8; this is 13"),
    (OFFICE, "192.0.2.51", 0, {"proto": 50}, "office/tunnel needs a destination in 192.0.2.50"),
    ("10.7.7.7", "192.0.2.9", 80, {}, "10.7.7.7 is in no group"),
]


@pytest.mark.parametrize("src, dst, port, given, wanted", NEEDED)
def test_the_nearest_rule_is_named_with_what_it_needed(policy, src, dst, port, given, wanted):
    assert wanted in said(assert_allows, policy, src, dst, port, **given)


def test_a_pattern_without_end_does_not_hold_up_the_message():
    program = 'from libpolicy import Policy\n' \
              'from libpolicy.testing import explain\n' \
              'match = {"dns_hostname": "^(a|aa)+$", "tls": {"sni": "^(A|AA)+$"}}\n' \
              'policy = Policy({"source_groups": [{"id": "g", "mode": "enforce", "rules": [{' \
              '"id": "slow", "action": "allow", "match": match}],' \
              '"sources": {"cidrs": ["10.0.0.0/8"]}}]})\n' \
              'print(explain(policy, "10.0.0.5", "a" * 60 + ".example", 443))\n'
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=20, check=True)
    assert 'g/slow needs a name like "^(a|aa)+$"' in done.stdout


def test_another_rule_than_expected_is_named(policy):
    text = said(assert_allows, policy, OFFICE, "api.example.com", 443, rule="bank", group="trial",
                reason="group_default")
    assert "expected rule bank, came api\nexpected group trial, came office\n" in text
    assert "expected reason group_default, came rule\n" in text


def test_a_rule_behind_the_one_that_decided_is_named():
    policy = Policy({"source_groups": [
        {"id": "g", "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/8"]}, "rules": [
            {"id": "first", "action": "deny", "match": {"dst_ports": [80]}},
            {"id": "second", "action": "allow", "match": {"dst_ports": ["1-1024"]}}]}]})
    text = said(assert_allows, policy, OFFICE, "192.0.2.9", 80)
    assert "rule g/first" in text
    assert "g/second fits, and would decide if nothing before it did" in text


def test_explain_tells_it_without_an_assertion(policy):
    text = explain(policy, OFFICE, "192.0.2.9", 443, sni="pay.bank.example")
    assert re.search(r"ClientHello with SNI pay.bank.example +allow +rule office/bank", text)
    assert "office/no-tracker needs a name" in text


def test_an_attempt_can_be_looked_at(policy):
    outcome = attempt(policy, OFFICE, "api.example.com", 8000)
    assert (outcome.result, outcome.rule, outcome.group) == ("allow", "api", "office")
    assert [seen.what.split()[0] for seen in outcome.seen] == \
        ["query", "answer", "SYN", "SYN+ACK", "ClientHello"] # no-tracker looks at the SNI, too


SENSELESS = [
    ((OFFICE, "2001:db8::1", 443), {}, "of different families"),
    ((OFFICE, "a.example", 443), {"address": "2001:db8::1"}, "of different families"),
    ((OFFICE, "192.0.2.9"), {}, "needs a port"),
    ((OFFICE, "192.0.2.9", 70000), {}, "needs a port"),
    ((OFFICE, "192.0.2.9", 80), {"proto": "icmp"}, "icmp has no ports"),
    ((OFFICE, "192.0.2.9", 80), {"proto": "sctpp"}, '"sctpp" is no protocol'),
    ((OFFICE, "192.0.2.9", 80), {"mode": "strict"}, "neither audit nor enforce"),
    (("here", "192.0.2.9", 80), {}, "'here' does not appear to be"),
    ((OFFICE, "192.0.2.9", 80), {"proto": 256}, "proto 256 is not between 0 and 255"),
    ((OFFICE, "192.0.2.9"), {"proto": "icmp", "icmp_type": -1}, "icmp_type -1 is not between"),
    ((OFFICE, "192.0.2.9", 80), {"proto": "udp", "sni": "a.example"}, "only TCP clients speak TLS"),
    ((OFFICE, "192.0.2.9", 80), {"sni": "x" * 256}, "sni has at most 255 octets"),
    ((OFFICE, "192.0.2.9", 80), {"address": "192.0.2.8"}, "what a name resolves to"),
    ((OFFICE, "bücher.example", 80), {}, 'neither an address nor a host name, which .* "xn--"'),
    (("fe80::1%eth0", "fe80::2", 80), {}, "has a scope"),
    *(((OFFICE, slip, 80), {}, "is neither an address nor a host name") for slip in (
        "10.0.0.256", "192.0.2.0/24", "2001:db8::zz", "https://a.example/", "a b.example", "", ".",
        "a..example", "x" * 64 + ".example", ".".join(["x" * 60] * 5), "a\0.example", "-a.example",
        "a.example\n")),
]


@pytest.mark.parametrize("arguments, given, wanted", SENSELESS)
def test_what_makes_no_sense_is_no_failure_of_the_policy(policy, arguments, given, wanted):
    with pytest.raises(ValueError, match=wanted):
        assert_denies(policy, *arguments, **given)
    with pytest.raises(TypeError):
        assert_allows(policy, OFFICE, "192.0.2.9", 80, colour="red")


@pytest.mark.parametrize("src, dst, port", [
    (5, "192.0.2.9", 80), (OFFICE, 80, 80), (OFFICE, b"\1\2\3\4", 80), (OFFICE, "192.0.2.9", "80"),
    (OFFICE, "192.0.2.9", 80.0)])
def test_what_is_of_another_type_is_no_attempt(policy, src, dst, port):
    with pytest.raises(TypeError):
        assert_denies(policy, src, dst, port)
    with pytest.raises(TypeError, match="expected a Policy, not str"):
        assert_denies("policy.json", OFFICE, "192.0.2.9", 80)
    with pytest.raises(ValueError, match="192.0.2.9 is no name"):
        assert_query(policy, OFFICE, "192.0.2.9")


def test_mapped_addresses_are_what_they_mean(policy):
    outcome = attempt(policy, f"::ffff:{OFFICE}", "api.example.com", 8000, address="::ffff:192.0.2.9")
    assert (outcome.result, str(outcome.attempt.src)) == ("allow", OFFICE)
    assert str(outcome.attempt.target) == "192.0.2.9"


def test_the_three_lines_of_the_readme(tmp_path, monkeypatch):
    readme = pathlib.Path(__file__).resolve().parents[1] / "README.md"
    section = readme.read_text(encoding="utf-8").split("## Testing a policy")[1]
    document, code = re.findall(r"```(?:json|python)\n(.*?)```", section, re.S)[:2]
    (tmp_path / "policy.json").write_text(document, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # pylint: disable=exec-used
