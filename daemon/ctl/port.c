// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>

#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/verb.h"
#include "link/link.h"

enum action { ACTION_NONE, ACTION_SHOW, ACTION_RELEASE };

struct request {
    enum action action;
    const char **names; /* as many as there are arguments, at most */
    size_t name_count;
    int format; /* enum output_format, or FORMAT_DEFAULT */
    bool no_color;
};

#define FORMAT_DEFAULT (-1) /* neither --output nor --json: a table */

static const struct args_option options[] = {
    {VERB_OUTPUT(struct request, "table|json", "how to print what \"show\" finds (table)")},
    {VERB_JSON(struct request)},
    {VERB_NO_COLOR(struct request)},
    {0},
};

/* The first word is what to do, the others are interfaces. */
static int take_word(struct args *args, int id, const char *word, void *user)
{
    static const char *const actions[] = {"show", "release"};
    struct request *request = user;

    (void)id;
    if (request->action != ACTION_NONE) {
        request->names[request->name_count++] = word;
        return 0;
    }

    for (int i = 0; i < 2; i++) {
        if (strcmp(word, actions[i]) == 0) {
            request->action = ACTION_SHOW + i;
            return 0;
        }
    }
    args_reject(args, "\"%s\" is not one of show, release", word);
    args_suggest(&args->error, word, actions, 2, "");
    return ARGS_ERROR;
}

static int check_request(struct args *args, const struct request *request)
{
    if (request->action == ACTION_NONE)
        return args_reject(args, "say what to do: show or release");
    if (request->action == ACTION_RELEASE && request->name_count == 0)
        return args_reject(args, "release needs the name of an interface");
    if (request->action == ACTION_RELEASE && request->format != FORMAT_DEFAULT)
        return args_reject(args, "release prints nothing; --output and --json are for show");
    return 0;
}

static bool read_request(struct args *args, struct request *request)
{
    return args_read(args, take_word, request) && check_request(args, request) == 0;
}

/* --- show ------------------------------------------------------------------------------------- */

static void show_offloads(struct text *out, const char *name, const struct link_facts *facts)
{
    if (facts->lro)
        text_addf(out, "  large receive offload is on; \"ethtool -K %s lro off\"\n", name);
    if (facts->udp_segments_lost)
        text_addf(out,
                  "  this kernel loses UDP super-frames; \"ethtool -K %s rx-udp-gro-forwarding off "
                  "rx-gro-list off\", and on the other end of a veth \"tx-udp-segmentation off\"\n",
                  name);
}

static void show_port(struct text *out, const char *name, const struct link_facts *facts,
                      bool colours)
{
    struct text safe = {0};

    show_safely(&safe, (pol_str){name, strlen(name)});
    text_addf(out, "%-15s %-8s %-10s mtu %-6u ", safe.ptr ? safe.ptr : "?",
              facts->up ? "up" : "down", facts->carrier ? "carrier" : "no carrier", facts->mtu);
    show_paint(out, colours, facts->guarded ? SHOW_GOOD : SHOW_PLAIN,
               facts->guarded ? "guarded" : "not guarded");
    text_add(out, "\n");

    if (facts->taken[0]) {
        text_add(out, "  cannot be a port: it ");
        show_safely(out, (pol_str){facts->taken, strlen(facts->taken)});
        text_add(out, "\n");
    }
    show_offloads(out, safe.ptr ? safe.ptr : "?", facts);
    text_fini(&safe);
}

static void add_bool(struct text *out, const char *key, bool value)
{
    text_addf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

static void add_json(struct text *out, const char *name, const struct link_facts *facts)
{
    const uint8_t *mac = facts->mac;

    text_add(out, "{\"name\":");
    text_add_json(out, name);
    text_addf(out, ",\"index\":%d,\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"mtu\":%u",
              facts->index, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], facts->mtu);
    text_addf(out, ",\"receive_max\":%u", facts->receive_max);
    add_bool(out, "up", facts->up);
    add_bool(out, "carrier", facts->carrier);
    add_bool(out, "guarded", facts->guarded);
    add_bool(out, "lro", facts->lro);
    add_bool(out, "udp_segments_lost", facts->udp_segments_lost);
    text_add(out, ",\"taken\":");
    if (facts->taken[0])
        text_add_json(out, facts->taken);
    else
        text_add(out, "null");
    text_add(out, "}");
}

