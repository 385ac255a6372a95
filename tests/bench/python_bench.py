#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a decision costs from Python, one by one and in batches, against C in the same run.

    python_bench.py LIBRARY [--cc COMPILER] [--include DIRECTORY]... [--rounds N]

The policy is that of decide_bench: groups of 20 rules over one /24 each, 1 000 rules. The traffic is
TCP segments of known flows, as Ethernet frames. Python and a C program of this file's (compiled
here, linked with the same library) get the same frames: taken apart once and decided over and over,
and taken apart and decided each time. CPU time, best of the rounds, in turns. One JSON object per
line.
"""
import argparse
import json
import os
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
RULES, GROUP, FLOWS, BATCH = 1000, 20, 256, 256
PACKETS = 1 << 17


def document():
    groups = []
    for g in range(RULES // GROUP):
        rules = [{"id": f"r{r}", "action": "allow",
                  "match": {"dst_cidrs": [f"198.{18 + r % 2}.{g * 7 + r & 255}.0/24"],
                            "proto": "tcp", "dst_ports": [400 + r]}} for r in range(GROUP)]
        groups.append({"id": f"g{g}", "mode": "enforce",
                       "sources": {"cidrs": [f"10.{g >> 8}.{g & 255}.0/24"]}, "rules": rules})
    return json.dumps({"default_policy": "deny", "source_groups": groups})


def frames():
    """A SYN for each flow; the clients send it again and again."""
    for i in range(FLOWS):
        rule = i * 37 % RULES
        g, r = divmod(rule, GROUP)
        tcp = struct.pack("!HHIIBBHHH", 1024 + i, 400 + r, i, 0, 5 << 4, 2, 65535, 0, 0)
        ip = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 40, 0, 0, 64, 6, 0, 10, 0, g, 1 + i % 250,
                         198, 18 + r % 2, g * 7 + r & 255, i % 256)
        yield bytes(range(2, 14)) + b"\x08\x00" + ip + tcp


C_PROGRAM = r"""
#include <libpolicy/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FLOWS = 256, BATCH = 256, PACKETS = 1 << 17, FRAME = 54 };

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static char *read_all(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(1 << 24);

    *len = fread(text, 1, 1 << 24, file);
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    size_t len, frames_len;
    char *text = read_all(argv[1], &len), *octets = read_all(argv[2], &frames_len);
    int rounds = atoi(argv[argc - 1]);
    pol_ctx *ctx;
    pol_policy *policy;
    pol_worker *worker;
    pol_packet packets[BATCH];
    pol_verdict verdicts[BATCH];
    pol_bytes frames[BATCH];
    double best[3] = {1e9, 1e9, 1e9};

    if (pol_ctx_new(NULL, &ctx) || pol_compile(ctx, (pol_str){text, len}, NULL, &policy, NULL) ||
        pol_worker_new(ctx, NULL, &worker) || pol_worker_use(worker, policy, 1))
        return 1;
    for (int i = 0; i < BATCH; i++)
        frames[i] = (pol_bytes){(uint8_t *)octets + i * FRAME, FRAME};
    pol_packet_parse_batch(frames, NULL, BATCH, POL_LINK_ETHERNET, POL_SIDE_INSIDE, packets);
    for (int round = 0; round < rounds; round++) {
        double start = now_s(), end;

        for (int i = 0; i < PACKETS; i++)
            pol_worker_decide(worker, &packets[i % BATCH], 1000, &verdicts[i % BATCH]);
        end = now_s();
        best[0] = end - start < best[0] ? end - start : best[0];
        start = end;
        for (int i = 0; i < PACKETS; i += BATCH)
            pol_worker_decide_batch(worker, packets, BATCH, 1000, verdicts);
        end = now_s();
        best[1] = end - start < best[1] ? end - start : best[1];
        start = end;
        for (int i = 0; i < PACKETS; i += BATCH) {
            for (int j = 0; j < BATCH; j++) {
                pol_packet_parse(frames[j], POL_LINK_ETHERNET, FRAME, &packets[j]);
                packets[j].side = POL_SIDE_INSIDE;
            }
            pol_worker_decide_batch(worker, packets, BATCH, 1000, verdicts);
        }
        end = now_s();
        best[2] = end - start < best[2] ? end - start : best[2];
        for (int i = 0; i < BATCH; i++) {
            if (verdicts[i].action != POL_ALLOW)
                return 2;
        }
    }
    printf("%f %f %f\n", best[0] / PACKETS * 1e9, best[1] / PACKETS * 1e9, best[2] / PACKETS * 1e9);
    return 0;
}
"""


def measure_c(options, work, rounds):
    program = work / "bench"
    if not program.exists():
        source = work / "bench.c"
        source.write_text(C_PROGRAM)
        (work / "policy.json").write_text(document())
        (work / "frames").write_bytes(b"".join(frames()))
        subprocess.run([options.cc, "-O2", *(f"-I{path}" for path in options.include), "-o", program,
                        source, options.library, f"-Wl,-rpath,{options.library.parent}"],
                       check=True)
    done = subprocess.run([program, work / "policy.json", work / "frames", str(rounds)], check=True,
                          capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def timed(work):
    start = time.process_time()
    work()
    return (time.process_time() - start) / PACKETS * 1e9


def python_ways(libpolicy):
    """The three ways of the C program."""
    worker = libpolicy.Worker(libpolicy.Policy(document()))
    octets = list(frames())
    packets, verdicts = libpolicy.PacketBatch(BATCH), libpolicy.VerdictBatch(BATCH)
    packets.parse(octets, side="inside")
    single = [packet.copy() for packet in packets]

    def one_by_one():
        for _ in range(PACKETS // BATCH):
            for packet in single:
                worker.decide(packet, 1000)

    def batched():
        for _ in range(PACKETS // BATCH):
            worker.decide_batch(packets, 1000, verdicts)

    def parsed():
        for _ in range(PACKETS // BATCH):
            packets.parse(octets, side="inside")
            worker.decide_batch(packets, 1000, verdicts)

    batched()
    if set(verdicts.actions()) != {libpolicy.Action.ALLOW}:
        sys.exit("python_bench: not every packet was allowed")
    return one_by_one, batched, parsed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--include", action="append")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.include = options.include or [
        HERE.parent.parent / "libpolicy/include", options.library.parent / "include"]

    os.environ["LIBPOLICY_LIBRARY"] = str(options.library)
    sys.path.insert(0, str(HERE.parent.parent / "bindings/python"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    import libpolicy # pylint: disable=import-outside-toplevel
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    ways = python_ways(libpolicy)
    best_c, best_python = [float("inf")] * 3, [float("inf")] * 3
    with tempfile.TemporaryDirectory() as work:
        for _ in range(options.rounds):
            best_c = list(map(min, best_c, measure_c(options, pathlib.Path(work), 1)))
            best_python = list(map(min, best_python, map(timed, ways)))
    for name, c_ns, python_ns in zip(("decide", "decide_batch", "parse and decide_batch"), best_c,
                                     best_python):
        print(json.dumps({"bench": "python", "way": name, "c_ns": round(c_ns),
                          "python_ns": round(python_ns), "ratio": round(python_ns / c_ns, 2),
                          "python_per_second": round(1e9 / python_ns)}))
    done = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"bench": "python", "import_kib": imported - before,
                      "with_worker_kib": done - before}))


if __name__ == "__main__":
    main()
