# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin, in a pytest of its own."""
import json
import os
import pathlib
import subprocess
import sys
import tomllib

import pytest

from libpolicy import Packet, Policy, Worker
from libpolicy.coverage import Coverage

BINDING = pathlib.Path(__file__).resolve().parent.parent
POLICY = """
from libpolicy import Policy
from libpolicy.testing import assert_allows, assert_denies

policy = Policy({"source_groups": [
    {"id": "office", "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/24"]}, "rules": [
        {"id": "web", "action": "allow", "match": {"dst_ports": [443]}},
        {"id": "mail", "action": "deny", "match": {"dst_ports": [25]}}],
     "default_action": "deny"}]})
"""
WEB = "def test_web():\n    assert_allows(policy, '10.0.0.5', '192.0.2.9', 443)\n"
SSH = "def test_ssh():\n    assert_denies(policy, '10.0.0.5', '192.0.2.9', 22)\n"
MAIL = "def test_mail():\n    assert_denies(policy, '10.0.0.5', '192.0.2.9', 25)\n"
OTHER = "def test_other():\n    assert_denies(policy, '10.0.9.5', '192.0.2.9', 25)\n"
WRONG = "def test_wrong():\n    assert_denies(policy, '10.0.0.5', '192.0.2.9', 443)\n"
SCENARIO = """# A name
# decisions 3
policy <<END
{"default_policy": "allow"}
END
tcp 10.0.0.5:1 > 192.0.2.1:443 SYN expect allow
tcp 10.0.0.5:2 > 192.0.2.1:443 SYN expect allow flows=7
"""


