# SPDX-License-Identifier: Apache-2.0
"""A machine of somebody who has only what `cmake --install` installs: it compiles programs as a vendor would."""
import os
import shlex
import shutil
import subprocess
import tempfile


class Vendor:
    """The library, installed from BUILD under a prefix of its own. Programs are compiled once."""

    def __init__(self, build, compiler, sanitize=""):
        self.compiler, self.sanitize = shlex.split(compiler), sanitize
        self.leaks = "-fsanitize=" + (sanitize or "address,undefined")
        self.directory = tempfile.mkdtemp(prefix="vendor-")
        self.programs = {}
        self.check("cmake", "--install", build, "--prefix", self.path("prefix"))
        for directory, _, files in os.walk(self.path("prefix")):
            if "libpolicy.pc" in files:
                self.pkgconfig = directory

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    @staticmethod
    def check(*command, **options):
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **options)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def flags(self, *packages):
        search = self.pkgconfig + ":" + os.environ.get("PKG_CONFIG_PATH", "")
        return self.check("pkg-config", "--cflags", "--libs", *packages,
                          env={**os.environ, "PKG_CONFIG_PATH": search.rstrip(":")}).split()

    def compile(self, source, *packages, options=()):
        key = (source, tuple(options))
        if key not in self.programs:
            self.programs[key] = self.path(f"program{len(self.programs)}")
            options = [*([f"-fsanitize={self.sanitize}"] if self.sanitize else []), *options]
            self.check(*self.compiler, "-O1", "-g", "-Wall", "-Wextra", "-Werror", *options, "-o", self.programs[key],
                       source, *self.flags("libpolicy", *packages), "-Wl,-rpath," + os.path.dirname(self.pkgconfig))
        return self.programs[key]

    def leak_options(self):
        """What to compile with so that a leak fails the program; nothing where leaks are not found."""
        source = self.path("leak.c")
        with open(source, "w", encoding="ascii") as file:
            file.write("#include <stdlib.h>\nvoid *volatile p;\n"
                       "int main(void) { p = malloc(7); p = NULL; return 0; }\n")
        try:
            program = self.compile(source, options=[self.leaks])
        except AssertionError:
            return []
        done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
        return [self.leaks] if "7 byte(s) leaked" in done.stderr else []