static int complain(const char *name, const char *why, int code)
{
    struct text line = {0};

    text_add(&line, "policyctl: port \"");
    show_safely(&line, (pol_str){name, strlen(name)});
    text_addf(&line, "\": %s\n", why);
    fputs(line.ptr ? line.ptr : "policyctl: out of memory\n", stderr);
    text_fini(&line);
    return code;
}

/* Adds one interface to what will be printed; an exit code. */
static int add_port(const char *name, const struct request *request, bool first, struct text *out)
{
    struct link_facts facts;
    int rc = link_look(name, &facts);

    if (rc < 0)
        return complain(name, strerror(-rc), EXIT_FAILED);
    if (!facts.index)
        return complain(name, "there is no such interface; \"ip link\" lists them", EXIT_INVALID);

    if (request->format == OUTPUT_JSON) {
        text_add(out, first ? "" : ",");
        add_json(out, name, &facts);
    } else {
        show_port(out, name, &facts, show_colours(stdout, request->no_color));
    }
    return EXIT_OK;
}

static int show_named(const struct request *request, struct text *out)
{
    int code = EXIT_OK;
    size_t before = out->len;

    for (size_t i = 0; i < request->name_count; i++) {
        int one = add_port(request->names[i], request, out->len == before, out);

        code = one > code ? one : code;
    }
    return code;
}

/* One that is gone since it was listed is no mistake of the caller. */
static int show_all(const struct request *request, struct text *out)
{
    struct if_nameindex *all = if_nameindex();
    size_t before = out->len;
    int code = EXIT_OK;

    if (!all) {
        fprintf(stderr, "policyctl: cannot list the interfaces: %s\n", strerror(errno));
        return EXIT_FAILED;
    }

    for (size_t i = 0; all[i].if_name && code != EXIT_FAILED; i++)
        code = add_port(all[i].if_name, request, out->len == before, out);
    if_freenameindex(all);
    return code == EXIT_FAILED ? code : EXIT_OK;
}

static int show(const struct request *request)
{
    struct text out = {0};
    int code;

    if (request->format == OUTPUT_JSON)
        text_add(&out, "{\"ports\":[");
    code = request->name_count ? show_named(request, &out) : show_all(request, &out);
    if (request->format == OUTPUT_JSON)
        text_add(&out, "]}\n");

    if (!output_write(&out))
        code = EXIT_FAILED;
    text_fini(&out);
    return code;
}

/* --- release ---------------------------------------------------------------------------------- */

static int release_one(const char *name)
{
    struct text error = {0};
    int rc = link_release(name, &error), code = EXIT_OK;

    if (rc < 0) {
        fputs("policyctl: ", stderr);
        fputs(error.ptr ? error.ptr : "out of memory", stderr);
        fputs("\n", stderr);
        code = rc == -EPERM || rc == -EACCES ? EXIT_DENIED
               : rc == -ENODEV               ? EXIT_INVALID
                                             : EXIT_FAILED;
    }
    text_fini(&error);
    return code;
}

static int release(const struct request *request)
{
    int code = EXIT_OK;

    for (size_t i = 0; i < request->name_count; i++) {
        int one = release_one(request->names[i]);

        code = one > code ? one : code;
    }
    return code;
}

static int run(struct args *args)
{
    struct request request = {.format = FORMAT_DEFAULT};
    int code = EXIT_USAGE;

    request.names = calloc((size_t)args->argc + 1, sizeof(*request.names));
    if (!request.names) {
        fputs("policyctl: out of memory\n", stderr);
        return EXIT_FAILED;
    }

    if (read_request(args, &request))
        code = request.action == ACTION_SHOW ? show(&request) : release(&request);
    free(request.names);
    return code;
}

const struct verb verb_port = {
    .name = "port",
    .synopsis = "show|release [OPTIONS] [INTERFACE...]",
    .summary = "look at interfaces as ports, and give them back to the host",
    .about =
        "\"show\" says of interfaces of this machine, without any of all, whether they can be "
        "ports\n"
        "of policyd, what stands in the way and the command that helps, and whether they are\n"
        "guarded: closed to the host. \"release\" undoes the guard, which outlives policyd; it "
        "needs\n"
        "CAP_NET_ADMIN. Do not release a port of a running policyd: the host would answer there.",
    .options = options,
    .run = run,
};
