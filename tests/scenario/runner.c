/* SPDX-License-Identifier: Apache-2.0 */

/* scenario_runner: plays scenario files. README.md describes them. */

#include <stdio.h>
#include <string.h>

#include "script.h"
#include "world.h"

static const char usage[] =
    "Usage: scenario_runner [--verbose | --trace | --list] FILE.scn...\n"
    "\n"
    "Plays scenarios and prints \"ok\" or \"not ok\" for each; the last line counts them.\n"
    "\n"
    "  --verbose   show every step and what came of it\n"
    "  --trace     show what came of every step, a line of JSON each\n"
    "  --list      play nothing, print titles and the paragraphs they prove\n"
    "  --help      print this\n";

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool list(const char *path)
{
    struct script script;
    bool read = script_read(path, &script);

    if (read) {
        const char *line = script.proves;

        printf("%s: %s\n", base_name(path), script.title);
        while (*line) {
            int len = (int)strcspn(line, "\n");

            printf("    %.*s\n", len - 2, line + 2);
            line += len + (line[len] == '\n');
        }
    }
    script_free(&script);
    return read;
}

static bool play(const char *path, enum shown shown)
{
    struct script script;
    bool well = script_read(path, &script) && world_play(&script, shown);

    printf("%s - %s: %s\n", well ? "ok" : "not ok", base_name(path),
           script.title ? script.title : "no scenario");
    script_free(&script);
    return well;
}

int main(int argc, char **argv)
{
    enum shown shown = SHOW_NOTHING;
    bool listing = false;
    unsigned passed = 0, failed = 0;
    int first = 1;

    for (; first < argc && !strncmp(argv[first], "--", 2); first++) {
        if (!strcmp(argv[first], "--verbose"))
            shown = SHOW_STEP;
        else if (!strcmp(argv[first], "--trace"))
            shown = SHOW_TRACE;
        else if (!strcmp(argv[first], "--list"))
            listing = true;
        else
            return fputs(usage, stdout) < 0 || strcmp(argv[first], "--help") ? 2 : 0;
    }
    if (first == argc) {
        fputs(usage, stderr);
        return 2;
    }
    for (int i = first; i < argc; i++) {
        bool well = listing ? list(argv[i]) : play(argv[i], shown);

        *(well ? &passed : &failed) += 1;
    }
    if (!listing)
        printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
