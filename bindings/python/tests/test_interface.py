# SPDX-License-Identifier: Apache-2.0
"""The declarations, the library that is loaded, and the types that are promised."""
import ctypes
import enum
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import libpolicy
from libpolicy import _abi
from libpolicy._native import lib

HERE = pathlib.Path(__file__).resolve().parent
BINDING = HERE.parent


def compiler():
    found = shutil.which(os.environ.get("POLICY_CC", "cc"))
    if not found:
        pytest.skip("no C compiler")
    return found


def run_python(program, **environment):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=False, env={**os.environ, **environment})


def test_declarations_are_what_the_headers_say(top):
    build = os.environ.get("POLICY_BUILD")
    if not build:
        pytest.skip("POLICY_BUILD does not name a build, where version.h is")
    done = subprocess.run(
        [sys.executable, BINDING / "generate", "--check", "--cc", compiler(), "--include",
         top / "libpolicy/include", "--include", pathlib.Path(build, "libpolicy/include"),
         BINDING / "libpolicy/_abi.py"], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_struct_is_known_to_the_library_with_its_size():
    for kind, (size, _offsets) in _abi.LAYOUT.items():
        assert lib.pol_abi_size(kind.__name__.encode()) == size == ctypes.sizeof(kind)


def test_every_function_of_the_library_is_declared(top):
    exported = [line for line in (top / "tests/abi/exports.txt").read_text().splitlines()
                if line.startswith("pol_")]
    assert sorted(_abi.SIGNATURES) == sorted(exported)


@pytest.mark.parametrize("kind, function", [
    (libpolicy.Action, "pol_action_word"), (libpolicy.Reason, "pol_reason_word"),
    (libpolicy.Control, "pol_control_word"), (libpolicy.FindingType, "pol_finding_word")])
def test_words_are_those_of_the_library(kind, function):
    for member in kind:
        assert libpolicy.word(member) == getattr(lib, function)(int(member)).decode()


def test_every_status_has_its_own_exception():
    from libpolicy.errors import BY_STATUS
    codes = [status for status in libpolicy.Status if status < 0]
    assert sorted(BY_STATUS) == sorted(codes)
    assert len(set(BY_STATUS.values())) == len(codes)
    for status in codes:
        assert issubclass(BY_STATUS[status], libpolicy.PolError)
        with pytest.raises(BY_STATUS[status]) as caught:
            libpolicy.errors.check(status, "place")
        assert caught.value.status is status
        assert str(caught.value) == "place: " + lib.pol_status_text(status).decode()


def test_a_number_of_a_newer_library_is_no_error():
    from libpolicy._values import known
    stranger = known(libpolicy.Reason, 999)
    assert stranger == 999 and isinstance(stranger, libpolicy.Reason)
    assert libpolicy.word(stranger) == "unknown_999"


def test_a_missing_library_is_named():
    done = run_python("import libpolicy", LIBPOLICY_LIBRARY="/nowhere/libpolicy.so.0")
    assert done.returncode == 1
    assert "ImportError: libpolicy cannot be loaded: /nowhere/libpolicy.so.0" in done.stderr


def other_library(tmp_path, source):
    path, text = tmp_path / "other.so", tmp_path / "other.c"
    text.write_text(source)
    subprocess.run([compiler(), "-shared", "-fPIC", "-o", path, text], check=True)
    return str(path)


def test_a_library_without_our_functions_is_refused(tmp_path):
    path = other_library(tmp_path, 'const char *pol_version(void) { return "0.0.7"; }')
    done = run_python("import libpolicy", LIBPOLICY_LIBRARY=path)
    assert done.returncode == 1
    assert f"is made for libpolicy {_abi.POL_VERSION_TEXT} and does not fit {path}, which is 0.0.7" \
        in done.stderr


def test_a_library_with_other_structs_is_refused(tmp_path):
    functions = "".join(f"void {name}(void) {{}}\n" for name in _abi.SIGNATURES
                        if name not in ("pol_abi_size", "pol_version"))
    path = other_library(tmp_path, functions + '''
#include <string.h>
const char *pol_version(void) { return "9.8.7"; }
unsigned long pol_abi_size(const char *name) { return strcmp(name, "pol_verdict") ? 8 : 72; }
''')
    done = run_python("import libpolicy", LIBPOLICY_LIBRARY=path)
    assert done.returncode == 1
    assert f"{path}, which is 9.8.7" in done.stderr
    size = ctypes.sizeof(_abi.pol_packet)
    assert f"pol_packet has 8 octets there and {size} here" in done.stderr


def test_everything_public_is_named_and_documented():
    for name in libpolicy.__all__:
        value = getattr(libpolicy, name)
        if isinstance(value, type) and not issubclass(value, (enum.Enum, Exception)):
            assert value.__doc__, name


def mypy(*arguments):
    if not shutil.which("mypy"):
        pytest.skip("mypy is not installed")
    return subprocess.run(["mypy", "--strict", "--no-error-summary", "--cache-dir", os.devnull,
                           *map(str, arguments)], capture_output=True, text=True, check=False,
                          env={**os.environ, "MYPYPATH": str(BINDING)})


def test_the_package_and_a_program_that_uses_it_have_complete_types():
    done = mypy(BINDING / "libpolicy", HERE / "usage.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_with_wrong_types_is_found_out(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text('import libpolicy\nlibpolicy.Worker().decide("packet", now=0)\n'
                     'print(libpolicy.Policy("{}").groups[0].name)\n')
    done = mypy(wrong)
    assert done.returncode == 1
    assert re.search('incompatible type "str"; expected ".*Packet', done.stdout)
    assert '"Group" has no attribute "name"' in done.stdout
