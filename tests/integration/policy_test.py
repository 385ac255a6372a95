#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Putting policies: what is accepted is in force and on the disk, what is refused changes nothing."""
import http.client
import os
import random
import re
import signal
import sqlite3
import threading
import time

import support
from support import Policyd, TemporaryDirectory, policy

ALLOW = {"id": "allow", "action": "allow", "match": {"dst_ips": ["203.0.113.1"]}}
DENY = {"id": "deny", "action": "deny", "match": {"proto": "tcp", "dst_ports": ["25"]}}


def rules_of(daemon):
    groups = daemon.get("/api/v1/policy").json()["source_groups"]
    return [rule["id"] for group in groups for rule in group["rules"]]


def generation_of(daemon):
    return int(re.search(r"^policyd_policy_published_generation (\d+)$", daemon.get("/metrics").body.decode(), re.M).group(1))


class Put(TemporaryDirectory):
    def test_without_any_policy_the_built_in_one_denies(self):
        with Policyd("--pcap", self.capture()) as daemon:
            self.assertEqual(daemon.get("/api/v1/policy").json(), {"default_policy": "deny", "source_groups": []})
            self.assertEqual(daemon.get("/ready").status, 200)
            self.assertEqual(daemon.get("/api/v1/stats").json()["dataplane"]["packets"]["deny"], 1)

    def test_an_accepted_policy_is_echoed_and_in_force(self):
        with Policyd("--pcap", self.capture()) as daemon:
            before = generation_of(daemon)
            reply = daemon.put_policy(policy(ALLOW, DENY))
            self.assertEqual(reply.status, 200)
            echoed = reply.json()["source_groups"][0]
            self.assertEqual([rule["id"] for rule in echoed["rules"]], ["allow", "deny"])
            self.assertEqual(echoed["rules"][1]["match"]["dst_ports"], ["25"])
            self.assertIsNone(echoed["default_action"])
            self.assertEqual(daemon.get("/api/v1/policy").json(), reply.json())
            self.assertGreater(generation_of(daemon), before)

    def test_a_refused_policy_changes_nothing_and_tells_every_error(self):
        with Policyd("--pcap", self.capture()) as daemon:
            daemon.put_policy(policy(ALLOW))
            generation = generation_of(daemon)
            bad = policy({"id": "one", "action": "maybe", "match": {}},
                         {"id": "two", "action": "allow", "match": {"dst_port": [1]}},
                         {"id": "three", "action": "allow", "match": {"dst_ports": ["9-1"]}})
            reply = daemon.put_policy(bad)
            self.assertEqual(reply.status, 400)
            errors = reply.json()["errors"]
            self.assertEqual(len(errors), 3)
            self.assertRegex(reply.json()["error"], r" \(and 2 more\)$")
            self.assertEqual({error["severity"] for error in errors}, {"error"})
            self.assertIn("/source_groups/0/rules/1/match/dst_port", [error["path"] for error in errors])
            self.assertTrue(all(error["line"] and error["column"] for error in errors))
            for text in ("", "{", "[]", "null", "{} x", '{"source_groups":[],"source_groups":[]}', "\xff"):
                self.assertEqual(daemon.put_policy(text.encode("latin-1")).status, 400, text)
            self.assertEqual((rules_of(daemon), generation_of(daemon)), (["allow"], generation))

    def test_an_absent_default_is_the_one_in_force(self):
        with Policyd("--pcap", self.capture()) as daemon:
            document = {"source_groups": []}
            self.assertEqual(daemon.put_policy(document).json()["default_policy"], "deny")
            daemon.put_policy({"default_policy": "allow"})
            self.assertEqual(daemon.put_policy(document).json()["default_policy"], "allow")
            self.assertEqual(daemon.get("/api/v1/policy").json()["default_policy"], "allow")

    def test_a_policy_put_while_stopping_is_refused_at_once(self):
        with Policyd("--pcap", self.capture()) as daemon:
            daemon.process.send_signal(signal.SIGTERM)
            reply = daemon.get("/ready")
            while reply.json()["checks"][5]["ok"]:
                reply = daemon.get("/ready")
            began = time.monotonic()
            reply = daemon.put_policy(policy(ALLOW))
            self.assertLess(time.monotonic() - began, 1)
            self.assertEqual((reply.status, reply.json()["error"]),
                             (503, "the daemon is stopping; nothing was changed"))

    def test_rules_that_need_an_interceptor_make_the_node_not_ready(self):
        rule = {"id": "look", "action": "allow",
                "match": {"proto": "tcp", "dst_ports": [443],
                          "tls": {"mode": "intercept", "http": {"request": {"methods": ["GET"]}}}}}
        with Policyd("--pcap", self.capture()) as daemon:
            reply = daemon.put_policy(policy(rule))
            self.assertEqual(reply.status, 200, reply.body)
            ready = daemon.get("/ready")
            self.assertEqual(ready.status, 503)
            self.assertEqual([check["name"] for check in ready.json()["checks"] if not check["ok"]],
                             ["service_plane"])


