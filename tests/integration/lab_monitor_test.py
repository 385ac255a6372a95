#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""policyd beside a wire that it only listens to: it learns and judges what the kernel's bridge lets pass, changes
nothing, and says so when it hears nothing any more. Through packet sockets and through libpcap."""
import json
import os
import tempfile
import time
import unittest

import lab
import support

POLICY = {
    "default_policy": "deny",
    "source_groups": [{
        "id": "clients", "mode": "enforce", "sources": {"ips": [lab.CLIENT, lab.CLIENT6]}, "default_action": "deny",
        "rules": [
            {"id": "www", "action": "allow", "match": {"dns_hostname": r"^www\.example\.com$", "dst_ports": [80]}},
            {"id": "files", "action": "allow", "match": {"dst_ips": [lab.FILES, lab.FILES6], "dst_ports": [80]}},
        ],
    }],
}


class Monitor:
    driver = "afpacket"

    @classmethod
    def setUpClass(cls):
        cls.lab = lab.Lab(wire="bridge")
        cls.addClassCleanup(cls.lab.down)
        cls.lab.up()
        cls.lab.policyd = lab.Firewall(cls.lab, POLICY, "--config", cls.config())
        cls.lab.policyd.start()
        cls.lab.ready()

    @classmethod
    def config(cls):
        path = f"{cls.lab.directory}/monitor.yaml"
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"dataplane": {"monitor": "lan0", "monitor_driver": cls.driver}}, file)
        return path

    def finding(self, address, port):
        for item in self.lab.get("/api/v1/audit/findings").json()["items"]:
            if (item["dst_ip"], item["dst_port"]) == (address, port):
                return item
        return None

    def wait_for(self, question, what):
        end = time.monotonic() + 5
        while not (answer := question()):
            self.assertLess(time.monotonic(), end, f"{what}\n{self.lab.policyd.log()}")
            time.sleep(0.05)
        return answer

    def check(self, name):
        for check in self.lab.get("/ready").json()["checks"]:
            if check["name"] == name:
                return check
        return None

    def test_denied_connections_are_found_and_pass(self):
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.lab.connect(address, 80), "open")
            self.assertEqual(self.lab.connect(address, 8080), "open")
            self.wait_for(lambda to=address: self.finding(to, 8080), "no finding")
            self.assertIsNone(self.finding(address, 80))

    def test_names_are_learned_from_every_resolver(self):
        for kind, resolver, address in (("A", lab.OTHER_RESOLVER, lab.WEB), ("AAAA", lab.RESOLVER6, lab.WEB6)):
            self.assertIn(address, self.lab.dig("www.example.com", kind, "@" + resolver).addresses)
            self.assertEqual(self.lab.connect(address, 80), "open")
            self.assertEqual(self.lab.connect(address, 443), "open")
            self.wait_for(lambda to=address: self.finding(to, 443), "no finding")
            self.assertIsNone(self.finding(address, 80))
        self.assertIn("www.example.com", [entry["hostname"] for entry in
                                          self.lab.get("/api/v1/dns-cache").json()["entries"]])

    def test_a_denied_query_is_found_and_answered_by_the_server(self):
        self.assertEqual(self.lab.dig("ads.example.com", "A").status, "NOERROR")

        def named():
            return [item for item in self.lab.get("/api/v1/audit/findings").json()["items"]
                    if item["hostname"] == "ads.example.com"]
        self.wait_for(named, "no finding")

    def test_every_frame_is_heard_once(self):
        before = self.lab.counter("dp_packets_total")
        self.assertEqual(self.lab.run("ping", "-c", "20", "-i", "0.01", lab.FILES).returncode, 0)
        self.wait_for(lambda: self.lab.counter("dp_packets_total") >= before + 40, "packets are missing")
        time.sleep(0.2)
        self.assertLess(self.lab.counter("dp_packets_total"), before + 60)

    def test_an_interface_that_is_down_is_told_and_comes_back(self):
        self.lab.ip("firewall", "link", "set", "lan0", "down")
        self.wait_for(lambda: not self.check("dataplane_running")["ok"], "it does not say that it hears nothing")
        self.assertTrue(self.check("dataplane_running")["detail"])
        self.lab.ip("firewall", "link", "set", "lan0", "up")
        self.wait_for(lambda: self.check("dataplane_running")["ok"], "it does not say that it hears again")
        before = self.lab.counter("dp_packets_total")
        self.wait_for(lambda: self.lab.ping(lab.FILES) == "answered", "the bridge does not pass")
        self.wait_for(lambda: self.lab.counter("dp_packets_total") > before, "nothing is heard")


class PacketSocket(Monitor, unittest.TestCase):
    pass


class Libpcap(Monitor, unittest.TestCase):
    driver = "libpcap"


class Start(unittest.TestCase):
    def test_an_interface_that_libpcap_cannot_open_ends_the_start(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "libpcap.yaml")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"dataplane": {"monitor": "nowhere0", "monitor_driver": "libpcap"},
                           "state": {"dir": os.path.join(directory, "state")}}, file)
            code, _, errors = support.run("--config", path)
        self.assertEqual(code, 1)
        self.assertIn("nowhere0", errors)


if __name__ == "__main__":
    lab.main()
