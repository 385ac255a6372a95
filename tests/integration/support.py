# SPDX-License-Identifier: Apache-2.0
"""What the tests of policyd from outside share: starting it, asking it, making captures for it.

The programs under test are named by the environment: POLICYD, POLICYCTL. Only the standard library is used.
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/support"))
from counted import main # pylint: disable=wrong-import-position,unused-import

POLICYD = os.environ.get("POLICYD", os.path.join(TOP, "build/dev/daemon/policyd"))
POLICYCTL = os.environ.get("POLICYCTL", os.path.join(TOP, "build/dev/daemon/ctl/policyctl"))
SITE = os.path.join(TOP, "examples/site/site.pcapng")
SITE_POLICY = os.path.join(TOP, "examples/site/policy.json")
SITE_RESOLVERS = ["192.0.2.53", "2001:db8:53::53"]
TOKEN = "an-admin-token-for-tests-only"


def private(path, flags):
    return os.open(path, flags, 0o600)


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Policyd:
    """A policyd on a free port of this machine. Use it in a with statement."""

    def __init__(self, *arguments, state=None, wait="capture finished"):
        self.directory = tempfile.mkdtemp(prefix="policyd-test-")
        self.log_path = os.path.join(self.directory, "log")
        self.token_path = os.path.join(self.directory, "token")
        with open(self.token_path, "w", encoding="ascii", opener=private) as file:
            file.write(TOKEN + "\n")
        self.state = state or os.path.join(self.directory, "state")
        self.arguments = [POLICYD, "--http", "127.0.0.1:0", "--state", self.state,
                          "--admin-token-file", self.token_path, *arguments]
        self.process = None
        self.port = None
        self.wait = wait

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        with open(self.log_path, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(self.arguments, stderr=log, stdout=log)
        self.port = int(self.expect_log(r"\(port (\d+)\)", begin).group(1))
        if self.wait:
            self.expect_log(self.wait, begin)

    def log(self, begin=0):
        with open(self.log_path, "rb") as file:
            file.seek(begin)
            return file.read().decode()

    def expect_log(self, pattern, begin=0, seconds=20):
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.log(begin))
            if found:
                return found
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{pattern!r} did not appear in:\n{self.log(begin)}")
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds=10):
        """Sends SIGTERM; returns the exit code and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds), time.monotonic() - began

    def ask(self, method, path, body=None, token=TOKEN, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + token
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            connection.request(method, path, body, headers)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def put_policy(self, document, **options):
        return self.ask("PUT", "/api/v1/policy", body=document, **options)

    def raw(self, octets):
        """Sends octets as they are; returns everything that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(octets)
            answer = b""
            while True:
                piece = connection.recv(65536)
                if not piece:
                    return answer
                answer += piece


def run(*arguments, program=POLICYD, **options):
    """Runs a program to its end; returns exit code, standard output and standard error."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def ipv4(address):
    return socket.inet_aton(address)


def tcp_syn(src, dst, sport, dport):
    """An Ethernet frame with a TCP SYN."""
    tcp = struct.pack("!HHIIBBHHH", sport, dport, 1000, 0, 5 << 4, 2, 64240, 0, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, ipv4(src), ipv4(dst))
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + ip + tcp


def write_pcap(path, frames, link=1):
    """Writes frames as (seconds, octets)."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link))
        for seconds, octets in frames:
            file.write(struct.pack("<IIII", int(seconds), int(seconds % 1 * 1000000), len(octets), len(octets)))
            file.write(octets)


def policy(*rules, group="web", default_policy="deny", **more):
    return {"default_policy": default_policy,
            "source_groups": [{"id": group, "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/8"]},
                               "rules": list(rules), **more}]}


class TemporaryDirectory(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="policyd-test-")
        self.addCleanup(shutil.rmtree, self.directory, True)

    def path(self, name, content=None):
        path = os.path.join(self.directory, name)
        if content is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def capture(self, name="capture.pcap", frames=None):
        path = self.path(name)
        write_pcap(path, frames or [(100, tcp_syn("10.0.0.1", "203.0.113.1", 40000, 443))])
        return path
