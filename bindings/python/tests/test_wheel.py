# SPDX-License-Identifier: Apache-2.0
"""The wheel, as a new user takes it: built without the network, installed in a clean environment."""
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

BINDING = pathlib.Path(__file__).resolve().parent.parent

THREE_LINES = """
from libpolicy import Packet, Policy, Worker
worker = Worker(Policy({"default_policy": "allow"}))
print(worker.decide(Packet(src="10.0.0.5", dst="192.0.2.1", dport=443), now=0))
"""

UNIT_TEST = """
from libpolicy import Policy
from libpolicy.testing import assert_allows
def test_web(): assert_allows(Policy({"default_policy": "allow"}), "10.0.0.5", "a.example", 443)
"""


def clean_environment(**more):
    """Without what would let an installed package find this tree or another library."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("LIBPOLICY", "PYTHON", "PIP_", "LD_", "ASAN"))}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **more)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(name="wheel", scope="module")
def build_wheel(tmp_path_factory):
    library = os.environ.get("LIBPOLICY_LIBRARY")
    if not library:
        pytest.skip("LIBPOLICY_LIBRARY does not name the library to put into the wheel")
    for needed in ("pip", "setuptools", "wheel"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed (python3-{needed})")
    work = tmp_path_factory.mktemp("wheel")
    # A copy, since setuptools leaves its files beside the sources.
    shutil.copytree(BINDING, work / "source", ignore=shutil.ignore_patterns(
        "build", "*.egg-info", "__pycache__", "tests"))
    run(sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation",
        "--wheel-dir", work, work / "source", env=clean_environment(LIBPOLICY_LIBRARY=library))
    wheel, = work.glob("*.whl")
    return wheel


def test_a_wheel_has_the_library_and_the_types_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"libpolicy/libpolicy.so.0", "libpolicy/py.typed", "libpolicy/_abi.py",
            "libpolicy/__init__.py", "libpolicy/scenario/__main__.py"} <= names
    assert not [name for name in names if name.startswith("tests") or "/test_" in name]
    assert "-py3-none-linux_" in wheel.name


def test_a_wheel_installs_and_decides_in_a_clean_environment(wheel, tmp_path):
    if importlib.util.find_spec("ensurepip") is None:
        pytest.skip("venv is not installed (python3-venv)")
    if os.environ.get("LD_PRELOAD"):
        pytest.skip("a sanitizer's library needs its runtime in the environment")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--no-index", wheel, env=clean_environment())
    told = run(python, "-c", THREE_LINES, env=clean_environment(), cwd=tmp_path)
    assert told.strip() == "allow (no group decided)"
    where = run(python, "-c", "import libpolicy; print(libpolicy.__file__)",
                env=clean_environment(), cwd=tmp_path)
    assert where.startswith(str(tmp_path))
    packages, = (tmp_path / "venv").glob("lib/python*/site-packages")
    (tmp_path / "test_policy.py").write_text(UNIT_TEST)
    told = run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--policy-coverage",
               cwd=tmp_path, env=clean_environment(PYTHONPATH=str(packages)))
    assert "policy coverage 100.0 %" in told # the plugin was found without -p
