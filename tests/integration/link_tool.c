// SPDX-License-Identifier: Apache-2.0
/*
 * What link_test.py needs of daemon/link that policyctl does not offer:
 *
 *   link_tool guard IF         exits with the errno; the reason is on standard error
 *   link_tool up|down IF
 *   link_tool look IF COUNT    exits with the errno of the first look that fails
 *   link_tool watch IF         prints "INDEX GUARDED TAKEN" of IF at the start and after each
 * change
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link/link.h"

static int guard(const char *name)
{
    struct text error = {0};
    int rc = link_guard(name, &error);

    if (rc < 0)
        fprintf(stderr, "%s\n", error.ptr ? error.ptr : "");
    text_fini(&error);
    return -rc;
}

static int look(const char *name, int count)
{
    struct link_facts facts;
    int rc = 0;

    for (int i = 0; i < count && rc == 0; i++)
        rc = link_look(name, &facts);
    return -rc;
}

static int print_facts(const char *name)
{
    struct link_facts facts;
    int rc = link_look(name, &facts);

    if (rc == 0)
        printf("%d %d %s\n", facts.index, facts.guarded, facts.taken);
    fflush(stdout);
    return rc;
}

static int watch(const char *name)
{
    struct link_watch *news;
    struct pollfd poll_fd = {.events = POLLIN};
    int rc = link_watch_open(&news);

    if (rc < 0)
        return -rc;

    poll_fd.fd = link_watch_fd(news);
    do {
        link_watch_clear(news);
        rc = print_facts(name);
    } while (rc == 0 && poll(&poll_fd, 1, 30000) == 1);
    link_watch_close(news);
    return -rc;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";

    if (strcmp(verb, "guard") == 0)
        return guard(argv[2]);
    if (strcmp(verb, "up") == 0 || strcmp(verb, "down") == 0)
        return -link_set_up(argv[2], verb[0] == 'u');
    if (strcmp(verb, "look") == 0 && argc > 3)
        return look(argv[2], atoi(argv[3]));
    if (strcmp(verb, "watch") == 0)
        return watch(argv[2]);
    return 255;
}
