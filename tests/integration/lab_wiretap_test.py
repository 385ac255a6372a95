#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Live confirmation on a wire: what a client does is on the screen of policyctl tap within a second or two."""
import json
import queue
import subprocess
import threading
import time

import lab
import support

MODE = "/api/v1/settings/performance-mode"


class Tap:
    """policyctl tap in the firewall's namespace."""

    def __init__(self, its_lab, *arguments):
        daemon = its_lab.policyd
        self.child = its_lab.launch("firewall", support.POLICYCTL, "tap", "--json", "--token-file", daemon.token_path,
                                    "--url", f"http://127.0.0.1:{daemon.port}", *arguments, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.events = queue.Queue()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        end = time.monotonic() + 5
        while not its_lab.counter("policyd_wiretap_streams") and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.3)  # the workers have heard of it

    def read(self):
        for line in self.child.stdout:
            self.events.put(json.loads(line))

    def expect(self, seconds=5, **wanted):
        """The first event to come that has these values."""
        seen, end = [], time.monotonic() + seconds
        while True:
            try:
                event = self.events.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {wanted} among {json.dumps(seen, indent=1)}") from None
            if wanted.items() <= event.items():
                return event
            seen.append(event)

    def close(self):
        self.child.terminate()
        self.child.wait(5)
        self.thread.join()
        self.child.stdout.close()
        self.child.stderr.close()


class Watching:
    def setUp(self):
        self.tap = Tap(self.lab, *self.filters)
        self.addCleanup(self.tap.close)

    filters = ["--kind", "flow", "--kind", "update", "--kind", "deny", "--kind", "dns"]

    def test_a_visit_by_name_is_seen_from_the_query_to_the_page(self):
        self.assertEqual(self.lab.curl("http://www.example.com/").outcome, "200")
        query = self.tap.expect(kind="dns", hostname="www.example.com", verdict="allow")
        self.assertGreater(query["learned"], 0)
        opened = self.tap.expect(kind="flow_open", hostname="www.example.com", dst_port=80)
        self.assertEqual(opened["verdict"], "pending")  # a name may still be denied as server name
        flow = self.tap.expect(kind="flow_update", flow_id=opened["flow_id"])
        self.assertEqual([flow[key] for key in ("verdict", "group", "rule")], ["allow", "clients", "web-by-name"])

    def test_denials_say_which_name_and_which_rule(self):
        self.assertEqual(self.lab.dig("ads.example.com").status, "NXDOMAIN")
        deny = self.tap.expect(hostname="ads.example.com", raw_verdict="deny")
        self.assertEqual((deny["group"], deny["rule"]), ("clients", "no-ads"))
        self.lab.connect(lab.FILES, 8080)
        deny = self.tap.expect(kind="deny", dst_ip=lab.FILES, dst_port=8080)
        self.assertEqual((deny["verdict"], deny["reason"]), ("reject", "group_default"))

    def test_a_lasting_flow_is_reported_each_second(self):
        child = self.lab.launch("client", "ping", "-i", "0.2", "-c", "20", lab.FILES, stdout=subprocess.DEVNULL)
        flows = [self.tap.expect(dst_ip=lab.FILES, proto=1) for _ in range(4)]
        child.wait(10)
        self.assertEqual([flow["kind"] for flow in flows], ["flow_open"] + ["flow_active"] * 3)
        sent = [flow["packets_out"] for flow in flows]
        self.assertEqual(sent[0], 1)
        for before, after in zip(sent, sent[1:]):
            self.assertIn(after - before, range(4, 9))

    def test_with_performance_mode_off_the_wire_goes_on_and_nothing_is_kept(self):
        before = self.lab.get("/api/v1/audit/findings").json()["items"]
        self.assertEqual(self.lab.policyd.ask("PUT", MODE, {"enabled": False}).status, 200)
        self.addCleanup(self.lab.policyd.ask, "PUT", MODE, {"enabled": True})
        time.sleep(0.3)
        denied = self.lab.counter("dp_packets_total", decision="deny")
        self.assertEqual(self.lab.connect(lab.FILES, 80), "open")
        self.assertNotEqual(self.lab.connect(lab.FILES, 8081), "open")
        self.assertGreater(self.lab.counter("dp_packets_total", decision="deny"), denied)
        self.lab.ready()
        self.assertEqual(self.lab.policyd.ask("PUT", MODE, {"enabled": True}).status, 200)
        self.assertEqual(self.lab.get("/api/v1/audit/findings").json()["items"], before)


class OneWorker(Watching, lab.LabTest):
    options = {"workers": 1}


class FourWorkers(Watching, lab.LabTest):
    options = {"workers": 4}


if __name__ == "__main__":
    lab.main()
