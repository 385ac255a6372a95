#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every endpoint of the first slice, on the recorded site: shapes, access rule, refusals."""
import http.client
import json
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import hashlib
import threading
import time
import unittest

import support
from support import Policyd, SITE, SITE_POLICY, SITE_RESOLVERS

NIL = "00000000-0000-0000-0000-000000000000"
READY = ["dataplane_running", "dataplane_config", "policy_ready", "dns_allowlist", "service_plane", "draining",
         "cluster", "policy_replication"]
SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "accelerometer=(), camera=(), geolocation=(), microphone=()",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
}
FINDING = {"finding_type", "policy_id", "source_group", "hostname", "dst_ip", "dst_port", "proto", "fqdn", "sni",
           "icmp_type", "icmp_code", "query_type", "first_seen", "last_seen", "count", "node_ids"}


def setUpModule():
    global daemon
    resolvers = [word for address in SITE_RESOLVERS for word in ("--trust-resolver", address)]
    daemon = Policyd("--policy", SITE_POLICY, "--pcap", SITE, *resolvers)
    daemon.start()


def tearDownModule():
    daemon.__exit__()


class Open(unittest.TestCase):
    def test_health_is_ok_without_a_token(self):
        reply = daemon.get("/health", token=None)
        self.assertEqual((reply.status, reply.json()), (200, {"status": "ok"}))
        self.assertEqual(reply.headers["content-type"], "application/json")

    def test_ready_lists_the_eight_checks_in_order(self):
        reply = daemon.get("/ready", token=None)
        self.assertEqual(reply.status, 200)
        self.assertEqual([check["name"] for check in reply.json()["checks"]], READY)
        self.assertTrue(reply.json()["ready"])
        self.assertEqual(reply.json()["checks"][0], {"name": "dataplane_running", "ok": True,
                                                     "detail": "capture finished"})
        self.assertEqual({check["detail"] for check in reply.json()["checks"][1:]}, {None})

    def test_metrics_are_what_prometheus_expects(self):
        reply = daemon.get("/metrics", token=None)
        self.assertEqual(reply.headers["content-type"], "text/plain; version=0.0.4")
        for name in ("dp_packets_total", "dns_queries_total", "http_requests_total", "policyd_build_info"):
            self.assertIn(f"# TYPE {name} ", reply.body.decode())
        if not shutil.which("promtool"):
            self.skipTest("no promtool")
        done = subprocess.run(["promtool", "check", "metrics"], input=reply.body, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""))

    def test_series_do_not_follow_made_up_paths(self):
        daemon.get("/made/up/path")
        self.assertNotIn("made", daemon.get("/metrics").body.decode())

    def test_every_response_has_the_security_headers(self):
        for method, path in (("GET", "/health"), ("GET", "/nowhere"), ("PUT", "/health"), ("GET", "/api/v1/stats")):
            reply = daemon.ask(method, path, token=None)
            for name, value in SECURITY.items():
                self.assertEqual(reply.headers.get(name), value, (method, path))
            self.assertIn("default-src 'self'", reply.headers["content-security-policy"])
        self.assertNotIn("server", daemon.get("/health").headers)


    def test_a_small_answer_is_one_segment(self):
        """So the last one before the end is whole or none. tcpi_data_segs_in of linux/tcp.h counts them."""
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as connection:
            connection.sendall(b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n")
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            self.assertEqual(len(json.loads(reply.read())["checks"]), len(READY))
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        self.assertEqual(struct.unpack_from("I", info, 152), (1,))


class Access(unittest.TestCase):
    def test_reads_need_any_token_and_writes_an_admin(self):
        for path in ("stats", "dns-cache", "audit/findings", "audit/findings/local", "policy"):
            reply = daemon.get("/api/v1/" + path, token=None)
            self.assertEqual((reply.status, reply.json()), (401, {"error": "missing bearer token"}), path)
            self.assertEqual(daemon.get("/api/v1/" + path).status, 200, path)
        self.assertEqual(daemon.put_policy("{}", token=None).status, 401)

    def test_words_of_the_refusals_are_the_contracts(self):
        basic = daemon.get("/api/v1/stats", token=None, headers={"Authorization": "Basic eDp5"})
        self.assertEqual((basic.status, basic.json()), (401, {"error": "invalid authorization scheme"}))
        wrong = daemon.get("/api/v1/stats", token="not-the-token")
        self.assertEqual(wrong.status, 401)
        self.assertEqual(wrong.headers["www-authenticate"], "Bearer")

    def test_the_cookie_is_taken_where_the_header_is_missing(self):
        cookie = {"Cookie": "a=b; neuwerk_auth=" + support.TOKEN}
        self.assertEqual(daemon.get("/api/v1/stats", token=None, headers=cookie).status, 200)

    def test_outcomes_are_counted(self):
        daemon.get("/api/v1/stats")
        daemon.get("/api/v1/stats", token=None)
        metrics = daemon.get("/metrics").body.decode()
        self.assertRegex(metrics, r'http_auth_total\{outcome="deny",reason="missing_token"\} [1-9]')
        self.assertRegex(metrics, r'http_auth_total\{outcome="allow",reason="valid_token"\} [1-9]')


class Refusals(unittest.TestCase):
    def test_unknown_paths_are_404_in_json(self):
        for path in ("/", "/index.html", "/api/v1/nothing", "/api/v1/stats/", "/health/../health"):
            reply = daemon.get(path)
            self.assertEqual(reply.status, 404, path)
            self.assertIn("error", reply.json())

    def test_wrong_methods_say_which_are_right(self):
        reply = daemon.ask("DELETE", "/api/v1/policy")
        self.assertEqual((reply.status, reply.headers["allow"]), (405, "GET, HEAD, PUT"))
        self.assertEqual(daemon.ask("DELETE", "/api/v1/policy", token=None).status, 401)
        self.assertEqual(daemon.ask("POST", "/health", token=None).headers["allow"], "GET, HEAD")

    def test_head_answers_without_a_body(self):
        reply = daemon.ask("HEAD", "/api/v1/stats")
        self.assertEqual((reply.status, reply.body), (200, b""))
        self.assertGreater(int(reply.headers["content-length"]), 100)

    def test_a_body_over_two_mebibytes_is_413(self):
        reply = daemon.put_policy("x" * (2097152 + 1))
        self.assertEqual(reply.status, 413)
        self.assertTrue(reply.json()["error"].startswith("request body too large: "))
        self.assertEqual(daemon.put_policy("x" * 2097152).status, 400)

    def test_without_a_token_it_is_401_whatever_the_size(self):
        self.assertEqual(daemon.put_policy("x" * (2097152 + 1), token=None).status, 401)

    def test_bodies_that_drip_without_a_token_keep_nobody_waiting(self):
        head = b"PUT /api/v1/policy HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n"
        done = threading.Event()

        def drip():
            while not done.is_set():
                with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as connection:
                    try:
                        connection.sendall(head)
                        while not done.wait(0.2):
                            connection.sendall(b"x")
                    except OSError:
                        pass

        threads = [threading.Thread(target=drip) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                time.sleep(0.3)
                began = time.monotonic()
                self.assertEqual(daemon.get("/health", token=None).status, 200)
                self.assertLess(time.monotonic() - began, 2)
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def test_refusals_before_routing_are_counted(self):
        self.assertIn(b" 411 ", daemon.raw(b"PUT /api/v1/policy HTTP/1.1\r\nHost: h\r\n"
                                           b"Transfer-Encoding: chunked\r\n\r\n"))
        self.assertRegex(daemon.get("/metrics").body.decode(),
                         r'http_requests_total\{path="other",method="other",status="411"\} [1-9]')

    def test_targets_that_are_no_paths_are_400(self):
        for target in (b"GET http://127.0.0.1:%d/health" % daemon.port, b"OPTIONS *"):
            answer = daemon.raw(target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), (target, answer))
            self.assertTrue(answer.endswith(b'{"error":"request target must be a path"}'), (target, answer))

    def test_hostile_heads_are_refused_and_the_daemon_goes_on(self):
        host = b"\r\nHost: h\r\n\r\n"
        for octets in (b"GET " + b"/" * 5000 + b" HTTP/1.1" + host, b"GET /%2e%2e%2f HTTP/1.1" + host,
                       b"GET /a\0b HTTP/1.1" + host, b"\0" * 300, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
                       b"PUT /api/v1/policy HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                       b"GET /" + b"a" * 20000 + b" HTTP/1.1" + host):
            answer = daemon.raw(octets)
            self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0], octets[:40])
        self.assertEqual(daemon.get("/health").status, 200)

    def test_nothing_of_a_request_gets_into_the_log(self):
        before = len(daemon.log())
        for octets in (b"GET / HTTP/1.1secret-word\r\nAuthorization: Bearer secret-word\r\n\r\n",
                       b"Authorization: Bearer secret-word\r\n\r\n", b"GET /secret-word" + b"x" * 20000 + b"\r\n\r\n"):
            daemon.raw(octets)
        self.assertEqual(daemon.log()[before:], "")


