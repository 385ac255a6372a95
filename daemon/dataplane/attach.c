// SPDX-License-Identifier: Apache-2.0
#include "dataplane/attach.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/suggest.h"
#include "core/thread.h"
#include "dataplane/port_inline.h"
#include "dataplane/port_monitor.h"

#define LOOK_MS       250 /* at least this often, should a message of the kernel be lost */
#define SETTLE_MS     20  /* changes come in swarms: at once after the first, then together */
#define BIG_TCP_BEGIN 65536

/* How long two ends may take to agree on a speed after a side was set up. */
#define PATIENCE_NS UINT64_C(5000000000)

/* What was seen longer ago says nothing of now. */
#define STALE_NS UINT64_C(2000000000)

static const char *const side_words[ATTACH_SIDES] = {"inside", "outside"};
static const enum pol_side sides[ATTACH_SIDES] = {POL_SIDE_INSIDE, POL_SIDE_OUTSIDE};

/* A side of the wire. The thread's own; others read copies of it. */
struct side {
    const char *name;
    int attached;              /* index of the interface the rings are on; 0: none */
    bool taken_down;           /* by us, since the other side has no carrier */
    uint64_t patience;         /* clock_mono() before which a missing carrier is no loss, since
                                  we have just set it up; 0: it is one */
    struct link_facts facts;   /* of the newest look */
    char problem[LINK_REASON]; /* why it could not be attached; empty: it is, or is missing */
    bool quiet;                /* problems are told to who starts us, not logged */
};

struct attach {
    struct attach_options options;
    struct link_watch *watch;
    struct thread thread;
    int stop; /* eventfd */
    struct side sides[ATTACH_SIDES];
    size_t side_count;
    pthread_mutex_t lock;             /* of what other threads ask for: */
    struct side copies[ATTACH_SIDES]; /* of the sides, after every look */
    uint64_t looked;                  /* clock_mono() of the last time all was seen */
    struct port *ports[];
};

static bool is_inline(const struct attach *attach)
{
    return attach->side_count == ATTACH_SIDES;
}

/* --- opening -------------------------------------------------------------------------------- */

static int open_rings(struct attach *attach, size_t number, int index, struct text *error)
{
    struct ring_options options = {
        .name = attach->sides[number].name,
        .index = index,
        .slots = attach->options.ring_slots,
        .bypass_qdisc = attach->options.bypass_qdisc,
    };
    struct ring *rings[attach->options.port_count];
    int rc;

    rc = ring_open(&options, attach->options.port_count, rings, error);
    for (size_t i = 0; i < attach->options.port_count && rc == 0; i++)
        port_inline_give(attach->ports[i], sides[number], rings[i]);
    return rc;
}

static int open_socket(struct attach *attach, int index, struct text *error)
{
    struct packet_socket socket;
    int rc;

    if (attach->options.port_count == 0) /* it opens the interface itself */
        return 0;

    rc = port_monitor_socket(attach->sides[0].name, index, &socket, error);
    if (rc == 0 && (rc = port_monitor_give(attach->ports[0], socket)) < 0)
        packet_socket_close(&socket);
    return rc;
}

/* The guard comes first: from then on the host's kernel hears nothing of this interface. */
static int open_side(struct attach *attach, size_t number, int index, struct text *error)
{
    int rc;

    if (!is_inline(attach))
        return open_socket(attach, index, error);

    rc = link_guard(attach->sides[number].name, error);
    return rc < 0 ? rc : open_rings(attach, number, index, error);
}

/* Nothing is too long for an interface that is missing: it is lost there, but its sender shall not
 * be told of another path MTU. */
static void set_mtus(struct attach *attach, size_t number)
{
    const struct link_facts *facts = &attach->sides[number].facts;
    uint32_t mtu = facts->index ? facts->mtu : UINT32_MAX;

    for (size_t i = 0; is_inline(attach) && i < attach->options.port_count; i++)
        port_inline_set_mtu(attach->ports[i], sides[number], mtu);
}

/* A trouble that stays is logged once. */
static void note_problem(struct side *side, int rc, const struct text *error)
{
    char problem[LINK_REASON] = "";

    if (rc < 0 && error->len)
        snprintf(problem, sizeof(problem), "%s", error->ptr);
    else if (rc < 0)
        snprintf(problem, sizeof(problem), "%s: %s", side->name, strerror(-rc));
    if (*problem && !side->quiet && strcmp(problem, side->problem) != 0)
        log_error("%s", problem);
    memcpy(side->problem, problem, sizeof(problem));
}

