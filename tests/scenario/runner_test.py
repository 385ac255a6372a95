#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests a runner itself: what it must refuse, and what it says when an expectation fails.

    runner_test.py COMMAND...     scenario_runner, or python3 -m libpolicy.scenario
"""
import pathlib
import re
import subprocess
import sys
import tempfile

HEAD = "# A title\n# decisions 3\n"
OPEN = HEAD + 'policy <<END\n{"default_policy": "allow"}\nEND\n'
SYN = "t=1s tcp 10.0.0.5:1 > 192.0.2.1:443 SYN"
README = (pathlib.Path(__file__).resolve().parent / "README.md").read_text(encoding="utf-8")

# What is proved, the scenario, and what the output must say; None where the scenario must pass.
CASES = [
    ("a scenario that holds passes", OPEN + f"{SYN} expect allow opened !audit rule=- flows=1\n", None),
    ("the example of the README", re.search(r"^```\n(# .*?)^```$", README, re.MULTILINE | re.DOTALL)[1], None),
    ("times and comments", OPEN + "t=250ms tick # nothing\nt=0.5s tick\nt=1m tick\n", None),
    ("no title", "policy x\n", ":1: the first line"),
    ("no paragraph", "# A title\n", ":2: no line names"),
    ("a verb that is not known", OPEN + "knock expect allow\n", ':6: unknown verb "knock"'),
    ("a packet without expectation", OPEN + f"{SYN}\n", ':6: tcp needs an "expect"'),
    ("an empty expectation", OPEN + f"{SYN} expect\n", ":6: nothing is written"),
    ("an option that is not known", HEAD + "option speed=9\n", ':3: unknown word "speed=9"'),
    ("an option that comes too late", OPEN + "option sni_check=off\n", ":6: options come before"),
    ("a packet word that is not known", OPEN + f"{SYN} sped=9 expect allow\n", ':6: unknown word "sped=9"'),
    ("a value that makes no sense", OPEN + f"{SYN} ttl=900 expect allow\n", ':6: "900" is no ttl'),
    ("an expectation that is not known", OPEN + f"{SYN} expect allow colour=red\n", "cannot be expected here colour=red"),
    ("a flag that is not known", OPEN + f"{SYN} expect alow\n", "cannot be expected here alow"),
    ("time that goes back", OPEN + "t=2s tick\nt=1s tick\n", ":7: time goes back"),
    ("a clock of one step goes back", OPEN + "t=2s tick\nt=3s clock=1s tick\nt=3s tick\n", None),
    ("time that goes back behind a clock", OPEN + "t=2s tick\nclock=9s tick\nt=1s tick\n", ":8: time goes back"),
    ("a clock that is no time", OPEN + "clock=soon tick\n", ':6: "soon" is no time'),
    ("a clock without a step", OPEN + "t=2s\nclock=1s\n", ':7: unknown verb ""'),
    ("a document without end", HEAD + "policy <<END\n{}\n", ':3: no line "END"'),
    ("a text without end", OPEN + 'udp 10.0.0.5:1 > 192.0.2.1:9 "x expect allow\n', ":6: a quoted text"),
    ("a rejected document", HEAD + "policy <<END\n{\nEND\n", ":3: the document was rejected"),
    ("two families", OPEN + "udp 10.0.0.5:1 > [2001:db8::1]:9 expect allow\n", "are no two ends"),
    ("a name that is none", OPEN + "dns 10.0.0.5 A a..b expect allow\n", ':6: "a..b" is no name'),
    ("an answer to nothing", OPEN + "answer a.b A 192.0.2.1 expect allow\n", ":6: there is no query"),
    ("a port that is missing", OPEN + "tcp 10.0.0.5 > 192.0.2.1:9 SYN expect allow\n", "a port is missing"),
    ("a frame of no kind", OPEN + "ether ip > expect allow\n", ':6: "ip" is no kind of frame'),
    ("a frame without a side", OPEN + "ether arp expect allow\n", ":6: > or < is missing"),
    ("a report that says nothing", OPEN + "group 10.0.0.5 > 239.1.1.1 stay expect allow\n", ':6: "stay" is not join'),
    ("a version of the other family", OPEN + "group fe80::5 > ff15::1 join version=3 expect allow\n", "no such version"),
    ("a DHCP message of no kind", OPEN + "dhcp 0.0.0.0 > 255.255.255.255 ask expect allow\n", ':6: "ask" is no kind'),
    ("DHCP in IPv6", OPEN + "dhcp fe80::5 > ff02::1:2 discover expect allow\n", ':6: "discover" is no kind'),
    ("DHCPv6 in IPv4", OPEN + "dhcp6 10.0.0.5 > 192.0.2.1 solicit expect allow\n", ':6: "solicit" is no kind'),
    ("a server that is no address", OPEN + "dhcp 0.0.0.0 > 255.255.255.255 discover server=x expect allow\n", "no IPv4 address"),
    ("a kind of control that is not known", HEAD + "option control=ipx:drop\n", ":3: "),
    ("a treatment that is not known", HEAD + "option control=arp:lose\n", ":3: "),
    ("ARP left to the rules", HEAD + "option control=arp:judge\ntick\n", ":4: these options make no worker"),
    ("a wrong action", OPEN + f"{SYN} expect deny\n", "expected deny"),
    ("what came instead", OPEN + f"{SYN} expect deny\n", "came allow opened"),
    ("a wrong value", OPEN + f"{SYN} expect allow flows=2\n", "expected flows=2"),
    ("a flag that is absent", OPEN + f"{SYN} expect allow audit\n", "expected audit"),
    ("a flag that is there", OPEN + f"{SYN} expect allow !opened\n", "expected !opened"),
    ("an event that did not come", OPEN + f"{SYN} expect allow event=dns\n", "expected event=dns"),
]


def fault_of(runner, text, wanted):
    """What is wrong with the runner's answer to this scenario, or None."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "case.scn"
        path.write_text(text, encoding="utf-8")
        done = subprocess.run([*runner, str(path)], capture_output=True, text=True, timeout=60, check=False)
    summary = "1 passed, 0 failed" if wanted is None else "0 passed, 1 failed"
    if done.stderr or done.returncode != (wanted is not None) or not done.stdout.endswith(summary + "\n"):
        return f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    return None if wanted is None or wanted in done.stdout else f'"{wanted}" is not in: {done.stdout}'


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    failed = 0
    for what, text, wanted in CASES:
        fault = fault_of(arguments, text, wanted)
        failed += fault is not None
        if fault is not None:
            print(f"not ok - {what}: {fault}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
