#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the IPv6 twin of every IPv4 scenario and plays it: IPv6 is equal to IPv4 (decisions 3).

    twin.py RUNNER DIRECTORY FILE.scn...   writes the twins into DIRECTORY and plays them
    twin.py --show FILE.scn                prints one twin

A twin is the same story with other addresses, so everything that is expected must come just the
same. A scenario without IPv4 has none. One that cannot have any is named in NO_TWIN, with the
reason; a name there that could have a twin after all is a failure, and so is a scenario that can be
neither translated nor found there.
"""
from __future__ import annotations

import ipaddress
import pathlib
import re
import subprocess
import sys

NO_TWIN = {
    "answer-https-hints.scn": "hints of both families in one record",
    "answer-own-addresses.scn": "an own IPv4 address behind NAT64",
    "attack-icmpquote.scn": "both families are in it",
    "attack-synackforged.scn": "a raw frame of each family is in it",
    "capacity-dhcp.scn": "DHCPv4; DHCPv6 has no requests to remember",
    "control-frames.scn": "frames without IP",
    "control-one-port.scn": "DHCPv4 and router advertisements; both families are in it",
    "dhcp-lease-and-renewal.scn": "DHCPv4 has leases that open unicast; dhcpv6.scn",
    "dhcp-relay.scn": "DHCPv4; DHCPv6 passes on the link only, dhcpv6.scn",
    "dhcp-rogue-server.scn": "DHCPv4; dhcpv6.scn",
    "dhcp-set.scn": "DHCPv4 and DHCPv6 are set apart in it",
    "dhcp-unasked-answers.scn": "DHCPv4; dhcpv6.scn",
    "document-icmp-and-ports.scn": "what icmp and icmpv6 differ in",
    "document-warnings-groups.scn": "both families are in it",
    "document-warnings-icmp.scn": "what icmp and icmpv6 differ in",
    "fragments-ipv6-options.scn": "raw frames: IPv4 has no headers behind that of a fragment",
    "fragments-short-first.scn": "raw frames of both families",
    "frames-malformed.scn": "raw frames of both families",
    "multicast-iptv.scn": "IGMP and MLD are in it",
    "multicast-reports-set.scn": "IGMP and MLD are in it",
}

ADDRESS = r"\d{1,3}(?:\.\d{1,3}){3}"
# An address, a prefix or an end; not a part of a name or of an address in mixed notation.
LITERAL = re.compile(rf"(?<![\w.:\\-])({ADDRESS})(/\d+)?(?::(\d+))?(?![\w.\\-])")
STEP = re.compile(r"^(\s*(?:t=\S+\s+)?(?:clock=\S+\s+)?)([a-z0-9-]+)\b(.*)$", re.S)
DOCUMENT = re.compile(r"(?:^|\s)<<(\S+)")

# Where the addresses of an IPv4 block go, the first that fits: (block, the 96 bits in front, the
# bits to turn over behind them). Turning bits over keeps prefixes; special blocks stay special and
# groups stay groups. 192.0.2.53 becomes 2001:db8::53, so that the trusted resolver is one again.
BLOCKS = [
    (ipaddress.ip_network(block), int(ipaddress.IPv6Address(front)), turned)
    for block, front, turned in [
        ("0.0.0.0/32", "::", 0),
        ("127.0.0.1/32", "::", 0x7f000001 ^ 1),
        ("255.255.255.255/32", "ff02::", 0xffffffff ^ 1),
        ("224.0.0.0/24", "ff02::", 0),
        ("224.0.0.0/4", "ff15::", 0),
        ("169.254.0.0/16", "fe80::", 0),
        ("10.0.0.0/8", "fd00::", 0),
        ("100.64.0.0/10", "fd00::", 0),
        ("172.16.0.0/12", "fd00::", 0),
        ("192.168.0.0/16", "fd00::", 0),
        ("0.0.0.0/8", "fd00::", 0),
        ("127.0.0.0/8", "fd00::", 0),
        ("240.0.0.0/4", "fd00::", 0),
        ("0.0.0.0/0", "2001:db8::", 0xc0000235 ^ 0x53),
    ]
]

# What ICMPv6 has in the place of an ICMP type (RFC 4443). Timestamps and router discovery have a
# counterpart only in being some other query and its answer: those of node information and home
# agents (RFC 4620, RFC 6275).
ICMP_TYPES = {0: [129], 3: [1, 2], 5: [137], 8: [128], 9: [145], 10: [144], 11: [3], 13: [139]}


class NoTwin(Exception):
    """What the twin cannot say."""


def translate_address(text: str) -> str:
    address = ipaddress.IPv4Address(text)
    front, turned = next((front, turned) for block, front, turned in BLOCKS if address in block)
    return str(ipaddress.IPv6Address(front | int(address) ^ turned))


def translate_prefix(text: str, length: int) -> str:
    """Zeros behind the prefix stay zeros, and what is refused stays so."""
    if length == 0:
        return "::/0"
    twin = f"{translate_address(text)}/{96 + length}"
    host_bits = 0 if length > 32 else int(ipaddress.IPv4Address(text)) & (1 << 32 - length) - 1
    if length > 32 or host_bits:
        return twin
    return str(ipaddress.IPv6Network(twin, strict=False))


def translate_literal(found: re.Match[str]) -> str:
    address, length, port = found.groups()
    if length is not None:
        return translate_prefix(address, int(length[1:]))
    return f"[{translate_address(address)}]:{port}" if port else translate_address(address)


def translate_addresses(text: str) -> str:
    return LITERAL.sub(translate_literal, text)


def swap_families(text: str) -> str:
    swapped = {"IPv4": "IPv6", "IPv6": "IPv4"}
    return re.sub(r"IPv[46]", lambda found: swapped[found.group()], text)


# Documents.

def translate_types(found: re.Match[str]) -> str:
    types = [int(number) for number in re.findall(r"\d+", found.group(2))]
    if not set(types) <= ICMP_TYPES.keys():
        raise NoTwin(f"ICMPv6 has no types like {types}")
    translated = [number for old in types for number in ICMP_TYPES[old]]
    return f'{found.group(1)}[{", ".join(map(str, translated))}]'


def translate_icmp(found: re.Match[str]) -> str:
    """A rule with ICMP types and without a protocol is for IPv4."""
    match = re.sub(r'"proto": "any"(, )?', "", found.group())
    if "icmpv6" in match:
        return match
    match = re.sub(r'("icmp_types": )(\[[\d, ]+\])', translate_types, match)
    if '"icmp_' in match and '"proto"' not in match:
        match = match.replace("{", '{"proto": "icmpv6", ', 1)
    return match.replace('"proto": "icmp"', '"proto": "icmpv6"')


def translate_document(text: str) -> str:
    text = re.sub(r'\{[^{}]*"icmp[^{}]*\}', translate_icmp, text)
    text = re.sub(r'("proto": )("1"|1)\b', r'\1"58"', text)
    return translate_addresses(text)


# Steps.

def translate_kind(words: str) -> str:
    """The first TYPE/CODE of an icmp step; words like echo-request are of both families."""
    def kind(found: re.Match[str]) -> str:
        number, code = int(found.group(1)), found.group(2)
        if number not in ICMP_TYPES:
            raise NoTwin(f"ICMPv6 has no type like {number}")
        return f" {ICMP_TYPES[number][0]}/{code}"
    return re.sub(r" (\d+)/(\d+)", kind, words, count=1)


def swap_type(found: re.Match[str]) -> str:
    return found.group(1) + ("AAAA" if found.group(2) == "A" else "A") + found.group(3)


def link_local(found: re.Match[str]) -> str:
    """MLD comes from a link-local address (RFC 3810 5)."""
    return str(ipaddress.IPv6Address(0xfe80 << 112 | int(ipaddress.IPv4Address(found.group()))))


def translate_types_of_records(words: str) -> str:
    """A is for AAAA and AAAA for A, unless an IPv6 address follows."""
    if " question=" in words and " qtype=" not in words:
        words = " qtype=A" + words
    words = re.sub(r"(\s|qtype=)(A|AAAA)(\s+)(?!\S*:\S*:)", swap_type, words)
    return re.sub(r"\bipv4=", "ipv6=", words)


def swap_number_of_type(found: re.Match[str]) -> str:
    return "qtype=" + {"1": "28", "28": "1"}.get(found.group(1), found.group(1))


def translate_diagnostic(found: re.Match[str]) -> str:
    """Columns move with the length of addresses: the text is expected, and its place is not."""
    severity, code_and_pointer, text = found.groups()
    return f'{severity}="{code_and_pointer} "' + (f' text="{text}"' if text else "")


def translate_expected(words: str) -> str:
    words = re.sub(r'(error|warning)="(\w+ \S*) \d+:\d+ ?([^"]*)"', translate_diagnostic, words)
    words = re.sub(r"\bqtype=(\d+)", swap_number_of_type, words)
    return swap_families(words)


def translate_step(line: str) -> str:
    found = STEP.match(line)
    if not found or line.lstrip().startswith("#"):
        return line
    before, verb, rest = found.groups()
    if not LITERAL.search(rest) and verb in ("group", "icmp", "dns", "wire-dns"):
        return line
    words, expect, expected = rest.partition(" expect ")
    if verb in ("frame", "dhcp"):
        raise NoTwin(f"{verb} is of IPv4")
    if verb == "group":
        words = re.sub(rf"(?<=^ )({ADDRESS})(?= >)|(?<=< )({ADDRESS})", link_local, words)
    if verb == "icmp":
        words = translate_kind(words)
    if verb == "proto":
        words = re.sub(r"^( +)1\b", r"\g<1>58", words)
    if verb in ("dns", "wire-dns", "answer"):
        words = translate_types_of_records(words)
    if verb == "finding":
        words = re.sub(r"\btype=8/0", "type=128/0", words)
        expected = re.sub(r"\btype=8/0", "type=128/0", expected)
    return before + verb + translate_addresses(words + expect + translate_expected(expected))


def translate(text: str) -> str:
    """The twin of a scenario; the same text when there is nothing of IPv4 in it."""
    title, newline, body = text.partition("\n")
    lines, document, end = [title + ", over IPv6"], [], None
    for line in body.split("\n"):
        if end is None:
            lines.append(translate_step(line))
            found = DOCUMENT.search(line.partition(" expect ")[0])
            end = found.group(1) if found and not line.lstrip().startswith("#") else None
        elif line == end:
            lines += [translate_document("\n".join(document)), line] if document else [line]
            document, end = [], None
        else:
            document.append(line)
    twin = "\n".join(lines[1:])
    check_addresses(body)
    return text if twin == body else lines[0] + newline + twin


def check_addresses(text: str) -> None:
    """No address that was IPv6 before may be taken for a translated one."""
    present = set(re.findall(r"[0-9a-f:]{4,}", text))
    for found in LITERAL.finditer(text):
        twin = translate_address(found.group(1))
        if twin in present:
            raise NoTwin(f"{twin} has two meanings")


# Playing.

def play(runner: str, paths: list[pathlib.Path]) -> tuple[int, str]:
    done = subprocess.run([runner, *map(str, paths)], capture_output=True, text=True, timeout=300,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def write_twin(path: pathlib.Path, directory: pathlib.Path) -> pathlib.Path | None:
    """None for a scenario that has nothing of IPv4."""
    text = path.read_text(encoding="utf-8")
    twin = translate(text)
    if twin == text:
        return None
    written = directory / path.name
    written.write_text(twin, encoding="utf-8")
    return written


def sort_out(runner: str, directory: pathlib.Path,
             paths: list[pathlib.Path]) -> tuple[list[pathlib.Path], list[str]]:
    """The twins to play, and what is wrong with NO_TWIN."""
    lost = NO_TWIN.keys() - {path.name for path in paths}
    faults = [f"{name}: listed in NO_TWIN, and no scenario" for name in sorted(lost)]
    twins = []
    for path in paths:
        try:
            twin = write_twin(path, directory)
        except NoTwin as why:
            if path.name not in NO_TWIN:
                faults.append(f"{path.name}: {why}; list it in NO_TWIN with the reason")
            continue
        if path.name not in NO_TWIN:
            twins += [twin] if twin else []
        elif twin is None or play(runner, [twin])[0] == 0:
            faults.append(f"{path.name}: listed in NO_TWIN, and can have a twin")
    return twins, faults


def main(arguments: list[str]) -> None:
    if len(arguments) == 2 and arguments[0] == "--show":
        print(translate(pathlib.Path(arguments[1]).read_text(encoding="utf-8")), end="")
        return
    if len(arguments) < 3:
        sys.exit(__doc__)
    directory = pathlib.Path(arguments[1])
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.scn"):
        old.unlink()
    paths = [pathlib.Path(path) for path in arguments[2:]]
    twins, faults = sort_out(arguments[0], directory, paths)
    code, output = play(arguments[0], twins)
    passed = re.findall(r"^ok - ", output, re.M)
    print(re.sub(r"\d+ passed, \d+ failed\n$", "", output), end="")
    for fault in faults:
        print(f"not ok - {fault}")
    failed = len(faults) + len(twins) - len(passed)
    print(f"{len(passed)} passed, {failed} failed")
    sys.exit(1 if failed or code else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