/* Whoever set an interface up gives its carrier time to come. */
static void be_patient(struct side *side)
{
    side->patience = clock_mono() + PATIENCE_NS;
}

static int attach_side(struct attach *attach, size_t number)
{
    struct side *side = &attach->sides[number];
    bool was_up = side->facts.up;
    struct text error = {0};
    int rc;

    rc = open_side(attach, number, side->facts.index, &error);
    note_problem(side, rc, &error);
    if (rc == 0) {
        if (!was_up)
            be_patient(side);
        side->attached = side->facts.index;
        log_info("%s (%s) is attached", side->name, side_words[number]);
    }
    text_fini(&error);
    return rc;
}

/* Someone has removed the filter or given the host its voice back. */
static int guard_again(struct side *side)
{
    struct text error = {0};
    int rc;

    rc = link_guard_again(side->name, &error);
    note_problem(side, rc, &error);
    if (rc == 0)
        log_warn("%s was open to the host's kernel; it is guarded again", side->name);
    text_fini(&error);
    return rc;
}

/* --- looking -------------------------------------------------------------------------------- */

static int look_again(struct side *side)
{
    int rc = link_look(side->name, &side->facts);

    if (rc == 0 && side->facts.carrier)
        side->patience = 0;
    return rc;
}

/* The rings may still be on the interface, under another name and unwatched: they go too. */
static void lose(struct attach *attach, size_t number)
{
    struct side *side = &attach->sides[number];

    for (size_t i = 0; is_inline(attach) && i < attach->options.port_count; i++)
        port_inline_take_away(attach->ports[i], sides[number]);
    log_warn("%s (%s) is gone; waiting for it", side->name, side_words[number]);
    side->attached = 0;
    side->taken_down = false;
    side->patience = 0;
}

static int look_at(struct attach *attach, size_t number, bool *ret_seen)
{
    struct side *side = &attach->sides[number];
    int rc;

    rc = look_again(side);
    *ret_seen &= rc == 0;
    if (rc < 0)
        return rc;

    if (side->attached && side->attached != side->facts.index)
        lose(attach, number);
    if (side->facts.index && !side->attached)
        rc = attach_side(attach, number);
    else if (side->attached && is_inline(attach) && !side->facts.guarded && !side->taken_down)
        rc = guard_again(side);
    else
        return 0;

    look_again(side);
    return rc;
}

/*
 * Which side has lost its carrier by itself. One that we took down has none either, and one that we
 * have just set up has none yet: were that a loss, each side would take the other one down forever.
 */
static bool has_lost_carrier(const struct side *side)
{
    if (side->taken_down || (side->facts.up && clock_mono() < side->patience))
        return false;
    return !side->facts.index || !side->facts.up || !side->facts.carrier;
}

/* The guard may have been removed while the interface was down; it also sets it up. */
static int set_up_again(struct side *side)
{
    if (!side->facts.guarded)
        return guard_again(side);
    return link_set_up(side->name, true);
}

static void hand_loss_on(struct attach *attach, size_t from, size_t to)
{
    struct side *other = &attach->sides[to];
    bool lost = has_lost_carrier(&attach->sides[from]);
    bool done = lost ? other->taken_down && !other->facts.up : !other->taken_down;

    if (done || !other->attached)
        return;
    if ((lost ? link_set_up(other->name, false) : set_up_again(other)) < 0)
        return;

    other->taken_down = lost;
    if (!lost)
        be_patient(other);
    log_warn("%s (%s) is taken %s, since %s has %s carrier", other->name, side_words[to],
             lost ? "down" : "up again", attach->sides[from].name, lost ? "no" : "its");
    look_again(other);
}

static int look(struct attach *attach)
{
    bool seen = true;
    int rc = 0;

    for (size_t i = 0; i < attach->side_count; i++) {
        int one = look_at(attach, i, &seen);

        rc = rc < 0 ? rc : one;
        set_mtus(attach, i);
    }
    if (is_inline(attach) && attach->options.signal_loss) {
        hand_loss_on(attach, ATTACH_INSIDE, ATTACH_OUTSIDE);
        hand_loss_on(attach, ATTACH_OUTSIDE, ATTACH_INSIDE);
    }
    pthread_mutex_lock(&attach->lock);
    memcpy(attach->copies, attach->sides, sizeof(attach->copies));
    if (seen)
        attach->looked = clock_mono();
    pthread_mutex_unlock(&attach->lock);
    return rc;
}

