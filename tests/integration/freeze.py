# SPDX-License-Identifier: Apache-2.0
"""Stops one thread of a process, found by its name, with ptrace(2), while the others go on."""
import contextlib
import ctypes
import os

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace: {os.strerror(error)}")


def thread_named(process, name):
    for entry in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{entry}/comm", encoding="ascii") as file:
            if file.read().strip() == name:
                return int(entry)
    raise AssertionError(f"process {process} has no thread {name}")


@contextlib.contextmanager
def frozen(process, name):
    """The thread stands still inside the with statement, which must begin and end in the same thread of ours."""
    thread = thread_named(process, name)
    ptrace(SEIZE, thread)
    try:
        ptrace(INTERRUPT, thread)
        os.waitpid(thread, WALL)
        yield
    finally:
        with contextlib.suppress(OSError): # it may have been killed meanwhile
            ptrace(DETACH, thread)
