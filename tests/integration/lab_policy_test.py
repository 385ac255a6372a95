#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a policy does on the wire, seen from both ends with real tools, and what an operator is told of it: by address,
port, name and server name, at a reload, in the wrong direction and when somebody lies. With one and four workers."""
import contextlib
import errno
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
import unittest

import frames
import lab
import support

AT_ONCE = 1.0 # seconds: a client that is not told repeats its SYN after one
SHORT_TTL, IDLE = 2, 1 # seconds: of short.example.org in lab.zone, and of unused grants below
NEVER_SEEN = 0.3 # seconds in which what is not to come would have come

ECHO, ONE_WAY = 9000, 9001
LONG = (5001, 5002, 5003, 5004) # ports of connections that last
CUT = (5002, 5004) # those that the second policy denies
SNI_PORT = 8443 # where a test takes the place of a TLS server

CONFIG = f"""\
version: 1
dataplane:
  dns_allowlist_idle_secs: {IDLE}
  dns_allowlist_flow_idle_secs: {IDLE}
  midstream: deny # what comes from outside is judged as such from the start
"""

REFUSED = {4: errno.EHOSTUNREACH, 6: errno.EACCES} # what a datagram's sender is told: prohibited
NO_RESOLVERS = lab.GATEWAY, lab.GATEWAY6 # trusted, but nobody answers there
SERVERS4, SERVERS6 = "198.51.100.0/24", "2001:db8:2::/64"
TENANTS4, TENANTS6 = "203.0.113.0/24", "2001:db8:2:1::/64"


def rule(identity, action="allow", **match):
    return {"id": identity, "action": action, "match": match}


def named(identity, pattern, proto="tcp", ports=(80, 443), **more):
    return rule(identity, dns_hostname=pattern, proto=proto, dst_ports=list(ports), **more)


def policy(long_ports=LONG, echo_ports=(ECHO, ONE_WAY)):
    files = [lab.FILES, lab.FILES6]
    return {"default_policy": "deny", "source_groups": [
        {"id": "clients", "mode": "enforce", "sources": {"ips": [lab.CLIENT, lab.CLIENT6]}, "default_action": "deny",
         "rules": [
             rule("no-ads", "deny", dns_hostname=r"^ads\.example\.com$"),
             named("web", r"^(www|shop)\.example\.com$"),
             named("blog", r"^blog\.example\.com$", ports=[8080]),
             named("short", r"^short\.example\.org$", ports=[80, *LONG]),
             named("short-udp", r"^short\.example\.org$", "udp", [ONE_WAY]),
             named("hints", r"^hints\.example\.com$", ports=[8080]),
             named("files-by-name", r"^files\.example\.com$", ports=[443], dst_cidrs=[SERVERS4]),
             rule("partner", dst_cidrs=[TENANTS4, TENANTS6], proto="tcp", dst_ports=[443, SNI_PORT],
                  tls={"sni": {"exact": ["partner.example.net"]}}),
             rule("files", dst_ips=files, proto="tcp", dst_ports=[80, *long_ports]),
             rule("echo", dst_ips=files, proto="udp", dst_ports=list(echo_ports)),
             rule("ping", dst_cidrs=[SERVERS4], proto="icmp", icmp_types=[8]),
             rule("ping6", dst_cidrs=[SERVERS6], proto="icmpv6", icmp_types=[128]),
         ]},
        {"id": "watched", "mode": "audit", "sources": {"ips": [lab.WATCHED, lab.WATCHED6]}, "default_action": "deny",
         "rules": [named("watched-web", r"^www\.example\.com$")]},
    ]}


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def version_of(address):
    return 6 if ":" in address else 4


def in_url(address):
    return f"[{address}]" if ":" in address else address


def dns_answer(identity, name, address):
    """A response with one A record."""
    labels = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.split(".")) + b"\0"
    return (struct.pack("!6H", identity, 0x8180, 1, 1, 0, 0) + labels + struct.pack("!HH", 1, 1) +
            b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + socket.inet_aton(address))


def dns_query(identity, name):
    labels = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack("!6H", identity, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)


class Stream:
    """Live flows, as an operator's program reads them."""

    def __init__(self, its_lab, query=""):
        self.events, self.changed = [], threading.Condition()
        self.connection = http.client.HTTPConnection("127.0.0.1", its_lab.policyd.port, timeout=20)
        with its_lab.inside("firewall"):
            self.connection.request("GET", "/api/v1/wiretap/stream" + query,
                                    headers={"Authorization": "Bearer " + support.TOKEN})
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        kind = None
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            for line in self.response:
                word, _, value = line.decode().strip().partition(": ")
                if word == "event":
                    kind = value
                elif word == "data":
                    with self.changed:
                        self.events.append((kind, json.loads(value)))
                        self.changed.notify_all()

    def expect(self, kind, seconds=4, **fields):
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                for found, event in self.events:
                    if found == kind and all(event.get(key) == value for key, value in fields.items()):
                        return event
                if not self.changed.wait(max(end - time.monotonic(), 0)) and time.monotonic() > end:
                    raise AssertionError(f"no {kind} with {fields} in {self.events}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.connection.close()


class PolicyTest(lab.LabTest):
    """One lab of the kind that the subclass names, and what a test asks of it."""

    config = CONFIG
    workers = 1

    @classmethod
    def setUpClass(cls):
        # pylint: disable-next=consider-using-with
        directory = tempfile.TemporaryDirectory(prefix="policyd-test-")
        cls.addClassCleanup(directory.cleanup)
        path = os.path.join(directory.name, "config.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(cls.config)
        trusted = [word for resolver in NO_RESOLVERS for word in ("--trust-resolver", resolver)]
        cls.options = {"policy": policy(), "workers": cls.workers, "flags": ("--config", path, *trusted)}
        super().setUpClass()

    @classmethod
    def prepare(cls):
        cls.lab.udp_echo(ECHO, lab.FILES, lab.FILES6)

    # -- Servers and clients

    def listen(self, address, port, part="server"):
        made = self.lab.socket(part, family_of(address))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(8)
        made.settimeout(4)
        self.addCleanup(made.close)
        return made

    def connected(self, address, port):
        """An open connection: its two ends."""
        server = self.listen(address, port)
        near = self.lab.connect(address, port, keep=True)
        self.assertNotIsInstance(near, str, near)
        far, _ = server.accept()
        far.settimeout(4)
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return near, far

    def assert_passes(self, sender, receiver, octets):
        sender.sendall(octets)
        self.assertEqual(receiver.recv(100), octets)

    def assert_talks(self, near, far):
        self.assert_passes(near, far, b"from the client")
        self.assert_passes(far, near, b"from the server")

    def assert_reset(self, end):
        """Without any octet before."""
        began = time.monotonic()
        with self.assertRaises(ConnectionResetError):
            octets = end.recv(100)
            self.fail(f"{octets!r} instead of a reset")
        self.assertLess(time.monotonic() - began, AT_ONCE)

    def assert_refused(self, address, port, source=None):
        began = time.monotonic()
        self.assertEqual(self.lab.connect(address, port, source=source), "refused", (address, port))
        self.assertLess(time.monotonic() - began, AT_ONCE)

    def datagrams(self, address, port, source_port=0):
        made = self.lab.socket("client", family_of(address), socket.SOCK_DGRAM)
        made.settimeout(2)
        if source_port:
            made.bind(("", source_port))
        made.connect((address, port))
        self.addCleanup(made.close)
        return made

    def datagram_error(self, address, port, payload=b"hello"):
        """What the sender of a datagram is told, as an errno. A kernel may be too busy for one of its ICMP errors."""
        made = self.datagrams(address, port)
        made.settimeout(AT_ONCE)
        for _ in range(3):
            try:
                made.send(payload)
                return made.recv(100)
            except TimeoutError:
                continue
            except OSError as error:
                return error.errno
        return "nothing"

    def dig(self, name, kind="A", *options):
        """Status, extended error, milliseconds and server as dig prints them; None for what it does not."""
        text = self.lab.run("dig", "+tries=1", "+timeout=4", *options, name, kind).stdout
        found = [re.search(pattern, text, re.M) for pattern in
                 (r"status: (\w+)", r"^; EDE: (\d+)", r"Query time: (\d+)", r"SERVER: ([^#]+)#")]
        status, extended, took, server = (match and match.group(1) for match in found)
        return status, extended and int(extended), took and int(took), server

    # -- What an operator looks at

    def finding(self, seconds=4, **fields):
        """The finding that has these fields; events are on their way for a moment."""
        end = time.monotonic() + seconds
        while True:
            items = self.lab.get("/api/v1/audit/findings?limit=10000").json()["items"]
            for item in items:
                if all(item[key] == value for key, value in fields.items()):
                    return item
            if time.monotonic() > end:
                near = [item for item in items if item["finding_type"] == fields.get("finding_type")]
                raise AssertionError(f"no finding with {fields}; there are:\n" + "\n".join(map(str, near[:20])))
            time.sleep(0.05)

    def stats(self, *path):
        value = self.lab.get("/api/v1/stats").json()
        for key in path:
            value = value[key]
        return value

    def cached(self, name):
        entries = self.lab.get("/api/v1/dns-cache").json()["entries"]
        return [address for entry in entries if entry["hostname"] == name for address in entry["ips"]]

    @contextlib.contextmanager
    def moves(self, *path):
        """Something in /stats grows."""
        before = self.stats(*path)
        yield
        self.assertGreater(self.stats(*path), before, path)


class OnTheWire:
    # -- By address, port and name

    def test_an_address_opens_only_its_port(self):
        with self.moves("dataplane", "packets", "allow"), self.moves("dataplane", "packets", "deny"):
            for address in (lab.FILES, lab.FILES6):
                self.assertEqual(self.lab.curl(f"http://{in_url(address)}/").outcome, "200", address)
                self.assert_refused(address, 8080)
        for address in (lab.FILES, lab.FILES6):
            found = self.finding(finding_type="l4_deny", dst_ip=address, dst_port=8080)
            self.assertEqual((found["proto"], found["source_group"], found["reason"]), (6, "clients", "group_default"))

    def test_a_denied_connection_is_refused_at_once(self):
        for address in (lab.PARTNER, lab.PARTNER6):
            fetch = self.lab.curl(f"http://{in_url(address)}/")
            self.assertEqual(fetch.outcome, "refused", address)
            self.assertLess(fetch.seconds, AT_ONCE)

    def test_a_denied_datagram_is_refused_at_once(self):
        for address in (lab.PARTNER, lab.PARTNER6):
            began = time.monotonic()
            self.assertEqual(self.datagram_error(address, ECHO), REFUSED[version_of(address)], address)
            self.assertLess(time.monotonic() - began, AT_ONCE)
            self.assertEqual(self.finding(finding_type="l4_deny", dst_ip=address, dst_port=ECHO)["proto"], 17)

    def test_a_datagram_passes_by_port(self):
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.lab.udp(address, ECHO, b"question"), b"question", address)

    def test_a_name_opens_its_addresses(self):
        for pool in (lab.POOL, lab.POOL6):
            self.assert_refused(pool, 443)
        with self.moves("dns", "queries_allow"):
            for kind, pool in (("A", lab.POOL), ("AAAA", lab.POOL6)):
                self.assertIn(pool, self.lab.dig("shop.example.com", kind).addresses)
        for family, pool in (("-4", lab.POOL), ("-6", lab.POOL6)):
            self.assertEqual(self.lab.curl("https://shop.example.com/", family).outcome, "200")
            fetch = self.lab.curl("http://shop.example.com:8080/", family)
            self.assertEqual(fetch.outcome, "refused")
            self.assertLess(fetch.seconds, AT_ONCE)
            self.assertIn(pool, self.cached("shop.example.com"))
        # curl tries the addresses one after the other.
        self.finding(finding_type="l4_deny", dst_ip=lab.POOL6, dst_port=8080, fqdn="shop.example.com")

    def test_an_alias_does_not_open_its_target_as_a_name(self):
        self.assertIn(lab.POOL, self.lab.dig("shop.example.com").addresses)
        self.assertEqual(self.dig("pool.example.net")[0], "NXDOMAIN")
        self.assertEqual(self.cached("pool.example.net"), [])

    def test_one_name_does_not_open_what_another_of_its_address_does(self):
        self.assertEqual(self.lab.dig("www.example.com").addresses, [lab.WEB])
        self.assert_refused(lab.WEB, 8080)
        found = self.finding(finding_type="l4_deny", dst_ip=lab.WEB, dst_port=8080)
        self.assertEqual(found["names"], ["www.example.com"])
        self.assertEqual(self.lab.dig("blog.example.com").addresses, [lab.WEB])
        self.assertEqual(self.lab.connect(lab.WEB, 8080), "open")
        # The other family's address was not asked for under this name.
        self.lab.dig("www.example.com", "AAAA")
        self.assert_refused(lab.WEB6, 8080)

    def test_hints_of_an_https_record_open_addresses(self):
        hints = [lab.PARTNER, lab.PARTNER6]
        for hint in hints:
            self.assert_refused(hint, 8080)
        self.assertIn("ipv4hint=" + lab.PARTNER, self.lab.run("dig", "+short", "hints.example.com", "HTTPS").stdout)
        for hint in hints:
            self.assertEqual(self.lab.connect(hint, 8080), "open", hint)
        self.assertEqual(self.cached("hints.example.com"), hints)
        self.assert_refused(lab.POOL, 8080)

    def test_a_client_falls_back_to_ipv4_at_once(self):
        fetch = self.lab.curl("https://files.example.com/")
        self.assertEqual(fetch.outcome, "200")
        self.assertIn(lab.FILES, fetch.body)
        self.assertLess(fetch.seconds, AT_ONCE)
        self.finding(finding_type="l4_deny", dst_ip=lab.FILES6, dst_port=443, fqdn="files.example.com")

    def test_ping(self):
        for open_address, other in ((lab.FILES, lab.PARTNER), (lab.FILES6, lab.PARTNER6)):
            self.assertEqual(self.lab.ping(open_address), "answered")
            self.assertEqual(self.lab.ping(other), "refused", other)
        self.assertEqual(self.finding(finding_type="icmp_deny", dst_ip=lab.PARTNER)["icmp_type"], 8)
        self.assertEqual(self.finding(finding_type="icmp_deny", dst_ip=lab.PARTNER6)["icmp_type"], 128)

    def test_a_server_may_speak_first_and_last(self):
        near, far = self.connected(lab.FILES, LONG[0])
        self.assert_passes(far, near, b"a banner")
        self.assert_talks(near, far)
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(far.recv(100), b"")
        self.assert_passes(far, near, b"the rest")

    def test_a_port_may_be_used_again_at_once(self):
        """Also where its connection before was denied."""
        server = self.listen(lab.PARTNER, SNI_PORT)
        for name in ("partner.example.net", "tenant.example.net", "partner.example.net"):
            near = self.lab.socket("client")
            near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) # ends by a reset
            near.settimeout(4)
            near.bind((lab.CLIENT, 43000))
            near.connect((lab.PARTNER, SNI_PORT))
            far, _ = server.accept()
            with near, far:
                far.settimeout(4)
                hello = frames.client_hello(name)
                if name == "partner.example.net":
                    self.assert_passes(near, far, hello[:90])
                    self.assert_passes(near, far, hello[90:180])
                else:
                    near.sendall(hello)
                    self.assert_reset(far)
                    self.assert_reset(near)

    # -- DNS

    def test_the_spelling_of_a_name_does_not_matter(self):
        self.assertEqual(self.lab.dig("WwW.eXample.COM").addresses, [lab.WEB])
        self.assertEqual(self.lab.dig("www.EXAMPLE.com", "A", "+tcp").addresses, [lab.WEB])
        self.assertEqual(self.dig("aDs.Example.com")[:2], ("NXDOMAIN", 15))

    def test_a_resolver_that_is_not_there_is_known(self):
        """By the error of its host, which belongs to a query and to no flow."""
        for resolver in NO_RESOLVERS:
            told = self.datagram_error(resolver, 53, dns_query(1, "www.example.com"))
            self.assertEqual(told, errno.ECONNREFUSED, resolver)

    def test_a_denied_query_is_answered_at_once(self):
        with self.lab.capture() as far, self.moves("dns", "queries_deny"), self.moves("dns", "nxdomain_policy"):
            for resolver in (lab.RESOLVER, lab.RESOLVER6):
                for name, kind in (("ads.example.com", "A"), ("ads.example.com", "AAAA"), ("tenant.example.net", "A")):
                    status, extended, took, server = self.dig(name, kind, "@" + resolver)
                    self.assertEqual((status, extended, server), ("NXDOMAIN", 15, resolver), name)
                    self.assertLess(took, AT_ONCE * 1000)
            far.expect_none(lambda frame: not frame.outgoing and frame.dport == 53, "a denied query")
        self.finding(finding_type="dns_deny", hostname="ads.example.com", reason="rule", rule="no-ads")
        self.finding(finding_type="dns_deny", hostname="tenant.example.net", reason="dns_no_rule", rule=None)
        self.assertEqual(self.cached("ads.example.com"), [])

    def test_queries_over_tcp_are_judged(self):
        self.assertEqual(self.lab.dig("www.example.com", "A", "+tcp").addresses, [lab.WEB])
        self.assertIn(lab.WEB, self.cached("www.example.com"))
        self.assertEqual(self.lab.connect(lab.WEB, 80), "open")
        answered = self.stats("dns", "nxdomain_policy")
        with self.lab.capture() as far, Stream(self.lab, "?kind=deny") as stream, self.moves("dns", "queries_deny"):
            for resolver in (lab.RESOLVER, lab.RESOLVER6):
                answer = self.lab.dig("ads.example.com", "A", "+tcp", "@" + resolver)
                self.assertEqual((answer.status, answer.addresses), (None, []))
                self.assertLess(answer.seconds, 3) # it would have waited for four
                stream.expect("deny", hostname="ads.example.com", dst_ip=resolver, proto=6, verdict="reject")
            far.expect_none(lambda frame: not frame.outgoing and frame.dport == 53 and frame.payload, "a denied query")
        self.assertEqual(self.stats("dns", "nxdomain_policy"), answered) # nobody was sent one

    def test_every_query_of_a_connection_is_judged(self):
        text = self.lab.run("dig", "+tcp", "+keepopen", "+tries=1", "+timeout=4",
                            "www.example.com", "ads.example.com").stdout
        self.assertIn(lab.WEB, text)
        self.assertEqual(text.count("status: NOERROR"), 1)
        self.assertNotIn("ads.example.com.\t", text)

    def test_nothing_but_dns_passes_to_a_resolver_over_tcp(self):
        for resolver in (lab.RESOLVER, lab.RESOLVER6):
            with self.lab.capture() as far:
                near = self.lab.connect(resolver, 53, keep=True)
                near.sendall(b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
                self.assert_reset(near)
                far.expect(lambda frame: not frame.outgoing and frame.dport == 53 and frame.flags & frames.RST,
                           "a reset of the resolver's end")
                far.expect_none(lambda frame: not frame.outgoing and frame.dport == 53 and frame.payload, "data", 0)
            found = self.finding(finding_type="l4_deny", dst_ip=resolver, dst_port=53, reason="malformed")
            self.assertEqual(found["source_group"], "clients")

    def test_a_zone_is_not_transferred(self):
        text = self.lab.run("dig", "+tries=1", "+timeout=4", "AXFR", "example.com").stdout
        self.assertNotIn(lab.WEB, text)
        self.finding(finding_type="dns_deny", hostname="example.com", query_type=252)

    def test_another_resolver_teaches_nothing(self):
        for resolver in (lab.OTHER_RESOLVER, lab.OTHER_RESOLVER6):
            self.assertEqual(self.dig("www.example.com", "A", "@" + resolver)[0], None)
            self.assert_refused(resolver, 53)
            for proto in (17, 6):
                self.finding(finding_type="l4_deny", dst_ip=resolver, dst_port=53, proto=proto,
                             reason="dns_untrusted_resolver")

    def test_an_answer_nobody_asked_for_goes_nowhere(self):
        before = self.lab.counter("policyd_dns_unsolicited_total")
        lie = frames.udp(lab.RESOLVER, lab.CLIENT, 53, 40000, dns_answer(7, "www.example.com", lab.PARTNER))
        with self.lab.capture("client") as near:
            self.lab.sender("server").send(frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, lie))
            near.expect_none(lambda frame: not frame.outgoing and frame.dport == 40000, "a lie", NEVER_SEEN)
        self.assertEqual(self.lab.counter("policyd_dns_unsolicited_total"), before + 1)
        self.assertNotIn(lab.PARTNER, self.cached("www.example.com"))
        self.finding(finding_type="l4_deny", dst_ip=lab.CLIENT, dst_port=40000, reason="dns_unsolicited")

    def test_only_the_right_answer_passes(self):
        """A liar outside is faster than the resolver, which is stopped meanwhile."""
        name = "www.example.com"
        with open(os.path.join(self.lab.directory, "processes"), encoding="ascii") as file:
            unbound = next(int(pid) for what, pid, _ in map(str.split, file) if what == "unbound")
        client = self.datagrams(lab.RESOLVER, 53)
        port = client.getsockname()[1]
        os.kill(unbound, signal.SIGSTOP)
        try:
            with self.lab.capture() as far:
                client.send(dns_query(1000, name))
                far.expect(lambda frame: frame.sport == port and not frame.outgoing, "the query")
            lies = [(lab.RESOLVER, port, 1001, name), (lab.RESOLVER, port, 1000, "ads.example.com"),
                    (lab.RESOLVER, port + 1, 1000, name), (lab.OTHER_RESOLVER, port, 1000, name)]
            for resolver, to, identity, asked in lies:
                lie = frames.udp(resolver, lab.CLIENT, 53, to, dns_answer(identity, asked, lab.PARTNER))
                self.lab.sender("server").send(frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, lie))
            time.sleep(NEVER_SEEN)
        finally:
            os.kill(unbound, signal.SIGCONT)
        self.assertIn(socket.inet_aton(lab.WEB), client.recv(1000))
        late = frames.udp(lab.RESOLVER, lab.CLIENT, 53, port, dns_answer(1000, name, lab.PARTNER))
        self.lab.sender("server").send(frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, late))
        client.settimeout(NEVER_SEEN)
        self.assertRaises(TimeoutError, client.recv, 1000)
        self.assertNotIn(lab.PARTNER, self.cached(name))
        self.assert_refused(lab.PARTNER, 80)

    # -- TLS

    def test_a_server_name_decides(self):
        with self.moves("tls", "allow"), self.moves("tls", "deny"):
            for address in (lab.PARTNER, lab.PARTNER6):
                to = f"::{in_url(address)}"
                fetch = self.lab.curl("https://partner.example.net/", "--connect-to", to)
                self.assertEqual(fetch.outcome, "200", address)
                fetch = self.lab.curl("https://tenant.example.net/", "--connect-to", to)
                self.assertEqual(fetch.outcome, "reset", address)
                self.assertLess(fetch.seconds, AT_ONCE)
                self.finding(finding_type="tls_deny", dst_ip=address, dst_port=443, sni="tenant.example.net")

    def test_a_server_name_of_another_address_passes_and_is_noted(self):
        self.lab.dig("www.example.com")
        with Stream(self.lab, "?kind=update") as stream:
            fetch = self.lab.curl("https://tenant.example.net/", "-k", "--connect-to", f"::{lab.WEB}")
            self.assertEqual(fetch.outcome, "200")
            stream.expect("flow_update", dst_ip=lab.WEB, sni="tenant.example.net", verdict="allow")
        found = self.finding(finding_type="tls_deny", dst_ip=lab.WEB, dst_port=443, sni="tenant.example.net")
        self.assertEqual((found["reason"], found["audit"]), ("sni_mismatch", True))
        self.assertIn("www.example.com", found["names"])

    def test_openssl_is_told_too(self):
        for name, wanted in (("partner.example.net", 0), ("tenant.example.net", 1)):
            done = self.lab.run("openssl", "s_client", "-connect", f"{lab.PARTNER}:443", "-servername", name,
                                "-verify_return_error", stdin=None, input="")
            self.assertEqual(done.returncode, wanted, done.stderr)
            self.assertEqual("no peer certificate available" in done.stdout, bool(wanted), done.stdout)

    def test_a_wrong_server_name_resets_both_ends(self):
        for address in (lab.PARTNER, lab.PARTNER6):
            server = self.listen(address, SNI_PORT)
            fetches = []
            client = threading.Thread(target=lambda to=address: fetches.append(self.lab.curl(
                f"https://tenant.example.net:{SNI_PORT}/", "--connect-to", f"::{in_url(to)}:{SNI_PORT}")))
            client.start()
            far, _ = server.accept()
            with far:
                far.settimeout(4)
                with self.assertRaises(ConnectionResetError):
                    self.fail(f"the server got {far.recv(100)!r}")
            client.join()
            self.assertEqual(fetches[0].outcome, "reset", address)
            self.assertLess(fetches[0].seconds, AT_ONCE)

    def test_a_client_hello_in_pieces_is_judged_as_a_whole(self):
        for name, address in (("partner.example.net", lab.PARTNER), ("tenant.example.net", lab.PARTNER6)):
            near, far = self.connected(address, SNI_PORT)
            hello = frames.client_hello(name)
            self.assert_passes(near, far, hello[:100])
            near.sendall(hello[100:])
            if name == "partner.example.net":
                self.assertEqual(far.recv(4096), hello[100:])
                self.assert_talks(near, far)
            else:
                self.assert_reset(near)
                self.assert_reset(far)

    def test_what_is_not_tls_is_cut(self):
        for address in (lab.PARTNER, lab.PARTNER6):
            near, far = self.connected(address, SNI_PORT)
            near.sendall(b"GET / HTTP/1.1\r\nHost: partner.example.net\r\n\r\n")
            self.assert_reset(near)
            self.assert_reset(far)
            self.finding(finding_type="tls_deny", dst_ip=address, dst_port=SNI_PORT, reason="not_tls")

    # -- Time

    def test_an_open_connection_outlives_its_name(self):
        port = LONG[0]
        self.assertEqual(self.lab.dig("short.example.org").addresses, [lab.SHORT])
        near, far = self.connected(lab.SHORT, port)
        self.assert_talks(near, far)
        time.sleep(SHORT_TTL + IDLE + 0.5)
        self.assert_refused(lab.SHORT, port)
        found = self.finding(finding_type="l4_deny", dst_ip=lab.SHORT, dst_port=port)
        self.assertEqual(found["reason"], "dns_expired")
        self.assert_talks(near, far)
        self.lab.dig("short.example.org")
        self.assertEqual(self.lab.connect(lab.SHORT, port), "open")

    def test_an_unused_name_expires(self):
        self.assertEqual(self.lab.dig("short.example.org", "AAAA").addresses, [lab.SHORT6])
        self.assertEqual(self.lab.connect(lab.SHORT6, 80), "open")
        time.sleep(SHORT_TTL + IDLE + 0.5)
        self.assert_refused(lab.SHORT6, 80)
        self.assertEqual(self.finding(finding_type="l4_deny", dst_ip=lab.SHORT6, dst_port=80)["reason"], "dns_expired")
        self.assertEqual(self.lab.curl("http://short.example.org/", "-6").outcome, "200")

    # -- Reload

    def test_a_reload_cuts_what_is_now_denied_and_nothing_else(self):
        for address in (lab.FILES, lab.FILES6):
            with self.subTest(address=address):
                self.reload(address)

    def reload(self, address):
        ends = {port: self.connected(address, port) for port in LONG}
        echoed, denied = self.datagrams(address, ECHO), self.datagrams(address, ONE_WAY)
        server = self.lab.socket("server", family_of(address), socket.SOCK_DGRAM)
        server.bind((address, ONE_WAY))
        server.settimeout(2)
        self.addCleanup(server.close)
        self.addCleanup(self.lab.put_policy, policy())
        for near, far in ends.values():
            self.assert_talks(near, far)
        echoed.send(b"before")
        self.assertEqual(echoed.recv(100), b"before")
        denied.send(b"before")
        self.assertEqual(server.recv(100), b"before")

        self.lab.put_policy(policy(long_ports=[port for port in LONG if port not in CUT], echo_ports=[ECHO]))
        # The next packet of either end finds out.
        ends[CUT[0]][0].sendall(b"from the client")
        ends[CUT[1]][1].sendall(b"from the server")
        for port in CUT:
            for end in ends[port]:
                self.assert_reset(end)
        denied.send(b"after")
        with self.assertRaises(OSError) as told:
            denied.recv(100)
        self.assertEqual(told.exception.errno, REFUSED[version_of(address)])
        server.settimeout(NEVER_SEEN)
        self.assertRaises(TimeoutError, server.recv, 100)
        echoed.send(b"after")
        self.assertEqual(echoed.recv(100), b"after")
        for port in LONG:
            if port not in CUT:
                self.assert_talks(*ends[port])
        generation = self.lab.counter("policyd_policy_generation")
        for port in CUT:
            found = self.finding(finding_type="l4_deny", dst_ip=address, dst_port=port)
            self.assertEqual((found["reason"], found["generation"]), ("group_default", generation))
        self.lab.put_policy(policy())
        for port in LONG:
            if port not in CUT:
                self.assert_talks(*ends[port])

    def test_a_reload_cuts_many_at_once(self):
        """More than there are refusals at once; each flow is cut only once."""
        port, count = CUT[0], 800
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
        server = self.listen(lab.FILES, port)
        ends = []
        for _ in range(count):
            near = self.lab.connect(lab.FILES, port, keep=True)
            ends += [near, server.accept()[0]]
        self.addCleanup(lambda: [end.close() for end in ends])
        self.addCleanup(self.lab.put_policy, policy())
        self.lab.put_policy(policy(long_ports=[LONG[0]]))
        for near in ends[::2]:
            near.sendall(b"hello")
        for end in ends:
            end.settimeout(4)
            self.assert_reset(end)

    def test_a_reload_judges_names_again(self):
        self.assertEqual(self.lab.dig("short.example.org").addresses, [lab.SHORT])
        tls, named_flow = self.connected(lab.PARTNER, SNI_PORT), self.connected(lab.SHORT, LONG[2])
        hello = frames.client_hello("partner.example.net")
        self.assert_passes(*tls, hello[:90])
        tls[0].sendall(hello[90:])
        self.assertEqual(tls[1].recv(4096), hello[90:])
        self.assert_talks(*named_flow)
        self.addCleanup(self.lab.put_policy, policy())
        self.lab.put_policy(policy())
        for near, far in (tls, named_flow):
            self.assert_talks(near, far)

        document = policy()
        rules = document["source_groups"][0]["rules"]
        for each in rules:
            if each["id"] == "partner":
                each["match"]["tls"]["sni"]["exact"] = ["tenant.example.net"]
        document["source_groups"][0]["rules"] = [each for each in rules if each["id"] != "short"]
        self.lab.put_policy(document)
        for near, far in (tls, named_flow):
            far.sendall(b"from the server")
            self.assert_reset(far)
            self.assert_reset(near)
        self.finding(finding_type="tls_deny", dst_ip=lab.PARTNER, dst_port=SNI_PORT, sni="partner.example.net")
        self.finding(finding_type="l4_deny", dst_ip=lab.SHORT, dst_port=LONG[2], fqdn="short.example.org")

    # -- An audit group

    def test_audit_never_drops(self):
        for source, address, resolver in ((lab.WATCHED, lab.SHORT, lab.RESOLVER),
                                          (lab.WATCHED6, lab.SHORT6, lab.RESOLVER6)):
            self.assertEqual(self.lab.connect(address, 80, source=source), "open", address)
            answer = self.lab.dig("ads.example.com", "A", "-b", source, "@" + resolver)
            self.assertEqual(answer.addresses, [lab.WEB], answer)
            found = self.finding(finding_type="l4_deny", source_group="watched", dst_ip=address, dst_port=80)
            self.assertEqual((found["audit"], found["reason"]), (True, "group_default"))
            self.finding(finding_type="dns_deny", source_group="watched", hostname="ads.example.com", audit=True)
        # What the watched group may learn opens nothing for the other.
        self.assertEqual(self.cached("ads.example.com").count(lab.PARTNER), 0)

    # -- Direction

    def test_nothing_is_opened_from_outside(self):
        for client, server in ((lab.CLIENT, lab.FILES), (lab.CLIENT6, lab.FILES6)):
            self.listen(client, 7000, "client")
            inward = self.lab.socket("server", family_of(client))
            inward.bind((server, 0))
            inward.settimeout(NEVER_SEEN)
            with self.lab.capture("client") as near, self.lab.capture() as far:
                self.assertRaises(TimeoutError, inward.connect, (client, 7000))
                datagram = self.lab.socket("server", family_of(client), socket.SOCK_DGRAM)
                datagram.bind((server, 0))
                datagram.sendto(b"hello", (client, 7001))
                self.assertEqual(self.lab.run("ping", "-n", "-c", "1", "-W", "1", "-I", server, client,
                                              part="server").returncode, 1)
                near.expect_none(lambda frame, src=server: not frame.outgoing and frame.src == src, "an outsider")
                far.expect_none(lambda frame, src=client: not frame.outgoing and frame.src == src, "an answer", 0)
            for port in (7000, 7001):
                self.finding(finding_type="l4_deny", dst_ip=client, dst_port=port, reason="outside")

    def test_an_error_of_the_server_reaches_who_caused_it(self):
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.datagram_error(address, ONE_WAY), errno.ECONNREFUSED, address)

    def test_only_errors_about_a_flow_pass(self):
        near_port = 41000
        flow = self.datagrams(lab.FILES, ECHO, near_port)
        flow.send(b"hello")
        self.assertEqual(flow.recv(100), b"hello")

        def error(kind, code, dst, inner_sport):
            quote = frames.udp(lab.CLIENT, lab.FILES, inner_sport, ECHO, b"hello")[:28]
            message = struct.pack("!BBHI", kind, code, 0, 0) + quote
            message = message[:2] + struct.pack("!H", frames.checksum(message)) + message[4:]
            return frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, frames.ip(lab.GATEWAY, dst, frames.ICMP, message))

        def is_error(kind):
            return lambda frame: (not frame.outgoing and frame.protocol == frames.ICMP and frame.src == lab.GATEWAY and
                                  frame.payload[0] == kind)

        with self.lab.capture("client") as near:
            self.lab.sender("server").send(
                error(3, 1, lab.CLIENT, near_port + 1), # about no flow
                error(3, 1, lab.WATCHED, near_port),    # to somebody else
                error(5, 1, lab.CLIENT, near_port),     # a redirect
                error(11, 0, lab.CLIENT, near_port))    # what traceroute waits for
            near.expect(is_error(11), "the time exceeded of the flow")
            near.expect_none(is_error(3), "an unrelated error")
            near.expect_none(is_error(5), "a redirect", 0)
        self.finding(finding_type="icmp_deny", dst_ip=lab.CLIENT, reason="unrelated")

    # -- Many denied packets

    @unittest.skipUnless(shutil.which("nmap"), "nmap is not installed")
    def test_a_scan_disturbs_nobody(self):
        near, far = self.connected(lab.FILES, LONG[0])
        self.assert_talks(near, far)
        with self.lab.capture() as there:
            scan = self.lab.run("nmap", "-sS", "-n", "-Pn", "-T4", "-p", "10000-10999", lab.FILES)
            self.assertIn("1 host up", scan.stdout, scan.stderr)
            self.assert_talks(near, far)
            there.expect_none(lambda frame: not frame.outgoing and 10000 <= (frame.dport or 0) < 11000, "a probe", 0)
        self.assertNotIn("/tcp open", re.sub(" +", " ", scan.stdout))

    def test_refusals_to_one_client_are_limited(self):
        near, far = self.connected(lab.FILES, LONG[0])
        scan = [frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, frames.tcp(lab.CLIENT, lab.FILES, 42000, port))
                for port in range(20000, 23000)]
        time.sleep(1) # no refusal is owed from before
        unreplied = self.lab.counter("policyd_port_unreplied_total")
        with self.lab.capture("client") as here:
            began = time.monotonic()
            self.lab.sender().send(*scan)
            self.assert_talks(near, far)
            here.expect(lambda frame: not frame.outgoing and frame.flags == frames.RST | frames.ACK, "a refusal", 100)
            here.expect_none(lambda frame: frame.protocol == frames.ICMP)
            took = time.monotonic() - began
            refusals = here.matching(lambda frame: not frame.outgoing and frame.sport and frame.sport >= 20000)
        self.assertLessEqual(len(refusals), 100 + 100 * took)
        self.assertGreater(self.lab.counter("policyd_port_unreplied_total"), unreplied)
        self.assert_talks(near, far)

    # -- Live

    def test_a_flow_is_seen_live(self):
        self.lab.dig("www.example.com")
        with Stream(self.lab, "?kind=flow&kind=update&kind=deny&kind=dns") as stream:
            self.assertEqual(self.lab.curl("https://www.example.com/", "-4").outcome, "200")
            opened = stream.expect("flow", dst_ip=lab.WEB, dst_port=443)
            self.assertEqual((opened["src_ip"], opened["proto"]), (lab.CLIENT, 6))
            self.assertEqual(opened["hostname"], "www.example.com")
            decided = stream.expect("flow_update", dst_ip=lab.WEB, dst_port=443, verdict="allow")
            self.assertEqual((decided["group"], decided["rule"], decided["sni"]), ("clients", "web", "www.example.com"))
            stream.expect("dns", hostname="www.example.com")
            self.lab.connect(lab.PARTNER, 80)
            stream.expect("deny", dst_ip=lab.PARTNER, dst_port=80, reason="group_default")
            self.dig("ads.example.com")
            stream.expect("deny", hostname="ads.example.com")


