#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The small services of the site that need no package: NTP, a UDP collector, SMTP and an SSH greeting.

`services.py serve` runs them all. `services.py ntp HOST` and `services.py report HOST PORT` are
the clients of the two UDP services; each sends one request and waits two seconds for the answer.
"""

import argparse
import asyncio
import socket
import struct
import sys
import time

NTP_EPOCH = 2208988800  # seconds from 1900 to 1970
NTP_ADDRESSES = ("203.0.113.123", "2001:db8:100::123")
COLLECTOR_ADDRESSES = ("203.0.113.50", "2001:db8:100::50")
COLLECTOR_PORT = 5514
SMTP_ADDRESS = "203.0.113.25"
SSH_ADDRESS = "203.0.113.22"


def ntp_time(seconds):
    seconds += NTP_EPOCH
    whole = int(seconds)
    return struct.pack("!II", whole & 0xFFFFFFFF, int((seconds - whole) * 2**32))


class Ntp(asyncio.DatagramProtocol):
    """Answers mode 3 with mode 4, stratum 2 (RFC 5905 7.3)."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if len(data) < 48 or data[0] & 7 != 3:
            return
        now = ntp_time(time.time())
        head = struct.pack("!BBbbII4s", 0x24, 2, 6, -20, 0x100, 0x200, bytes((192, 0, 2, 123)))
        self.transport.sendto(head + now + data[40:48] + now + now, address)


class Collector(asyncio.DatagramProtocol):
    """Takes a line and says how long it was."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(b"taken %d octets\n" % len(data), address)


async def smtp(reader, writer):
    """Takes one mail at a time and forgets it (RFC 5321, the least of it)."""
    writer.write(b"220 mail.example.com ESMTP\r\n")
    while line := await reader.readline():
        verb = line.split(None, 1)[0].upper() if line.strip() else b""
        if verb == b"EHLO":
            writer.write(b"250-mail.example.com\r\n250 8BITMIME\r\n")
        elif verb == b"DATA":
            writer.write(b"354 end with a dot\r\n")
            while (line := await reader.readline()) not in (b".\r\n", b""):
                pass
            writer.write(b"250 2.0.0 taken\r\n")
        elif verb == b"QUIT":
            writer.write(b"221 2.0.0 bye\r\n")
            break
        elif verb in (b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP"):
            writer.write(b"250 2.0.0 ok\r\n")
        else:
            writer.write(b"502 5.5.1 not known here\r\n")
    writer.close()


async def ssh(reader, writer):
    """Exchanges the identification strings of RFC 4253 4.2 and hangs up."""
    writer.write(b"SSH-2.0-site\r\n")
    await reader.readline()
    writer.close()


async def serve():
    loop = asyncio.get_running_loop()
    for address in NTP_ADDRESSES:
        await loop.create_datagram_endpoint(Ntp, local_addr=(address, 123))
    for address in COLLECTOR_ADDRESSES:
        await loop.create_datagram_endpoint(Collector, local_addr=(address, COLLECTOR_PORT))
    await asyncio.start_server(smtp, SMTP_ADDRESS, 25)
    await asyncio.start_server(ssh, SSH_ADDRESS, 22)
    await asyncio.Event().wait()


def ask(host, port, request):
    """Sends one datagram to the first address of the host and returns the answer."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as client:
        client.settimeout(2)
        client.connect(address)
        client.send(request)
        return client.recv(2048)


def main():
    parser = argparse.ArgumentParser(description="Small services of the recorded site, and their clients.")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("serve", help="run all services until ended")
    ntp = actions.add_parser("ntp", help="ask a host for the time")
    ntp.add_argument("host")
    report = actions.add_parser("report", help="send a line to a UDP collector")
    report.add_argument("host")
    report.add_argument("port", type=int)
    arguments = parser.parse_args()

    try:
        if arguments.action == "serve":
            asyncio.run(serve())
        elif arguments.action == "ntp":
            answer = ask(arguments.host, 123, b"\x23" + bytes(39) + ntp_time(time.time()))
            print(f"stratum {answer[1]}")
        else:
            answer = ask(arguments.host, arguments.port, b"<134>1 - client site - - - door 7 opened\n")
            print(answer.decode().rstrip())
    except (OSError, socket.timeout) as error:
        print(f"{arguments.action}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