class Survival(TemporaryDirectory):
    def test_what_was_acknowledged_survives_kill_9(self):
        with Policyd("--pcap", self.capture()) as daemon:
            for count in range(5):
                rule = dict(ALLOW, id=f"round-{count}")
                self.assertEqual(daemon.put_policy(policy(rule)).status, 200)
                findings = daemon.get("/api/v1/audit/findings").json()["items"]
                generation = generation_of(daemon)
                daemon.kill()
                daemon.wait = None
                daemon.start()
                self.assertEqual(rules_of(daemon), [f"round-{count}"])
                self.assertGreaterEqual(generation_of(daemon), generation)
                again = daemon.get("/api/v1/audit/findings").json()["items"]
                key = ("finding_type", "source_group", "dst_ip", "dst_port")
                self.assertLessEqual({tuple(item[name] for name in key) for item in findings},
                                     {tuple(item[name] for name in key) for item in again})

    def test_kill_9_in_the_middle_of_puts_leaves_the_last_acknowledged_or_the_next(self):
        random.seed(1)
        with Policyd("--pcap", self.capture(), wait=None) as daemon:
            sent = acknowledged = 0
            for _ in range(6):
                killer = threading.Timer(random.uniform(0.05, 0.3), daemon.process.kill)
                killer.start()
                try:
                    while True:
                        sent += 1
                        if daemon.put_policy(policy(dict(ALLOW, id=str(sent)))).status != 200:
                            break
                        acknowledged = sent
                except (OSError, http.client.HTTPException):
                    pass
                killer.join()
                daemon.process.wait()
                daemon.start()
                self.assertIn(int((rules_of(daemon) or ["0"])[0]), (acknowledged, sent))
            self.assertGreater(acknowledged, 20)

    def test_a_store_that_cannot_be_written_changes_nothing_and_holds_up_nobody(self):
        with Policyd("--pcap", self.capture()) as daemon:
            daemon.put_policy(policy(ALLOW))
            other = sqlite3.connect(os.path.join(daemon.state, "state.db"), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            replies = []
            asker = threading.Thread(target=lambda: replies.append(daemon.put_policy(policy(DENY))))
            asker.start()
            time.sleep(0.5)
            began = time.monotonic()
            for path in ("/ready", "/metrics", "/api/v1/stats", "/api/v1/dns-cache", "/api/v1/policy"):
                self.assertEqual(daemon.get(path).status, 200, path)
            self.assertLess(time.monotonic() - began, 1)
            self.assertEqual(replies, [])
            asker.join(20)
            self.assertEqual(replies[0].status, 500)
            self.assertEqual(rules_of(daemon), ["allow"])
            other.execute("ROLLBACK")
            other.close()
            self.assertEqual(daemon.put_policy(policy(DENY)).status, 200)

    def test_a_policy_that_was_only_pending_is_forgotten(self):
        with Policyd("--pcap", self.capture()) as daemon:
            daemon.put_policy(policy(ALLOW))
            daemon.terminate()
            with sqlite3.connect(os.path.join(daemon.state, "state.db")) as database:
                database.execute("INSERT INTO policies (state, accepted_at, document) VALUES ('pending', 0, '{}')")
            database.close()
            daemon.start()
            self.assertEqual(rules_of(daemon), ["allow"])

    def test_a_stored_policy_that_is_refused_denies_everything_and_says_so(self):
        with Policyd("--pcap", self.capture()) as daemon:
            daemon.put_policy(policy(ALLOW))
            daemon.terminate()
            with sqlite3.connect(os.path.join(daemon.state, "state.db")) as database:
                database.execute("UPDATE policies SET document = '{\"nonsense\": 1}'")
            database.close()
            daemon.start()
            failing = [check for check in daemon.get("/ready").json()["checks"] if not check["ok"]]
            self.assertEqual([check["name"] for check in failing], ["policy_ready"])
            self.assertEqual(daemon.get("/api/v1/policy").json()["source_groups"], [])
            self.assertEqual(daemon.put_policy(policy(ALLOW)).status, 200)
            self.assertEqual(daemon.get("/ready").status, 200)

    def test_findings_of_two_runs_add_up(self):
        with Policyd("--pcap", self.capture()) as daemon:
            first = daemon.get("/api/v1/audit/findings").json()["items"]
            daemon.terminate()
            daemon.start()
            second = daemon.get("/api/v1/audit/findings").json()["items"]
            self.assertEqual([item["count"] for item in first], [1])
            self.assertEqual([item["count"] for item in second], [2])
            self.assertEqual(first[0]["node_ids"], second[0]["node_ids"])


class File(TemporaryDirectory):
    def test_a_file_seeds_an_empty_store_and_then_the_store_wins(self):
        path = self.path("policy.json", policy(ALLOW))
        with Policyd("--pcap", self.capture(), "--policy", path) as daemon:
            self.assertEqual(rules_of(daemon), ["allow"])
            daemon.put_policy(policy(DENY))
            daemon.terminate()
            daemon.start()
            self.assertEqual(rules_of(daemon), ["deny"])
            daemon.expect_log("policy.file is not used: the state directory holds generation")

    def test_a_pinned_file_is_authoritative(self):
        path = self.path("policy.json", policy(ALLOW))
        config = self.path("config.yaml", f"policy: {{file: {path}, pin_file: true}}\n")
        with Policyd("--config", config, "--pcap", self.capture()) as daemon:
            reply = daemon.put_policy(policy(DENY))
            self.assertEqual(reply.status, 409)
            self.assertIn("policy.pin_file", reply.json()["error"])
            self.path("policy.json", policy(DENY))
            generation = generation_of(daemon)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.expect_log("configuration was read again")
            self.assertEqual(rules_of(daemon), ["deny"])
            self.assertGreater(generation_of(daemon), generation)
            generation = generation_of(daemon)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.expect_log("the file has not changed; generation")
            self.assertEqual((rules_of(daemon), generation_of(daemon)), (["deny"], generation))
            self.path("policy.json", "{")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.expect_log("the policy before stays in force: .*policy.json:1:")
            self.assertEqual(rules_of(daemon), ["deny"])

    def test_a_bad_file_ends_the_start_with_4_and_every_diagnostic(self):
        path = self.path("policy.json", '{\n  "defualt_policy": "deny",\n  "source_groups": 7\n}\n')
        code, _, errors = support.run("--pcap", self.capture(), "--policy", path, "--http", "127.0.0.1:0")
        self.assertEqual(code, 4)
        self.assertIn("policy.json:2:3: error: ", errors)
        self.assertIn("default_policy", errors)
        self.assertRegex(errors, r"policy.json:3:\d+: error: ")
        code, _, checked = support.run("--check", "--pcap", self.capture(), "--policy", path)
        self.assertEqual(code, 4)
        self.assertIn("policy.json:2:3: error: ", checked)


if __name__ == "__main__":
    support.main()