class Silent:
    """dataplane.deny: drop. Nobody is told, but DNS has its answer all the same."""

    config = CONFIG + "  deny: drop\n"

    def test_a_denial_is_silent(self):
        with self.lab.capture("client") as near:
            for address in (lab.FILES, lab.FILES6):
                self.assertEqual(self.lab.connect(address, 8080, seconds=NEVER_SEEN), "no answer", address)
                self.assertEqual(self.lab.udp(address, 8080, seconds=NEVER_SEEN), "no answer", address)
                self.assertEqual(self.lab.connect(address, 80), "open", address)
            near.expect_none(lambda frame: not frame.outgoing and (frame.flags or 0) & frames.RST, "a reset", 0)
        for address in (lab.FILES, lab.FILES6):
            self.finding(finding_type="l4_deny", dst_ip=address, dst_port=8080, proto=6, reason="group_default")

    def test_a_denied_query_is_answered_all_the_same(self):
        self.assertEqual(self.dig("ads.example.com")[:2], ("NXDOMAIN", 15))

    def test_a_cut_is_silent(self):
        near, far = self.connected(lab.PARTNER, SNI_PORT)
        near.sendall(b"GET / HTTP/1.1\r\n\r\n")
        for end in (near, far):
            end.settimeout(NEVER_SEEN)
            self.assertRaises(TimeoutError, end.recv, 100)


