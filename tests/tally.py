#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts tests, not programs: reads what test programs printed and says what passed, failed and was skipped.

    tally.py --junit FILE COUNTS            what "ctest --output-junit" wrote
    tally.py --output NAME CODE FILE COUNTS the output of one program and its exit code

COUNTS receives "PASSED FAILED SKIPPED". Printed: for each skipped test a line with the reason, for each program
with a failure its whole output. docs/testing.md describes what a program may print.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree

SKIPPED_CODE = 77
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
TAP_RESULT = re.compile(r"^(not ok|ok)\b[ \d]*-? ?(.*)$", re.M)
TAP_PLAN = re.compile(r"^1\.\.(\d+)$", re.M)
SKIP_LINE = re.compile(r"^SKIP (.+)$", re.M)


def count(output, succeeded):
    """Returns (passed, failed, skipped, names and reasons of the skipped) of one program."""
    skips = SKIP_LINE.findall(output)
    summaries = SUMMARY.findall(output)

    if output.lstrip().startswith("TAP version") or "\nTAP version" in output:
        passed = failed = skipped = 0
        for word, rest in TAP_RESULT.findall(output):
            if word == "not ok":
                failed += 1
            elif "# SKIP" in rest:
                skipped += 1
                skips.append(re.sub(r"\s*# SKIP\s*", ": ", rest).strip(": "))
            else:
                passed += 1
        plan = TAP_PLAN.search(output)
        if plan:
            # A runner that died leaves tests without a result.
            failed += max(0, int(plan.group(1)) - passed - failed - skipped)
    elif summaries:
        passed, failed, skipped = (int(number or 0) for number in summaries[-1])
    else:
        passed, failed, skipped = (1, 0, 0) if succeeded else (0, 1, 0)

    if not succeeded and failed == 0:
        failed = 1
    if succeeded and failed:
        print("exit code 0 in spite of failures:")
    return passed, failed, skipped, skips


def cases_of_junit(path):
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        skipped = case.find("skipped")
        failure = case.find("failure")
        if skipped is not None:
            why = SKIP_LINE.search(output)
            reason = why.group(1) if why else (skipped.get("message") or "no reason given")
            # ctest says "skipped" of programs that it could not start, too.
            if case.get("status") == "notrun" and "SKIP_RETURN_CODE" not in (skipped.get("message") or ""):
                yield name, output + "\nnot run: " + reason + "\n", "failed"
            else:
                yield name, reason, "skipped"
        elif failure is not None:
            yield name, f"{output or 'no output'}\nended after {float(case.get('time')):.1f} s\n", "failed"
        else:
            yield name, output, "passed"


def cases_of_output(name, code, path):
    with open(path, encoding="utf-8", errors="replace") as file:
        output = file.read()
    state = {0: "passed", SKIPPED_CODE: "skipped"}.get(code, "failed")
    if state == "skipped":
        why = SKIP_LINE.search(output)
        output = why.group(1) if why else "no reason given"
    elif state == "failed":
        output += f"\nexit code {code}\n"
    yield name, output, state


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "--junit":
        cases = cases_of_junit(arguments[1])
    elif len(arguments) == 5 and arguments[0] == "--output":
        cases = cases_of_output(arguments[1], int(arguments[2]), arguments[3])
    else:
        sys.exit(__doc__)

    total = [0, 0, 0]
    for name, output, state in cases:
        if state == "skipped":
            total[2] += 1
            print(f"      skipped {name}: {output}")
            continue
        passed, failed, skipped, skips = count(output, state == "passed")
        total = [total[0] + passed, total[1] + failed, total[2] + skipped]
        for skip in skips:
            print(f"      skipped {name}: {skip}")
        if failed:
            print(f"----- {name}: {passed} passed, {failed} failed")
            # A sanitizer may speak in the middle of a line that was still being written.
            print(re.sub(r"^ok (?!.*(?:runtime error|ERROR):).*\n", "", output, flags=re.M).strip("\n"))
            print("-----")

    with open(arguments[-1], "w", encoding="ascii") as file:
        file.write("{} {} {}\n".format(*total))


if __name__ == "__main__":
    main(sys.argv[1:])
