#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the writer of IPv6 twins: that addresses keep their class, and what it must refuse.

    twin_test.py SCENARIO_RUNNER
"""
from __future__ import annotations

import ipaddress
import pathlib
import sys
import tempfile

import twin

HEAD = "# A title\n# decisions 3\n"

# Lines of a scenario and of its twin.
LINES = [
    ("t=1s  tcp 10.0.0.5:40000 > 192.0.2.53:53 SYN  expect allow",
     "t=1s  tcp [fd00::a00:5]:40000 > [2001:db8::53]:53 SYN  expect allow"),
    ("clock=1s icmp 10.0.0.5 > 198.51.100.7 8/1 id=1 expect deny",
     "clock=1s icmp fd00::a00:5 > 2001:db8::633:6661 128/1 id=1 expect deny"),
    ("dns 10.0.0.5 A 10.0.0.6.example expect allow",
     "dns fd00::a00:5 AAAA 10.0.0.6.example expect allow"),
    ("answer question=b.example b.example A 192.0.2.10 expect allow answers=192.0.2.10",
     "answer qtype=AAAA question=b.example b.example AAAA 2001:db8::6c expect allow "
     "answers=2001:db8::6c"),
    ("answer a.example AAAA 2001:db8:1::1 HTTPS . ipv4=192.0.2.10 expect allow",
     "answer a.example AAAA 2001:db8:1::1 HTTPS . ipv6=2001:db8::6c expect allow"),
    ("group 10.0.0.5 > 239.1.1.1 join expect allow",
     "group fe80::a00:5 > ff15::ef01:101 join expect allow"),
    ("group 239.1.1.1 < 192.0.2.1 query expect allow",
     "group ff15::ef01:101 < fe80::c000:201 query expect allow"),
    ("finding dns_deny expect found qtype=1", "finding dns_deny expect found qtype=28"),
    ('reload f expect accepted warning="ONE_FAMILY /a/0 1:67 only IPv4"',
     'reload f expect accepted warning="ONE_FAMILY /a/0 " text="only IPv6"'),
    ("policy <<END", "policy <<END"),
    ('{"match": {"dst_cidrs": ["192.0.2.0/25", "10.0.0.1/8"], "icmp_types": [3, 8]}}',
     '{"match": {"proto": "icmpv6", "dst_cidrs": ["2001:db8::/121", "fd00::a00:1/104"], '
     '"icmp_types": [1, 2, 128]}}'),
    ('{"match": {"proto": "icmpv6", "icmp_types": [1]}}',
     '{"match": {"proto": "icmpv6", "icmp_types": [1]}}'),
    ('["0.0.0.0/0", "192.0.2.0/33"]', '["::/0", "2001:db8::66/129"]'),
    ("END", "END"),
]

NONE = [
    ("a raw frame", "frame 0102 expect deny", "frame is of IPv4"),
    ("a type that ICMPv6 does not have", "icmp 10.0.0.5 > 192.0.2.1 17/0 expect deny",
     "no type like 17"),
    ("an address that is there in both meanings", "tick # 192.0.2.53 2001:db8::53", "two meanings"),
]

# The last octets before and after each border between what is special, a group and ordinary.
BORDERS = [
    "0.0.0.0", "0.0.0.1", "1.0.0.0", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0",
    "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0", "127.0.0.1", "127.0.0.2",
    "128.0.0.0", "169.253.255.255", "169.254.0.0", "169.255.0.0", "172.15.255.255", "172.16.0.0",
    "172.32.0.0",
    "192.0.2.53", "192.168.0.0", "192.169.0.0", "223.255.255.255", "224.0.0.0", "239.255.255.255",
    "240.0.0.0", "255.255.255.254", "255.255.255.255",
]

SPECIAL = [ipaddress.ip_network(block) for block in [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.168.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "fc00::/7", "ff00::/8",
]]


def is_special(text: str) -> bool:
    return any(ipaddress.ip_address(text) in block for block in SPECIAL)


def is_group(text: str) -> bool:
    return text == "255.255.255.255" or ipaddress.ip_address(text).is_multicast


def check_lines() -> list[str]:
    wanted = HEAD.replace("title", "title, over IPv6") + "\n".join(line for _, line in LINES)
    got = twin.translate(HEAD + "\n".join(line for line, _ in LINES))
    pairs = zip(got.split("\n"), wanted.split("\n"), strict=True)
    return [f"{line} instead of {right}" for line, right in pairs if line != right]


def check_addresses() -> list[str]:
    twins = {address: twin.translate_address(address) for address in BORDERS}
    faults = [f"{old} is {new}" for old, new in twins.items()
              if is_special(old) != is_special(new) or is_group(old) != is_group(new)]
    if len(set(twins.values())) < len(twins):
        faults.append("two addresses have one twin")
    return faults


def check_refusals() -> list[str]:
    faults = []
    for what, line, why in NONE:
        try:
            twin.translate(HEAD + line)
            faults.append(f"{what} has a twin")
        except twin.NoTwin as error:
            faults += [] if why in str(error) else [f"{what}: {error}"]
    return faults


def check_list(runner: str) -> list[str]:
    """What is listed without need, and what is not listed, are faults."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        files = {"frame.scn": HEAD + NONE[0][1], "listed.scn": HEAD + "t=0s tick # 10.0.0.5\n",
                 "none.scn": HEAD + "tick\n"}
        for file, text in files.items():
            (directory / file).write_text(text, encoding="utf-8")
        twin.NO_TWIN = {"listed.scn": "no reason", "lost.scn": "no file"}
        (directory / "twins").mkdir()
        twins, faults = twin.sort_out(runner, directory / "twins", sorted(directory.glob("*.scn")))
    names = [fault.split(":")[0] for fault in faults]
    right = not twins and names == ["lost.scn", "frame.scn", "listed.scn"]
    return [] if right else [f"wrong faults: {faults}, wrong twins: {twins}"]


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit(__doc__)
    checks = [check_lines(), check_addresses(), check_refusals(), check_list(arguments[0])]
    for fault in sum(checks, []):
        print(f"not ok - {fault}")
    failed = sum(bool(faults) for faults in checks)
    print(f"{len(checks) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