class Enforced:
    """dataplane.sni_check: enforce. Under a rule with a hostname the server name has to be one of the address."""

    config = CONFIG + "  sni_check: enforce\n"

    def test_a_server_name_is_one_of_the_address(self):
        for address, kind in ((lab.WEB, "A"), (lab.WEB6, "AAAA")):
            self.lab.dig("www.example.com", kind)
            to = f"::{in_url(address)}"
            self.assertEqual(self.lab.curl("https://www.example.com/", "--connect-to", to).outcome, "200", address)
            fetch = self.lab.curl("https://tenant.example.net/", "-k", "--connect-to", to)
            self.assertEqual(fetch.outcome, "reset", address)
            self.assertLess(fetch.seconds, AT_ONCE)
            found = self.finding(finding_type="tls_deny", dst_ip=address, dst_port=443, sni="tenant.example.net")
            self.assertEqual((found["reason"], found["names"]), ("sni_mismatch", ["www.example.com"]))
            self.assertEqual(self.lab.curl("http://www.example.com/", "--connect-to", to).outcome, "200", address)


class OneWorker(OnTheWire, PolicyTest):
    workers = 1


class FourWorkers(OnTheWire, PolicyTest):
    workers = 4


class SilentOneWorker(Silent, PolicyTest):
    workers = 1


class SilentFourWorkers(Silent, PolicyTest):
    workers = 4


class EnforcedOneWorker(Enforced, PolicyTest):
    workers = 1


class EnforcedFourWorkers(Enforced, PolicyTest):
    workers = 4


if __name__ == "__main__":
    lab.main()
