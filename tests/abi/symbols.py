#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the library takes from outside and what it shows there.

    symbols.py imports LIST OBJECT...           undefined symbols of our objects against imports.txt
    symbols.py state OBJECT...                  our objects hold no writable data
    symbols.py exports LIST LIBRARY             symbols of libpolicy.so against exports.txt
    symbols.py archive LIST ARCHIVE             libpolicy.a is one object with the same symbols and no others
    symbols.py declared LIBRARY HEADER...       exported and declared in a public header are the same

"imports" and "exports" rewrite their list when called with --update in front.
"""
import re
import subprocess
import sys

# The library gets time, randomness and the log sink as arguments, and moves no packet itself. Listing one of these
# in imports.txt does not help.
NEVER = re.compile(
    r"(socket|connect|bind|listen|accept4?|send(to|msg|mmsg)?|recv(from|msg|mmsg)?|getaddrinfo|gethostby\w+"
    r"|open(at)?(64)?|creat|fopen(64)?|read|write|close|ioctl|mmap(64)?|stat|opendir"
    r"|pthread_\w+|thrd_\w+|mtx_\w+|cnd_\w+|fork|execv\w*|system|popen"
    r"|clock_gettime|gettimeofday|time|clock|nanosleep|usleep|sleep|localtime\w*|gmtime\w*"
    r"|getenv|secure_getenv|setlocale|rand|random|srand\w*|getrandom|getentropy"
    r"|printf|fprintf|puts|putchar|stdout|stderr|syslog|exit|_exit|abort)$")

# Made by the compiler or the linker, depending on options.
COMPILER = re.compile(r"(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__tls_get_addr)$")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def short(path):
    """net/addr.c of .../policy_objects.dir/src/net/addr.c.o"""
    return re.sub(r"^.*/src/|\.o$", "", path)


def read_list(path):
    with open(path, encoding="ascii") as file:
        return {line.split("#")[0].strip() for line in file} - {""}


def write_list(path, names):
    with open(path, encoding="ascii") as file:
        head = [line for line in file if line.startswith("#")]
    with open(path, "w", encoding="ascii") as file:
        file.writelines(head + ["\n"] + [name + "\n" for name in sorted(names)])


def plain(name):
    """memcpy of __memcpy_chk, sscanf of __isoc99_sscanf: the spelling depends on compiler options."""
    return re.sub(r"^__isoc\d+_", "", re.sub(r"^__(\w+)_chk$", r"\1", name))


def imports(list_path, objects, update):
    defined, wanted = set(), {}
    for path in objects:
        for line in run("nm", path).splitlines():
            kind, name = line.split()[-2:]
            if kind in "UwWvV" and len(line.split()) == 2:
                wanted.setdefault(plain(name), path)
            else:
                defined.add(name)
    outside = {name for name in wanted if name not in defined and not COMPILER.match(name)}
    if update:
        write_list(list_path, {name for name in outside if not NEVER.match(name)})
    allowed = read_list(list_path)
    for name in sorted(outside):
        if NEVER.match(name):
            yield f"{name} (in {short(wanted[name])}): the library must not call it"
        elif name not in allowed:
            yield f"{name} (in {short(wanted[name])}) is not in imports.txt"
        else:
            yield None
    for name in sorted(allowed):
        if NEVER.match(name):
            yield f"{name} is in imports.txt, and must never be"


def state(objects):
    for path in objects:
        bad = []
        for line in run("objdump", "-t", path).splitlines():
            found = re.match(r"[0-9a-f]+ (.{7}) (\S+)\t[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
            if not found or "d" in found.group(1):
                continue
            section = found.group(2)
            if re.match(r"\.t?(data|bss)\b|\*COM\*", section) and not section.startswith(".data.rel.ro"):
                bad.append(found.group(3))
        yield f"{', '.join(bad)} in {short(path)} outlives the call" if bad else None


def exported(library):
    return {line.split()[0].split("@")[0] for line in run("nm", "-D", "--defined-only", "-P", library).splitlines()
            if line.split()[1] != "A"}


def exports(list_path, library, update):
    found = exported(library)
    if update:
        write_list(list_path, found)
    yield from compare(found, read_list(list_path))


def compare(found, listed):
    for name in sorted(found | listed):
        if not name.startswith("pol_"):
            yield f"{name} is exported; only pol_* may be"
        elif name not in listed:
            yield f"{name} is exported and not in exports.txt"
        elif name not in found:
            yield f"{name} is in exports.txt and not exported"
        else:
            yield None


def archive(list_path, library):
    members = run("ar", "t", library).split()
    yield None if len(members) == 1 else f"{library} has the members {members}, and should be one object"
    lines = [line.split() for line in run("nm", "-g", "--defined-only", library).splitlines()]
    yield from compare({words[2] for words in lines if len(words) == 3}, read_list(list_path))


def declared(library, headers):
    names = {}
    for path in headers:
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.S)
        for statement in re.findall(r"^POL_API\s([^;{]*)", text, re.M):
            name = re.search(r"(pol_\w+)\s*\(", statement)
            if not name:
                name = re.search(r"(pol_\w+)\s*(?:\[[^]]*\]\s*)*$", statement)
            names[name.group(1)] = path
    found = exported(library)
    for name in sorted(names.keys() | found):
        if name not in names:
            yield f"{name} is exported and in no public header"
        elif name not in found:
            yield f"{name} is declared in {names[name].split('/include/')[-1]} and not exported"
        else:
            yield None


def main(arguments):
    update = arguments[:1] == ["--update"]
    if update:
        arguments = arguments[1:]
    if len(arguments) < 2:
        sys.exit(__doc__)
    check, rest = arguments[0], arguments[1:]
    if check == "imports":
        results = imports(rest[0], rest[1:], update)
    elif check == "state":
        results = state(rest)
    elif check == "exports":
        results = exports(rest[0], rest[1], update)
    elif check == "archive":
        results = archive(rest[0], rest[1])
    elif check == "declared":
        results = declared(rest[0], rest[1:])
    else:
        sys.exit(__doc__)

    results = list(results)
    errors = [text for text in results if text]
    for text in errors:
        print(text)
    if not results:
        sys.exit("nothing was checked")
    print(f"{len(results) - len(errors)} passed, {len(errors)} failed")
    sys.exit(1 if errors else 0)


main(sys.argv[1:])
