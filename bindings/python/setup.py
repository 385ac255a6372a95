# SPDX-License-Identifier: Apache-2.0
"""Makes a wheel with the library in it.

The library is the one that LIBPOLICY_LIBRARY names, or else it is built here with CMake, for which
this directory has to be where it is in the source tree.
"""
import os
import pathlib
import re
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError: # before setuptools 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = pathlib.Path(__file__).resolve().parent
SONAME = "libpolicy.so.0"


def version():
    text = (HERE / "libpolicy" / "_abi.py").read_text(encoding="utf-8")
    return re.search(r'^POL_VERSION_TEXT = "(.+)"$', text, re.M).group(1)


def build_library(work):
    subprocess.run(["cmake", "-S", HERE.parent.parent, "-B", work, "-DCMAKE_BUILD_TYPE=Release",
                    "-DPOLICY_BUILD_DAEMON=OFF", "-DPOLICY_BUILD_TESTS=OFF",
                    "-DPOLICY_BUILD_EXAMPLES=OFF"], check=True)
    subprocess.run(["cmake", "--build", work, "--target", "libpolicy", "--parallel"], check=True)
    return work / "libpolicy" / SONAME


class WithLibrary(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            return # the system's library, or LIBPOLICY_LIBRARY
        named = os.environ.get("LIBPOLICY_LIBRARY")
        library = pathlib.Path(named) if named else build_library(HERE / "build" / "library")
        shutil.copyfile(library, pathlib.Path(self.build_lib) / "libpolicy" / SONAME)


class PlatformWheel(bdist_wheel):
    """Any Python 3, but this machine's kind of library."""

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


class WithBinary(Distribution):
    """So that the package goes where libraries go; nothing is compiled against Python."""

    def has_ext_modules(self):
        return True


setup(version=version(), distclass=WithBinary,
      cmdclass={"build_py": WithLibrary, "bdist_wheel": PlatformWheel})
