#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""policyd and policyctl replay judge the same capture alike: what the API shows is what the records add up to."""
import collections
import datetime
import json
import unittest

import support
from support import Policyd, POLICYCTL, SITE, SITE_POLICY, SITE_RESOLVERS

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}


def setUpModule():
    global flows, queries, stats, findings, cache
    resolvers = [word for address in SITE_RESOLVERS for word in ("--trust-resolver", address)]
    code, records, errors = support.run("replay", "-r", SITE, "--policy", SITE_POLICY, "-o", "jsonl", *resolvers,
                                        program=POLICYCTL)
    assert code == 0, errors
    records = [json.loads(line) for line in records.splitlines()]
    flows = [record for record in records if record["kind"] == "flow"]
    queries = [record for record in records if record["kind"] == "dns"]
    with Policyd("--policy", SITE_POLICY, "--pcap", SITE, *resolvers) as daemon:
        stats = daemon.get("/api/v1/stats").json()
        findings = daemon.get("/api/v1/audit/findings?limit=10000").json()["items"]
        cache = daemon.get("/api/v1/dns-cache").json()["entries"]


def seconds(time):
    return int(datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())


class Agreement(unittest.TestCase):
    maxDiff = None

    def test_there_is_something_to_agree_on(self):
        self.assertGreater(len(flows), 50)
        self.assertGreater(len(queries), 20)
        self.assertGreater(len(findings), 10)

    def test_packets_and_bytes_by_decision(self):
        for unit in ("packets", "bytes"):
            self.assertEqual(stats["dataplane"][unit], {
                "allow": sum(flow[unit] - flow[unit + "_pending"] - flow[unit + "_dropped"] for flow in flows),
                "deny": sum(flow[unit + "_dropped"] for flow in flows),
                "pending_tls": sum(flow[unit + "_pending"] for flow in flows)})

    def test_queries(self):
        verdicts = collections.Counter(query["verdict"] for query in queries)
        self.assertEqual(stats["dns"]["queries_allow"], verdicts["allow"])
        self.assertEqual(stats["dns"]["queries_deny"], verdicts["deny"])
        # Over TCP a denied query ends its connection, and is not answered.
        answered = sum((query["verdict"], query["proto"]) == ("deny", "udp") for query in queries)
        self.assertEqual(stats["dns"]["nxdomain_policy"], answered)
        self.assertEqual(stats["dns"]["nxdomain_upstream"], sum(query["rcode"] == "NXDOMAIN" for query in queries))

    def test_tls_decisions(self):
        decided = collections.Counter(flow["verdict"] for flow in flows if flow["packets_pending"])
        self.assertEqual(stats["tls"], {"allow": decided["allow"], "deny": decided["deny"]})

    def test_names_learned(self):
        learned, known, last = collections.defaultdict(set), collections.Counter(), collections.Counter()
        for query in queries:
            if query["learned"]:
                learned[query["name"]].update(query["answers"])
                last[query["name"]] = max(last[query["name"]], seconds(query["time"]))
                # A record holds the first addresses of a long answer only.
                if query["answer_count"] > len(query["answers"]):
                    known[query["name"]] = query["answer_count"]
        self.assertEqual([entry["hostname"] for entry in cache], sorted(learned))
        for entry in cache:
            name, addresses = entry["hostname"], set(entry["ips"])
            self.assertEqual(len(addresses), len(entry["ips"]), name)
            if known[name]:
                self.assertLessEqual(learned[name], addresses, name)
                self.assertEqual(len(addresses), known[name], name)
            else:
                self.assertEqual(addresses, learned[name], name)
            # The record has the time of the query, the cache that of the answer.
            self.assertIn(entry["last_seen"] - last[name], (0, 1), name)

    def test_findings_of_queries(self):
        expected = collections.Counter((query["group"], query["name"]) for query in queries
                                       if query["raw_verdict"] == "deny")
        self.assertEqual({(item["source_group"], item["hostname"]): item["count"] for item in findings
                          if item["finding_type"] == "dns_deny"}, dict(expected))

    def test_findings_of_packets(self):
        """A denial without an entry in the flow table is one per packet, one of a flow under way is one."""
        expected = collections.Counter()
        for flow in flows:
            denied = flow["raw_verdict"] == "deny"
            # A denied query is a finding of its own, over UDP and over TCP.
            is_query = flow["dport"] == 53 and flow["dst"] in SITE_RESOLVERS
            if denied and not is_query:
                under_way = flow["packets"] > flow["packets_dropped"]
                port = flow["dport"] if flow["proto"] in ("tcp", "udp") else None
                expected[flow["group"], flow["dst"], port, PROTOCOLS[flow["proto"]]] += (
                    1 if under_way else flow["packets_dropped"])
        seen = collections.Counter()
        for item in findings:
            # A mismatch that is only logged leaves the flow allowed, and records have no mark for it.
            logged = item["reason"] == "sni_mismatch" and item["audit"]
            if item["finding_type"] != "dns_deny" and not logged:
                seen[item["source_group"], item["dst_ip"], item["dst_port"], item["proto"]] += item["count"]
        self.assertEqual(dict(seen), dict(expected))


if __name__ == "__main__":
    support.main()