static void *run(void *arg)
{
    struct attach *attach = arg;
    struct pollfd fds[2] = {{.fd = attach->stop, .events = POLLIN},
                            {.fd = link_watch_fd(attach->watch), .events = POLLIN}};

    while (!(fds[0].revents & POLLIN)) {
        bool news = poll(fds, 2, LOOK_MS) > 0 && fds[1].revents & POLLIN;

        if (news)
            link_watch_clear(attach->watch);
        look(attach);
        if (news)
            poll(fds, 1, SETTLE_MS);
    }
    return NULL;
}

/* --- describing ----------------------------------------------------------------------------- */

static void name_side(const struct attach *attach, size_t number, struct text *out)
{
    text_add(out, attach->sides[number].name);
    if (is_inline(attach))
        text_addf(out, " (%s)", side_words[number]);
}

static bool is_a_side(const struct attach *attach, const char *name)
{
    for (size_t i = 0; i < attach->side_count; i++)
        if (strcmp(attach->sides[i].name, name) == 0)
            return true;
    return false;
}

/* For a name with a typing error. */
static void suggest_name(const struct attach *attach, const char *name, struct text *out)
{
    struct if_nameindex *list = if_nameindex();
    const char *nearest = NULL;
    size_t least = SIZE_MAX;

    for (struct if_nameindex *at = list; at && at->if_index; at++) {
        size_t distance = suggest_distance(name, at->if_name);

        if (distance < least && suggest_is_near(name, distance) &&
            !is_a_side(attach, at->if_name)) {
            nearest = at->if_name;
            least = distance;
        }
    }
    if (nearest)
        text_addf(out, "; there is \"%s\"", nearest);
    if (list)
        if_freenameindex(list);
}

static void describe_missing(const struct attach *attach, size_t number, struct text *out)
{
    const struct side *side = &attach->copies[number];

    if (side->facts.index && side->attached && (side->facts.up || side->taken_down))
        return;
    if (side->facts.index && !side->attached) {
        text_add(out, side->problem);
        return;
    }

    name_side(attach, number, out);
    if (side->facts.index) {
        text_addf(out, " is down; ip link set %s up", side->name);
        return;
    }
    text_add(out, ": there is no such interface");
    suggest_name(attach, side->name, out);
    text_addf(out, "; create it or correct dataplane.%s", is_inline(attach) ? "inline" : "monitor");
}

static void describe_offloads(const struct link_facts *facts, const char *name, struct text *out)
{
    if (facts->lro)
        text_addf(out, " merges frames that cannot be sent on; ethtool -K %s lro off", name);
    else if (facts->receive_max > BIG_TCP_BEGIN)
        text_addf(out,
                  " may receive frames above 64 KiB, which are dropped; ip link set %s "
                  "gro_max_size 65536 gro_ipv4_max_size 65536",
                  name);
    else if (facts->udp_segments_lost)
        text_addf(out,
                  ": this kernel drops UDP super-frames (QUIC); ethtool -K %s "
                  "tx-udp-segmentation off at the sender",
                  name);
}

static void describe_wrong(const struct attach *attach, size_t number, struct text *out)
{
    const struct side *side = &attach->copies[number];
    const struct link_facts *facts = &side->facts;
    struct text words = {0};

    if (side->taken_down)
        return;
    if (!facts->carrier)
        text_add(&words, " has no carrier; see to the cable or the other end");
    else if (is_inline(attach) && *facts->taken)
        text_addf(&words, " %s", facts->taken);
    else if (is_inline(attach) && !facts->guarded)
        text_addf(&words, " is open to the host's kernel%s%s", *side->problem ? ": " : "",
                  side->problem);
    else if (is_inline(attach))
        describe_offloads(facts, side->name, &words);

    if (words.len) {
        name_side(attach, number, out);
        text_add(out, words.ptr);
    }
    text_fini(&words);
}

/* What no side has alone. */
static void describe_pair(const struct attach *attach, struct text *out)
{
    const struct side *in = &attach->copies[ATTACH_INSIDE],
                      *other = &attach->copies[ATTACH_OUTSIDE];
    const struct side *less = in->facts.mtu < other->facts.mtu ? in : other;

    if (is_inline(attach) && in->facts.mtu != other->facts.mtu)
        text_addf(out,
                  "%s has MTU %u, %s %u; longer packets are dropped or answered with \"too big\"; "
                  "ip link set %s mtu %u",
                  in->name, in->facts.mtu, other->name, other->facts.mtu, less->name,
                  less == in ? other->facts.mtu : in->facts.mtu);
}

/* --- life ----------------------------------------------------------------------------------- */

