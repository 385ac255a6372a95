#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/embedding.md, compiled as a reader would and compared with the output that is printed there.

A block "```c NAME.c" is a part of the program NAME, in order; a block "```text NAME" is what the program prints. The
indented lines up to the second program are the commands of the first one, run here as they stand.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/support"))
import counted # pylint: disable=wrong-import-position
from vendor import Vendor # pylint: disable=wrong-import-position

PAGE = os.path.join(TOP, "docs/embedding.md")


def blocks(page, heading):
    return re.findall(rf"^```{heading}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


class Embedding(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vendor = Vendor(os.environ["BUILD"], os.environ["CC"], os.environ["SANITIZE"])
        cls.addClassCleanup(cls.vendor.close)
        with open(PAGE, encoding="utf-8") as file:
            cls.page = file.read()

    def program(self, name):
        source = self.vendor.path(name + ".c")
        with open(source, "w", encoding="utf-8") as file:
            file.write("\n".join(blocks(self.page, rf"c {name}\.c")))
        return self.vendor.compile(source, options=self.vendor.leak_options())

    def prints_what_the_page_says(self, name):
        done = subprocess.run([self.program(name)], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(blocks(self.page, f"text {name}"), [done.stdout])

    def test_the_first_link(self):
        self.prints_what_the_page_says("first")

    def test_the_gateway(self):
        self.prints_what_the_page_says("gateway")

    def test_the_hand_over(self):
        self.prints_what_the_page_says("handover")

    def commands(self):
        """Those before and behind the program of the first link."""
        begin = self.page.partition("```text first")[0]
        parts = re.split(r"^```c first.*?^```$", begin, maxsplit=1, flags=re.MULTILINE | re.DOTALL)
        return ["\n".join(re.findall(r"^    (\S.*)$", part, re.MULTILINE)) for part in parts]

    def test_the_commands_of_the_first_link(self):
        install, compiling = self.commands()
        with tempfile.TemporaryDirectory() as home:
            shutil.copytree(TOP, os.path.join(home, "tree"),
                            ignore=shutil.ignore_patterns("build", ".git", "corpus", "__pycache__"))
            with open(os.path.join(home, "first.c"), "w", encoding="utf-8") as file:
                file.write("\n".join(blocks(self.page, r"c first\.c")))
            done = subprocess.run(["bash", "-ec", f"{{ cd tree\n{install}\ncd ..\n}} >log\n{compiling}"], cwd=home,
                                  env={"HOME": home, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                                  capture_output=True, text=True, timeout=280, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(blocks(self.page, "text first"), [done.stdout])

    def test_every_block_belongs_to_a_program_that_is_tried(self):
        headings = set(re.findall(r"^```(\S.*)$", self.page, re.MULTILINE))
        self.assertEqual(headings, {f"{kind} {name}{end}" for name in ("first", "gateway", "handover")
                                    for kind, end in (("c", ".c"), ("text", ""))})

    def test_every_link_leads_to_a_file(self):
        for target in re.findall(r"\]\(([^)#:]+)\)", self.page):
            self.assertTrue(os.path.exists(os.path.join(TOP, "docs", target)), target)


if __name__ == "__main__":
    counted.main()
