# SPDX-License-Identifier: Apache-2.0
"""The Python player against the one in C: the same of every step of every scenario."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from libpolicy.scenario import Script, ScriptError, World, failure, play, read
from libpolicy.scenario.dnsmsg import encode_name
from libpolicy.scenario.frames import TCP, Frame
from libpolicy.scenario.hello import hello
from libpolicy.scenario.words import address

TOP = pathlib.Path(__file__).resolve().parents[3]
FILES = sorted((TOP / "tests" / "scenario").glob("*.scn"))
PLAYER = [sys.executable, "-m", "libpolicy.scenario"]
HEAD = "# A title\n# decisions 3\n"


@pytest.fixture(name="runner", scope="module")
def find_runner():
    runner = pathlib.Path(os.environ.get("POLICY_BUILD", "")) / "tests/scenario/scenario_runner"
    if not runner.is_file():
        pytest.skip("POLICY_BUILD names no build with scenario_runner")
    return str(runner)


def begin(command):
    return subprocess.Popen([*command, "--trace", *map(str, FILES)], stdout=subprocess.PIPE,
                            text=True, encoding="utf-8", errors="surrogateescape")


def traced(player):
    """By file: every step that was played, and the line that says how it ended."""
    output, _ = player.communicate(timeout=250)
    rows, found = [], {}
    for line in output.splitlines():
        rows.append(json.loads(line) if line.startswith("{") else line)
        if line.startswith(("ok - ", "not ok - ")):
            found[line.split(" - ")[1].partition(":")[0]] = rows
            rows = []
    return found


@pytest.fixture(name="traces", scope="module")
def play_all(runner):
    with begin([runner]) as theirs, begin(PLAYER) as ours:
        return traced(theirs), traced(ours)


@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_both_players_see_the_same_in_every_step(traces, name):
    theirs, ours = (each[name] for each in traces)
    assert theirs[-1].startswith("ok - ")
    for there, here in zip(theirs, ours):
        assert here == there
    assert len(ours) == len(theirs)


def test_what_the_runner_must_refuse_the_player_refuses_too():
    test = TOP / "tests/scenario/runner_test.py"
    done = subprocess.run([sys.executable, str(test), *PLAYER], capture_output=True, text=True,
                          timeout=250, check=False)
    assert done.stdout.endswith(" passed, 0 failed\n"), done.stdout + done.stderr


def test_all_scenarios_are_listed_alike(runner):
    listed = [subprocess.run([*command, "--list", *map(str, FILES)], capture_output=True,
                             timeout=60, check=True).stdout for command in ([runner], PLAYER)]
    assert listed[0] == listed[1]


def test_a_failure_names_file_line_and_what_came(tmp_path):
    path = tmp_path / "wrong.scn"
    path.write_text(HEAD + 'policy <<END\n{"default_policy": "allow"}\nEND\n'
                    "tcp 10.0.0.5:1 > 192.0.2.1:443 SYN expect deny flows=1\n")
    script = Script(str(path))
    read(script)
    world = World(script)
    lines = [line for played in play(script, world) for line in failure(script, played)]
    world.close()
    assert lines[0].startswith(f"{path}:6: tcp 10.0.0.5:1")
    assert lines[1] == "    expected deny"
    assert lines[2].startswith("    came allow opened")


def test_a_mistake_stops_the_player_at_its_line(tmp_path):
    path = tmp_path / "wrong.scn"
    path.write_text(HEAD + "policy <<END\n{}\nEND\ntick\nknock expect allow\n")
    script = Script(str(path))
    read(script)
    world = World(script)
    played = play(script, world)
    assert [next(played).step.line, next(played).step.line] == [3, 6]
    with pytest.raises(ScriptError) as caught:
        next(played)
    world.close()
    assert str(caught.value) == f'{path}:7: unknown verb "knock"'


def test_what_cannot_be_read_or_written_is_a_line(tmp_path):
    path, found = tmp_path / "wrong.scn", tmp_path / "none/found.json"
    path.write_text(HEAD + "policy a\0.json\n")
    done = subprocess.run([*PLAYER, "--coverage-json", found, path], capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{path}:3: " in done.stdout and "a\0.json cannot be read" in done.stdout
    assert f"cannot write {found}: No such file or directory" in done.stdout
    path.write_text(HEAD + "policy <<END\n{}\nEND\n")
    assert subprocess.run([*PLAYER, "--coverage-json", found, path], stdout=subprocess.DEVNULL,
                          timeout=60, check=False).returncode == 1


def test_octets_of_a_hello_are_as_long_as_asked():
    assert len(hello("a.example", message_len=700, records=3)) == 700 + 3 * 5
    with pytest.raises(ValueError):
        hello("a.example", message_len=40)


def test_a_name_becomes_labels():
    assert encode_name("a.b\\046c.") == b"\1a\3b.c\0"
    assert encode_name(".") == b"\0"


def test_a_frame_carries_a_correct_checksum():
    frame = Frame(address("10.0.0.5"), address("192.0.2.1"), TCP, 1, 2, b"odd").build()
    segment = frame[34:]
    pseudo = frame[26:34] + bytes((0, TCP)) + len(segment).to_bytes(2, "big")
    octets = pseudo + segment + b"\0"
    total = sum(int.from_bytes(octets[i:i + 2], "big") for i in range(0, len(octets) - 1, 2))
    assert total % 0xFFFF == 0
