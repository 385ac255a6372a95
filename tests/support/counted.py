# SPDX-License-Identifier: Apache-2.0
"""How a Python test program ends: with the line that tests/run counts."""
import sys
import unittest


def main():
    """Runs the tests of the calling program."""
    result = unittest.main(exit=False, verbosity=2).result
    bad = len(result.failures) + len(result.errors)
    for test, reason in result.skipped:
        print(f"SKIP {test}: {reason}")
    print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(1 if bad else 0)