class Stats(unittest.TestCase):
    def test_every_field_of_the_contract_is_a_number(self):
        stats = daemon.get("/api/v1/stats").json()
        self.assertEqual(list(stats), ["dataplane", "dns", "tls", "dhcp", "cluster"])
        plane = stats["dataplane"]
        for name in ("active_flows", "active_nat_entries", "flows_opened", "flows_closed", "ipv4_fragments_dropped",
                     "ipv4_ttl_exceeded"):
            self.assertIsInstance(plane[name], int, name)
        self.assertIsInstance(plane["nat_port_utilization"], (int, float))
        for part in ("packets", "bytes"):
            self.assertEqual(list(plane[part]), ["allow", "deny", "pending_tls"])
        self.assertEqual(list(stats["dns"]), ["queries_allow", "queries_deny", "nxdomain_policy", "nxdomain_upstream"])
        self.assertEqual(list(stats["tls"]), ["allow", "deny"])
        self.assertEqual(stats["dhcp"], {"lease_active": False, "lease_expiry_epoch": 0})
        self.assertEqual(stats["cluster"], {"is_leader": False, "current_term": 0, "last_log_index": 0,
                                            "last_applied": 0, "node_count": 1, "follower_count": 0,
                                            "followers_caught_up": 0, "nodes": []})
        self.assertGreater(plane["packets"]["allow"], 500)
        self.assertGreater(plane["packets"]["deny"], 10)


