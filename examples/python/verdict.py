#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One policy, one packet, one verdict, and why.

    verdict.py POLICY SRC DST PORT [NAME]     verdict.py site.json 10.0.0.5 192.0.2.10 443

With NAME the client has just been told by DNS that DST is the address of NAME.
"""
import sys

from libpolicy import Grant, GrantKind, Grants, Packet, Policy, PolicyError, Worker, seconds


def verdict(path, src, dst, port, name=None):
    policy = Policy.load(path)
    with Grants() as grants, Worker(policy, grants) as worker:
        for group in policy.groups if name else ():
            grants.restore(Grant(group_key=group.key, addr=dst, name=name, kind=GrantKind.ALLOWED,
                                 ttl=60, learned=0, answered=0, used=0, expires=seconds(60)), now=0)
        packet = Packet(src=src, dst=dst, proto="tcp", sport=40000, dport=int(port))
        return policy.explain(worker.decide(packet, now=seconds(1)))


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    try:
        print(verdict(*sys.argv[1:]))
    except PolicyError as error:
        sys.exit(f"{sys.argv[1]}:\n{error}")
    except (OSError, ValueError) as error:
        sys.exit(f"verdict.py: {error}")
