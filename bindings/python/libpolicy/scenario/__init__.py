# SPDX-License-Identifier: Apache-2.0
"""Plays scenario files, as tests/scenario/README.md of the source tree describes them.

    script = Script("name-opens-its-addresses.scn")
    read(script)
    for played in play(script, World(script)):
        print(played.step.source, played.facts, played.faults)

    script.py    a file cut into steps and words        words.py     what words mean
    settings.py  option                                 policies.py  policy, reload
    packets.py   tcp, udp, icmp, proto, frame           control.py   ether, group, dhcp, dhcp6
    dns.py       dns, wire-dns, answer                  look.py      grant, names, finding, counter
    world.py     what a scenario plays in               facts.py     what came of a step
    frames.py, dnsmsg.py, hello.py                      octets: frames, DNS messages, ClientHellos

On the command line: python3 -m libpolicy.scenario FILE.scn...
"""
from .player import Played, failure, play
from .script import Script, ScriptError, Step, read
from .world import World

__all__ = ["Played", "Script", "ScriptError", "Step", "World", "failure", "play", "read"]