class DnsCache(unittest.TestCase):
    def test_names_come_sorted_with_their_addresses(self):
        entries = daemon.get("/api/v1/dns-cache").json()["entries"]
        names = [entry["hostname"] for entry in entries]
        self.assertEqual(names, sorted(names))
        self.assertEqual(len(names), len(set(names)))
        www = next(entry for entry in entries if entry["hostname"] == "www.example.com")
        self.assertEqual(www["ips"], ["198.51.100.10", "2001:db8:100::10"])
        self.assertIsInstance(www["last_seen"], int)


class Findings(unittest.TestCase):
    def find(self, query=""):
        reply = daemon.get("/api/v1/audit/findings" + query)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json()

    def test_envelope_and_items_have_every_key(self):
        answer = self.find()
        self.assertEqual(list(answer), ["items", "partial", "node_errors", "nodes_queried", "nodes_responded"])
        self.assertEqual([answer["partial"], answer["node_errors"], answer["nodes_queried"],
                          answer["nodes_responded"]], [False, [], 1, 1])
        for item in answer["items"]:
            self.assertLessEqual(FINDING, set(item))
            self.assertEqual(item["policy_id"], NIL)
        self.assertEqual(answer, daemon.get("/api/v1/audit/findings/local").json())

    def test_order_is_newest_first_then_most_frequent(self):
        items = self.find("?limit=10000")["items"]
        order = [(-item["last_seen"], -item["count"]) for item in items]
        self.assertEqual([last for last, _ in order], sorted(last for last, _ in order))

    def test_filters_narrow_and_repeat_as_or(self):
        items = self.find("?limit=10000")["items"]
        types = {item["finding_type"] for item in items}
        self.assertLess(1, len(types))
        for kind in types:
            want = [item for item in items if item["finding_type"] == kind]
            self.assertEqual(self.find(f"?limit=10000&finding_type=%20{kind.upper()}")["items"], want)
        both = self.find("?limit=10000&finding_type=dns_deny&finding_type=l4_deny&finding_type=")["items"]
        self.assertEqual(both, [item for item in items if item["finding_type"] in ("dns_deny", "l4_deny")])
        group = items[0]["source_group"]
        self.assertEqual(self.find(f"?limit=10000&source_group={group.upper()}")["items"],
                         [item for item in items if item["source_group"] == group])
        self.assertEqual(len(self.find("?limit=2")["items"]), 2)
        self.assertEqual(len(self.find("?limit=0")["items"]), 1)
        self.assertEqual(self.find(f"?limit=10000&policy_id={NIL}")["items"], items)
        self.assertEqual(self.find("?policy_id=11111111-1111-4111-8111-111111111111")["items"], [])

    def test_times_bound_what_is_listed(self):
        items = self.find("?limit=10000")["items"]
        middle = sorted(item["last_seen"] for item in items)[len(items) // 2]
        self.assertEqual(self.find(f"?limit=10000&since={middle}")["items"],
                         [item for item in items if item["last_seen"] >= middle])
        self.assertEqual(self.find(f"?limit=10000&until={middle}")["items"],
                         [item for item in items if item["first_seen"] <= middle])
        self.assertEqual(self.find("?until=5")["items"], [])
        self.assertEqual(self.find("?since=18446744073709551615")["items"], [])

    def test_bad_values_are_400_in_json(self):
        for query in ("finding_type=l5_deny", "policy_id=", "policy_id=x", "since=-1", "until=now", "limit=many",
                      "limit=18446744073709551616"):
            reply = daemon.get("/api/v1/audit/findings?" + query)
            self.assertEqual(reply.status, 400, query)
            self.assertIn("invalid " + query.split("=")[0], reply.json()["error"])
        self.assertEqual(daemon.get("/api/v1/audit/findings?unknown=1").status, 200)


class Policy(unittest.TestCase):
    def test_json_has_every_key_and_yaml_the_same_content(self):
        document = daemon.get("/api/v1/policy").json()
        self.assertEqual(list(document), ["default_policy", "source_groups"])
        rule = document["source_groups"][0]["rules"][0]
        self.assertEqual(set(rule), {"id", "priority", "action", "mode", "match"})
        reply = daemon.get("/api/v1/policy?format=YAML")
        self.assertEqual(reply.headers["content-type"], "application/yaml")
        try:
            import yaml
        except ImportError:
            self.skipTest("no python3-yaml")
        self.assertEqual(yaml.safe_load(reply.body), document)

    def test_the_answer_is_a_document_that_can_be_put(self):
        document = daemon.get("/api/v1/policy").body
        reply = daemon.put_policy(document)
        self.assertEqual((reply.status, json.loads(reply.body)), (200, json.loads(document)))


class ReadOnly(unittest.TestCase):
    def test_a_token_without_the_admin_role_reads_and_may_not_write(self):
        with Policyd("--pcap", SITE) as other:
            other.terminate()
            with sqlite3.connect(os.path.join(other.state, "state.db")) as database:
                stored = database.execute("SELECT name, role, hash FROM tokens").fetchall()
                database.execute("INSERT INTO tokens VALUES ('reader', ?, 'readonly', 0)",
                                 [hashlib.sha256(b"a-token-that-reads").digest()])
            database.close()
            self.assertEqual(stored, [("admin", "admin", hashlib.sha256(support.TOKEN.encode()).digest())])
            other.start()
            self.assertEqual(other.get("/api/v1/stats", token="a-token-that-reads").status, 200)
            reply = other.put_policy("{}", token="a-token-that-reads")
            self.assertEqual((reply.status, reply.json()), (403, {"error": "admin role required"}))


if __name__ == "__main__":
    support.main()