def run(directory, *arguments):
    """Runs pytest there; its output and exit code."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
               "-p", "libpolicy.pytest_plugin", *arguments]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode == pytest.ExitCode.USAGE_ERROR:
        return done.stderr, done.returncode
    assert not done.stderr
    return done.stdout, done.returncode


@pytest.fixture(name="tests")
def write_tests(tmp_path):
    def write(*tests):
        (tmp_path / "test_policy.py").write_text(POLICY + "\n\n".join(tests), encoding="utf-8")
        return tmp_path
    return write


def test_without_an_option_nothing_is_reported(tests):
    output, code = run(tests(WEB))
    assert code == 0
    assert "coverage" not in output


def test_the_summary_names_what_was_never_decided(tests):
    output, code = run(tests(WEB, SSH), "--policy-coverage")
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert code == 0
    for line in ("office/web (allow) 1", "office/mail (deny) never",
                 "office: default_action (deny) 1", "default_policy (deny) never",
                 "2 of 4 decided something", "policy coverage 50.0 %"):
        assert line in lines


def test_json_names_the_tests(tests):
    path = tests(WEB, SSH)
    assert run(path, "--policy-coverage=found.json")[1] == 0
    found = json.loads((path / "found.json").read_text(encoding="utf-8"))
    items = found["policies"][0]["items"]
    assert found["percent"] == 50.0
    assert items[0] == {"group": "office", "rule": "web", "action": "allow", "hits": 1,
                        "tests": ["test_policy.py::test_web"]}
    assert [item["hits"] for item in items] == [1, 0, 1, 0]
    assert (items[2]["rule"], items[3]["group"]) == (None, None)


def test_no_test_is_taken_for_the_file_to_write(tests):
    path = tests(WEB) / "test_policy.py"
    before = path.read_text(encoding="utf-8")
    output, code = run(path.parent, "--policy-coverage", "test_policy.py")
    assert path.read_text(encoding="utf-8") == before
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "--policy-coverage test_policy.py: the name of the file to write ends in" in output


def test_a_file_that_cannot_be_written_fails_the_run(tests):
    output, code = run(tests(WEB), "--policy-coverage=no/such.json")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "FAILED: cannot write no/such.json: No such file or directory" in output
    assert "policy coverage 25.0 %" in output and "1 passed" in output


def test_several_processes_are_refused(tests):
    directory = tests(WEB)
    (directory / "conftest.py").write_text( # what pytest-xdist adds
        "def pytest_addoption(parser):\n    parser.addoption('--dist', default='no')\n",
        encoding="utf-8")
    output, code = run(directory, "--policy-coverage-min=1", "--dist=load")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "--policy-coverage counts in one process: run pytest without -n" in output
    assert run(directory, "--dist=load")[1] == 0


def test_too_little_fails_a_run_that_passed(tests):
    output, code = run(tests(WEB, SSH), "--policy-coverage-min=50.1")
    assert code == 1
    assert "FAILED: less than 50.1 %" in output
    assert run(tests(WEB, SSH), "--policy-coverage-min=50")[1] == 0
    assert run(tests(WEB, SSH, MAIL, OTHER), "--policy-coverage-min=100")[1] == 0


def test_a_run_that_tests_no_policy_has_covered_nothing(tests):
    assert run(tests("def test_nothing():\n    pass\n"), "--policy-coverage-min=1")[1] == 1


def test_a_plugin_that_is_installed_may_be_named_too(tests, monkeypatch):
    directory = tests(WEB)
    project = tomllib.loads((BINDING / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = directory / "site/libpolicy-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Name: libpolicy\nVersion: 0\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text("[pytest11]\n" + "".join(
        f"{name} = {module}\n" for name, module in project["entry-points"]["pytest11"].items()),
        encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{directory}/site{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    output, code = run(directory, "--policy-coverage")
    assert (code, "1 passed" in output) == (0, True), output


def test_a_failure_shows_the_line_of_the_test_and_the_reason(tests):
    output, code = run(tests(WRONG))
    assert code == 1
    assert ">       assert_denies(policy, '10.0.0.5', '192.0.2.9', 443)" in output
    assert "expected deny, came allow" in output
    assert "testing.py" not in output


def test_scenario_files_are_tests(tests):
    directory = tests(WEB)
    (directory / "story.scn").write_text(SCENARIO, encoding="utf-8")
    (directory / "scene.scn").write_text("another format\n", encoding="utf-8")
    output, code = run(directory, "--policy-coverage")
    assert code == 1
    assert "story.scn:7: tcp 10.0.0.5:2 > 192.0.2.1:443 SYN expect allow flows=7" in output
    assert "    expected flows=7\n    came allow opened" in output
    assert "1 failed, 1 passed" in output
    assert "default_policy (allow)      2" in output
    assert "Traceback" not in output


def test_a_scenario_with_a_mistake_says_where(tests):
    directory = tests(WEB)
    (directory / "story.scn").write_text(SCENARIO + "knock expect allow\n", encoding="utf-8")
    (directory / "named.scn").write_text("another format\n", encoding="utf-8")
    output, code = run(directory, "story.scn", "named.scn")
    assert code == 1
    assert 'story.scn:8: unknown verb "knock"' in output
    assert "named.scn:1: the first line is not" in output


def test_the_player_reports_coverage_too(tmp_path):
    path, found = tmp_path / "story.scn", tmp_path / "found.json"
    path.write_text(SCENARIO.replace("flows=7", "flows=2"), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "libpolicy.scenario", "--coverage",
                           "--coverage-json", found, path], capture_output=True, text=True,
                          timeout=60, check=True)
    assert done.stdout.splitlines()[-2:] == ["policy coverage 100.0 %", "1 passed, 0 failed"]
    policies = json.loads(found.read_text(encoding="utf-8"))["policies"]
    assert policies[0]["items"][0]["tests"] == ["story.scn"]


def test_verdicts_of_a_worker_of_ones_own_can_be_counted():
    policy = Policy({"default_policy": "allow"})
    counted = Coverage()
    assert counted.percent == 0
    worker = Worker(policy)
    packet = Packet(src="10.0.0.5", dst="192.0.2.9", sport=1, dport=2)
    counted.met(policy)
    assert (counted.percent, len(counted.met(policy).never)) == (0, 1)
    with counted.test("one"), counted.test("two"):
        counted.decided(policy, worker.decide(packet, 0))
    counted.decided(Policy({"default_policy": "allow"}), worker.decide(packet, 0))
    assert counted.percent == 100
    assert [tally.tests for tally in counted.met(policy).items.values()] == [["two"]]
    assert len(counted.policies) == 1


def test_malformed_packets_and_waiting_flows_cover_nothing(policy):
    worker, counted = Worker(policy), Coverage()
    counted.decided(policy, worker.decide(Packet.parse(b"\0" * 12), 0))
    assert counted.percent == 0