static int refuse(struct attach *attach, int rc, struct text *error)
{
    for (size_t i = 0; i < attach->side_count; i++)
        if (*attach->sides[i].problem)
            text_addf(error, "%s\n", attach->sides[i].problem);
    if (error->len == 0)
        text_addf(error, "interfaces: %s\n", strerror(-rc));
    attach_free(attach);
    return rc;
}

/* Before either is touched: a side that is refused leaves the other one to the host as it was. */
static int check_sides(const struct attach *attach, struct text *error)
{
    int rc = 0;

    for (size_t i = 0; i < attach->side_count && is_inline(attach); i++) {
        struct link_facts facts;
        int one = link_look(attach->sides[i].name, &facts);

        if (one == 0 && *facts.taken) {
            text_addf(error, "port \"%s\" %s\n", attach->sides[i].name, facts.taken);
            one = -EBUSY;
        }
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

static void warn_of_missing(struct attach *attach)
{
    struct text words = {0};

    for (size_t i = 0; i < attach->side_count; i++) {
        text_clear(&words);
        if (!attach->sides[i].facts.index) {
            describe_missing(attach, i, &words);
            log_warn("%s; waiting for it", words.ptr ? words.ptr : attach->sides[i].name);
        }
    }
    text_fini(&words);
}

int attach_new(const struct attach_options *options, struct attach **ret_attach,
               struct text *ret_error)
{
    size_t ports = options->port_count * sizeof(struct port *);
    struct attach *attach = calloc(1, sizeof(*attach) + ports);
    int rc;

    if (!attach)
        return -ENOMEM;

    attach->options = *options;
    memcpy(attach->ports, options->ports, ports);
    attach->side_count = options->names[ATTACH_OUTSIDE] ? ATTACH_SIDES : 1;
    for (size_t i = 0; i < attach->side_count; i++)
        attach->sides[i] = (struct side){.name = options->names[i], .quiet = true};
    pthread_mutex_init(&attach->lock, NULL);
    attach->stop = eventfd(0, EFD_CLOEXEC);
    rc = attach->stop < 0 ? -errno : link_watch_open(&attach->watch);
    if (rc == 0)
        rc = check_sides(attach, ret_error);
    if (rc == 0)
        rc = look(attach);
    if (rc < 0)
        return refuse(attach, rc, ret_error);

    for (size_t i = 0; i < attach->side_count; i++)
        attach->sides[i].quiet = false;
    warn_of_missing(attach);
    *ret_attach = attach;
    return 0;
}

int attach_start(struct attach *attach)
{
    return thread_start(&attach->thread, "ports", run, attach);
}

void attach_stop(struct attach *attach)
{
    uint64_t one = 1;

    if (write(attach->stop, &one, sizeof(one)) == sizeof(one))
        thread_join(&attach->thread);
}

void attach_free(struct attach *attach)
{
    if (!attach)
        return;

    link_watch_close(attach->watch);
    if (attach->stop >= 0)
        close(attach->stop);
    pthread_mutex_destroy(&attach->lock);
    free(attach);
}

/* --- what others ask ------------------------------------------------------------------------ */

void attach_missing(struct attach *attach, char *ret_text, size_t capacity)
{
    struct text out = {0};

    pthread_mutex_lock(&attach->lock);
    for (size_t i = 0; i < attach->side_count && out.len == 0; i++)
        describe_missing(attach, i, &out);
    pthread_mutex_unlock(&attach->lock);
    snprintf(ret_text, capacity, "%s", out.ptr ? out.ptr : "");
    text_fini(&out);
}

static void describe_age(const struct attach *attach, struct text *out)
{
    uint64_t age = clock_mono() - attach->looked;

    if (age > STALE_NS)
        text_addf(out,
                  "the interfaces have not been looked at for %" PRIu64 " ms: the kernel does not "
                  "answer (rtnetlink), or the thread \"ports\" stands still; restart policyd",
                  age / 1000000);
}

void attach_wrong(struct attach *attach, char *ret_text, size_t capacity)
{
    struct text out = {0};

    pthread_mutex_lock(&attach->lock);
    describe_age(attach, &out);
    for (size_t i = 0; i < attach->side_count && out.len == 0; i++)
        describe_missing(attach, i, &out);
    for (size_t i = 0; i < attach->side_count && out.len == 0; i++)
        describe_wrong(attach, i, &out);
    if (out.len == 0)
        describe_pair(attach, &out);
    pthread_mutex_unlock(&attach->lock);
    snprintf(ret_text, capacity, "%s", out.ptr ? out.ptr : "");
    text_fini(&out);
}
