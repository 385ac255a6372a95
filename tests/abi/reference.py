#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API reference is built without a warning and leaves nothing out.

    reference.py DIRECTORY EXPORTS [DOXYGEN]     DIRECTORY holds the Doxyfile
"""
import glob
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/support"))
import counted # pylint: disable=wrong-import-position


def text(element, *parts):
    return "".join("".join(found.itertext()) for part in parts for found in element.findall(part)).strip()


class Reference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.done = subprocess.run([DOXYGEN, "Doxyfile"], cwd=DIRECTORY, capture_output=True, text=True, timeout=100,
                                  check=False)
        cls.compounds = [compound for path in glob.glob(os.path.join(DIRECTORY, "xml/*.xml"))
                         for compound in xml.parse(path).getroot().findall("compounddef")]

    def members(self, kind):
        return [member for compound in self.compounds for member in compound.iter("memberdef")
                if member.get("kind") == kind]

    def test_doxygen_has_nothing_to_say(self):
        self.assertEqual((self.done.stderr, self.done.returncode), ("", 0))

    def again(self, directory, change):
        """Another run, with changed settings: its exit status and messages."""
        with open(os.path.join(DIRECTORY, "Doxyfile"), encoding="utf-8") as file:
            settings = change(file.read())
        with open(os.path.join(directory, "Doxyfile"), "w", encoding="utf-8") as file:
            file.write(f'{settings}\nOUTPUT_DIRECTORY = "{directory}"\nGENERATE_HTML = NO\n')
        done = subprocess.run([DOXYGEN, "Doxyfile"], cwd=directory, capture_output=True, text=True, timeout=100,
                              check=False)
        return done.returncode, done.stderr

    def test_a_filter_that_fails_is_no_reference(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "latin.h")
            with open(path, "wb") as file:
                file.write(b"/* caf\xe9 */\n")
            status, said = self.again(directory, lambda settings: f'{settings}\nINPUT = "{path}"\n')
        self.assertNotEqual(status, 0)
        self.assertIn("UnicodeDecodeError", said)

    def test_it_is_made_where_a_path_has_a_space(self):
        with tempfile.TemporaryDirectory() as directory:
            tree = os.path.join(directory, "the tree")
            os.symlink(TOP, tree)
            self.assertEqual(self.again(directory, lambda settings: settings.replace(TOP, tree)), (0, ""))

    def test_every_function_is_there_and_explained(self):
        with open(EXPORTS, encoding="utf-8") as file:
            exported = {line.split("@")[0].split()[-1] for line in file if line.startswith("pol_")}
        explained = {text(member, "name") for member in self.members("function")
                     if text(member, "briefdescription", "detaileddescription")}
        self.assertTrue(exported)
        self.assertEqual(exported - explained, set())

    def test_every_enumerator_is_explained(self):
        values = [value for member in self.members("enum") for value in member.findall("enumvalue")]
        self.assertIn("POL_WHY_CERTIFICATE_MISSING", [text(value, "name") for value in values])
        self.assertEqual([text(value, "name") for value in values
                          if not text(value, "briefdescription", "detaileddescription")], [])

    def test_every_header_says_what_it_is_for(self):
        headers = {text(compound, "compoundname"): text(compound, "briefdescription", "detaileddescription")
                   for compound in self.compounds if compound.get("kind") == "file"}
        public = {os.path.basename(path) for path in glob.glob(os.path.join(TOP, "libpolicy/include/libpolicy/*.h"))}
        # The tour in policy.h is the main page.
        self.assertEqual({name for name in public - {"policy.h"} if not headers.get(name)}, set())

    def test_every_example_is_there(self):
        shown = {text(compound, "compoundname") for compound in self.compounds if compound.get("kind") == "example"}
        there = {os.path.basename(path) for path in glob.glob(os.path.join(TOP, "examples/*.c"))}
        self.assertEqual(there, shown)


if __name__ == "__main__":
    if len(sys.argv) < 4 or not sys.argv[3]:
        print("SKIP reference: doxygen is not installed")
        sys.exit(77)
    DIRECTORY, EXPORTS, DOXYGEN = sys.argv[1:]
    del sys.argv[1:]
    counted.main()
