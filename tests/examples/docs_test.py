#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the pages say is so: documents compile, keys and warnings are all there, folders are on the map, links lead somewhere."""
import glob
import json
import os
import re
import subprocess
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/support"))
import counted # pylint: disable=wrong-import-position
from vendor import Vendor # pylint: disable=wrong-import-position


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def documents(page):
    return re.findall(r"^```json\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)


def keys_of(value):
    """Every key of a document."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


class PolicyLanguage(unittest.TestCase):
    page = "docs/policy-language.md"

    @classmethod
    def setUpClass(cls):
        cls.vendor = Vendor(os.environ["BUILD"], os.environ["CC"], os.environ["SANITIZE"])
        cls.addClassCleanup(cls.vendor.close)

    def test_every_document_compiles_without_a_warning(self):
        program = self.vendor.compile(os.path.join(TOP, "examples/diagnostics.c"))
        for page in (self.page, "bindings/python/README.md"):
            shown = documents(page)
            self.assertTrue(shown)
            for document in shown:
                path = self.vendor.path("policy.json")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(document)
                done = subprocess.run([program, path], capture_output=True, text=True, timeout=60, check=False)
                self.assertRegex(done.stdout, r"^accepted: \d+ groups, \d+ rules, 0 warnings\n$", document)

    def test_every_key_the_loader_knows_is_in_a_document(self):
        lists = re.findall(r"names\[\w*\] = \{(.*?)\};", read("libpolicy/src/policy/load_json.c"), re.DOTALL)
        known = {key for names in lists for key in re.findall(r'"(\w+)"', names)}
        shown = keys_of([json.loads(document) for document in documents(self.page)])
        self.assertIn("tls13_uninspectable", known)
        self.assertEqual(known - shown, set())

    def test_every_warning_is_in_the_table(self):
        codes = re.findall(r"XX\((\w+), (1\d\d),", read("libpolicy/include/libpolicy/compile.h"))
        rows = re.findall(r"^\| (\d+) `(\w+)` \|", read(self.page), re.MULTILINE)
        self.assertTrue(codes)
        self.assertEqual(rows, [(number, name) for name, number in codes])


class Pages(unittest.TestCase):
    def test_every_folder_is_on_the_map(self):
        listed = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], capture_output=True, text=True, check=False)
        if listed.returncode:
            self.skipTest("not a clone")
        folders = {os.path.dirname(name) for name in listed.stdout.split("\0")} - {""}
        rows = re.findall(r"^\| (`[^|]*) \| (.*) \|$", read("docs/architecture.md"), re.MULTILINE)
        known = set()
        for first, says in rows:
            for folder in re.findall(r"`([^`]+)/`", first):
                known |= {folder, *(f"{folder}/{name.rstrip('/')}" for name in re.findall(r"`([^`]+)`", says))}
        below = re.compile(r"tests/(unit/(lib|daemon)|fuzz/corpus|abi/consumers)/") # as their parent's row says
        self.assertEqual({folder for folder in folders if folder not in known and not below.match(folder + "/")}
                         - {"libpolicy", "tests"}, set())

    def test_every_link_leads_to_a_file(self):
        pages = [path for where in ("*.md", "*/*.md", "*/*/*.md") for path in glob.glob(os.path.join(TOP, where))]
        self.assertGreater(len(pages), 20)
        for page in pages:
            if os.path.relpath(page, TOP).startswith("build"):
                continue
            with open(page, encoding="utf-8") as file:
                prose = re.sub(r"^```.*?^```$", "", file.read(), flags=re.MULTILINE | re.DOTALL)
            for target in re.findall(r"\]\((?!https://)([^)#: ]+)[^) ]*\)", prose):
                self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), target)), f"{page}: {target}")


if __name__ == "__main__":
    counted.main()
