#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules that ask for the server's certificate, between a real curl and a real nginx: TLS 1.2 that shows it, TLS 1.3 that
hides it, a session resumed, a chain of another authority, and anchors from the configuration."""
import os
import ssl
import subprocess
import tempfile
import unittest

import lab

PORT = 443
NAME = "www.example.com"
SOLE, STAR = "^www\\.example\\.com$", "^\\*\\.example\\.com$"


def policy(anchors=None, **conditions):
    tls = dict(conditions, **({"trust_anchors_pem": [anchors]} if anchors else {}))
    return {"default_policy": "deny", "source_groups": [
        {"id": "clients", "mode": "enforce", "sources": {"ips": [lab.CLIENT, lab.CLIENT6]}, "default_action": "deny",
         "rules": [{"id": "cert", "action": "allow", "match": {"proto": "tcp", "dst_ports": [PORT], "tls": tls}}]}]}


def read(*path):
    with open(os.path.join(*path), encoding="ascii") as file:
        return file.read()


def stranger(directory):
    """The certificate of an authority with the name that the lab's has."""
    out = os.path.join(directory, "stranger.pem")
    shown = subprocess.run(["openssl", "x509", "-in", os.path.join(directory, "ca.pem"), "-noout", "-subject", "-nameopt",
                            "multiline"], capture_output=True, text=True, check=True).stdout
    name = shown.rsplit("= ", 1)[1].strip()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "30", "-subj", "/CN=" + name, "-keyout", os.devnull, "-out", out], capture_output=True, check=True)
    return read(out)


class Certificates(lab.LabTest):
    """What a rule says of a certificate decides whether curl gets its page."""

    @classmethod
    def prepare(cls):
        cls.ca = read(cls.lab.directory, "ca.pem")

    def fetch(self, *options, address=lab.WEB):
        where = f"{NAME}:{PORT}:[{address}]" if ":" in address else f"{NAME}:{PORT}:{address}"
        return self.lab.curl(f"https://{NAME}/", "--resolve", where, *options)

    def use(self, *arguments, **conditions):
        self.lab.put_policy(policy(*arguments, **conditions))

    def reasons(self):
        """Of what was found, a finding being known by group and name: the reasons of the newest denial."""
        return {item["reason"] for item in self.lab.get("/api/v1/audit/findings?limit=100").json()["items"]}

    def test_a_name_in_the_certificate_opens_the_connection(self):
        self.use(self.ca, server_san=STAR)
        for address in (lab.WEB, lab.WEB6):
            with self.subTest(address=address):
                got = self.fetch("--tls-max", "1.2", address=address)
                self.assertEqual(got.outcome, "200")
                self.assertIn(NAME, got.body)

    def test_the_fingerprint_is_the_one_openssl_prints(self):
        shown = subprocess.run(["openssl", "x509", "-in", os.path.join(self.lab.directory, "example.com.pem"), "-noout",
                                "-fingerprint", "-sha256"], capture_output=True, text=True, check=True).stdout
        self.use(self.ca, fingerprint_sha256=[shown.split("=", 1)[1].strip()])
        self.assertEqual(self.fetch("--tls-max", "1.2").outcome, "200")
        self.use(self.ca, fingerprint_sha256=["00" * 32])
        self.assertEqual(self.fetch("--tls-max", "1.2").outcome, "reset")

    def test_another_name_does_not(self):
        self.use(self.ca, server_san=SOLE)
        self.assertEqual(self.fetch("--tls-max", "1.2").outcome, "reset")
        self.assertIn("group_default", self.reasons())

    def test_a_chain_of_another_authority_is_denied(self):
        self.use(stranger(self.lab.directory), server_san=STAR)
        self.assertEqual(self.fetch("--tls-max", "1.2").outcome, "reset")
        self.assertIn("certificate_untrusted", self.reasons())

    def test_tls13_hides_it(self):
        self.use(self.ca, server_san=STAR)
        self.assertEqual(self.fetch("--tlsv1.3").outcome, "reset")
        self.assertIn("certificate_hidden", self.reasons())
        self.use(self.ca, server_san=STAR, tls13_uninspectable="allow")
        self.assertEqual(self.fetch("--tlsv1.3").outcome, "200")

    def test_a_resumed_session_shows_none(self):
        context = ssl.create_default_context(cafile=os.path.join(self.lab.directory, "ca.pem"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.use(self.ca, server_san=STAR)
        first = self.lab.connect(lab.WEB, PORT, keep=True)
        with context.wrap_socket(first, server_hostname=NAME) as secure:
            secure.sendall(f"GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
            self.assertIn(b"200", secure.recv(4096))
            session = secure.session
        second = self.lab.connect(lab.WEB, PORT, keep=True)
        with self.assertRaises(OSError), second:
            context.wrap_socket(second, server_hostname=NAME, session=session)
        self.assertIn("certificate_missing", self.reasons())

    def test_a_reload_judges_an_open_connection_by_the_certificate_it_saw(self):
        context = ssl.create_default_context(cafile=os.path.join(self.lab.directory, "ca.pem"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.use(self.ca, server_san=STAR)
        plain = self.lab.connect(lab.WEB, PORT, keep=True)
        with context.wrap_socket(plain, server_hostname=NAME) as secure:
            self.use(self.ca, server_cn=STAR)
            secure.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            self.assertIn(b"200", secure.recv(4096))
            self.use(self.ca, server_cn=SOLE)
            with self.assertRaises(OSError):
                secure.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
                if not secure.recv(4096):
                    raise OSError("ended")


class Anchors(unittest.TestCase):
    """Rules without anchors of their own believe those of the configuration."""

    def test_the_configured_file_counts(self):
        with tempfile.TemporaryDirectory() as directory:
            config = os.path.join(directory, "policyd.yaml")
            made = lab.Lab(policy(server_san=STAR), flags=["--config", config], start=False)
            with open(config, "w", encoding="ascii") as file:
                file.write(f"version: 1\ntls:\n  trust_anchors: {made.directory}/ca.pem\n")
            with made:
                made.policyd.start()
                made.ready()
                got = made.curl(f"https://{NAME}/", "--resolve", f"{NAME}:{PORT}:{lab.WEB}", "--tls-max", "1.2")
                self.assertEqual(got.outcome, "200")


    def test_a_configured_file_that_is_not_there_is_an_error(self):
        with tempfile.TemporaryDirectory() as directory:
            config = os.path.join(directory, "policyd.yaml")
            with open(config, "w", encoding="ascii") as file:
                file.write("version: 1\ntls: {trust_anchors: /nonexistent/anchors.pem}\n")
            with lab.Lab(policy(server_san=STAR), flags=["--config", config], start=False) as made:
                with self.assertRaisesRegex(AssertionError, "tls.trust_anchors: /nonexistent/anchors.pem: No such file"):
                    made.policyd.start()


if __name__ == "__main__":
    lab.main("curl", "openssl")
