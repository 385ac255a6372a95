/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_AAAA = 28,
    TYPE_DNAME = 39,
    TYPE_SVCB = 64,
    TYPE_HTTPS = 65
};

/* -1 when there is no such type. */
static int type_of(const char *text)
{
    static const int types[] = {TYPE_A,  TYPE_AAAA,  TYPE_CNAME, TYPE_DNAME,
                                TYPE_NS, TYPE_HTTPS, TYPE_SVCB};
    int choice = word_choice(text, "A|AAAA|CNAME|DNAME|NS|HTTPS|SVCB");
    uint64_t number;

    if (choice >= 0)
        return types[choice];
    if (strncmp(text, "TYPE", 4) || !word_number(text + 4, UINT16_MAX, &number))
        return -1;
    return (int)number;
}

/* Queries. */

struct query_words {
    const char *label;
    int64_t id;
    uint32_t questions;
    bool tcp;
};

static const struct word_key query_keys[] = {
    {"as", WORD_TEXT, offsetof(struct query_words, label), NULL},
    {"id", WORD_I64, offsetof(struct query_words, id), NULL},
    {"questions", WORD_U32, offsetof(struct query_words, questions), NULL},
    {"tcp", WORD_BOOL, offsetof(struct query_words, tcp), NULL},
};

static struct question *add_question(struct world *world)
{
    struct question *question = grow(NULL, sizeof(*question));

    memset(question, 0, sizeof(*question));
    world->questions =
        grow(world->questions, (world->question_count + 1) * sizeof(*world->questions));
    world->questions[world->question_count++] = question;
    return question;
}

/* Takes TYPE and NAME. */
static bool take_question(struct args *args, int *ret_type, const char **ret_name)
{
    const char *type = args_bare(args, "a type");

    *ret_name = type ? args_bare(args, "a name") : NULL;
    if (!*ret_name)
        return false;
    *ret_type = type_of(type);
    if (*ret_type < 0)
        return script_error(args->script, args->step->line, "\"%s\" is no type", type);
    return word_name(*ret_name) ||
           script_error(args->script, args->step->line, "\"%s\" is no name", *ret_name);
}

/* Takes the other words of a query; what a packet needs goes to `travel` where there is one. */
static bool take_query_words(struct args *args, struct query_words *words,
                             struct packet_words *travel)
{
    const struct word *word;

    while ((word = args_next(args))) {
        enum word_taken taken =
            word_take(word, query_keys, sizeof(query_keys) / sizeof(query_keys[0]), words);

        if (taken == WORD_UNKNOWN && travel)
            taken = packet_words_take(word, travel);
        if (!args_taken(args, word, taken))
            return false;
    }
    return true;
}

static void write_query(struct world *world, struct question *question, int type, const char *name,
                        const struct query_words *words)
{
    struct dnsmsg *message = &question->message;
    uint16_t id = words->id < 0 ? (uint16_t)world->question_count : (uint16_t)words->id;
    uint8_t again[300];
    size_t len;

    dnsmsg_query(message, name, (uint16_t)type, id, 0);
    len = message->len - 12;
    memcpy(again, message->bytes + 12, len);
    for (uint32_t i = 1; i < words->questions; i++) {
        dnsmsg_raw(message, again, len);
        dnsmsg_count(message, 0, 1);
    }
    question->label = words->label;
    question->tcp = words->tcp;
}

/* The ids of the groups that get the grants. */
static void add_grantees(struct world *world, const pol_dns_query *query)
{
    const pol_policy *policy = policy_of(world, world->generation);
    char list[1024] = "", id[257];

    for (unsigned i = 0; policy && i < query->grantee_count; i++)
        for (uint32_t group = 0; group < pol_policy_group_count(policy); group++) {
            pol_str text = pol_policy_group_id(policy, group);

            if (pol_policy_group_key(policy, group) != query->grantees[i] || text.len >= sizeof(id))
                continue;
            memcpy(id, text.ptr, text.len);
            id[text.len] = '\0';
            facts_join(list, sizeof(list), id);
        }
    facts_add(&world->facts, "grantees", "%s", *list ? list : "-");
}

static void add_kind(struct world *world, const pol_dns_query *query)
{
    static const char *const kinds[] = {"allowed", "observed", "recorded"};

    facts_add(&world->facts, "kind", "%s", query->kind < 3 ? kinds[query->kind] : "?");
}

bool play_dns(struct world *world, struct args *args)
{
    struct query_words words = {.id = -1, .questions = 1};
    const char *client = args_bare(args, "the client"), *name;
    struct question *question;
    pol_verdict verdict;
    pol_addr addr;
    int type;

    if (!client || !take_question(args, &type, &name) || !take_query_words(args, &words, NULL))
        return false;
    if (pol_addr_parse((pol_str){client, strlen(client)}, &addr) != POL_OK)
        return script_error(args->script, args->step->line, "\"%s\" is no address", client);
    question = add_question(world);
    write_query(world, question, type, name, &words);
    question->usable = pol_dns_decide(world->worker, &addr,
                                      (pol_bytes){question->message.bytes, question->message.len},
                                      world->now, &question->judged, &verdict) == POL_ALLOW;
    facts_verdict(world, &verdict);
    add_kind(world, &question->judged);
    add_grantees(world, &question->judged);
    return true;
}

/* Puts a message into the payload, with its length in front over TCP (RFC 1035 4.2.2). */
static void carry(struct world *world, const struct dnsmsg *message, bool tcp)
{
    struct payload *payload = &world->payload;

    payload->len = 0;
    if (tcp) {
        payload->bytes[payload->len++] = (uint8_t)(message->len >> 8);
        payload->bytes[payload->len++] = (uint8_t)message->len;
    }
    memcpy(payload->bytes + payload->len, message->bytes, message->len);
    payload->len += message->len;
}

static void travel_as(struct packet_words *travel, bool tcp)
{
    travel->proto = tcp ? IPPROTO_TCP : IPPROTO_UDP;
    travel->tcp_flags = POL_TCP_PSH | POL_TCP_ACK;
}

bool play_wire_dns(struct world *world, struct args *args)
{
    struct query_words words = {.id = -1, .questions = 1};
    struct packet_words travel;
    struct question *question;
    struct endpoint client, resolver;
    const char *name;
    bool from_inside;
    int type;

    packet_words_init(&travel, IPPROTO_UDP);
    if (!take_ends(args, &client, &resolver, &from_inside) || !take_question(args, &type, &name) ||
        !take_query_words(args, &words, &travel))
        return false;
    if (!resolver.has_port)
        resolver.port = 53;
    question = add_question(world);
    write_query(world, question, type, name, &words);
    question->on_wire = question->usable = true;
    question->client = client;
    question->resolver = resolver;
    travel_as(&travel, words.tcp);
    carry(world, &question->message, words.tcp);
    return send_payload(world, args, &client, &resolver, from_inside, &travel);
}

/* Answers. */

struct answer_words {
    const char *to, *question, *qtype, *resolver;
    int64_t id, port;
    uint8_t rcode;
    bool tc, query;
};

#define ANSWER(name) offsetof(struct answer_words, name)

static const struct word_key answer_keys[] = {
    {"to", WORD_TEXT, ANSWER(to), NULL},       {"question", WORD_TEXT, ANSWER(question), NULL},
    {"qtype", WORD_TEXT, ANSWER(qtype), NULL}, {"resolver", WORD_TEXT, ANSWER(resolver), NULL},
    {"id", WORD_I64, ANSWER(id), NULL},        {"port", WORD_I64, ANSWER(port), NULL},
    {"rcode", WORD_U8, ANSWER(rcode), NULL},   {"tc", WORD_BOOL, ANSWER(tc), NULL},
    {"query", WORD_BOOL, ANSWER(query), NULL},
};

struct record {
    const char *owner, *data, *ipv4, *ipv6;
    int type;
    uint32_t ttl;
    uint16_t class;
    uint8_t section;
};

static const struct word_key record_keys[] = {
    {"ttl", WORD_U32, offsetof(struct record, ttl), NULL},
    {"class", WORD_U16, offsetof(struct record, class), NULL},
    {"section", WORD_CHOICE, offsetof(struct record, section),
     "question|answer|authority|additional"},
    {"ipv4", WORD_TEXT, offsetof(struct record, ipv4), NULL},
    {"ipv6", WORD_TEXT, offsetof(struct record, ipv6), NULL},
};

static struct question *find_question(struct world *world, const char *label)
{
    for (size_t i = world->question_count; i-- > 0;)
        if (!label || (world->questions[i]->label && !strcmp(world->questions[i]->label, label)))
            return world->questions[i];
    return NULL;
}

/* Takes OWNER TYPE DATA and the words behind it. */
static bool take_record(struct args *args, struct record *record)
{
    const char *type;

    *record = (struct record){.ttl = 300, .class = 1, .section = record->section};
    record->owner = args_bare(args, "a record's owner");
    type = record->owner ? args_bare(args, "a record's type") : NULL;
    record->data = type ? args_bare(args, "a record's data") : NULL;
    if (!record->data)
        return false;
    record->type = type_of(type);
    if (record->type < 0)
        return script_error(args->script, args->step->line, "\"%s\" is no type", type);
    for (const struct word *word; (word = args_peek(args)) && word->key; args->next++) {
        enum word_taken taken =
            word_take(word, record_keys, sizeof(record_keys) / sizeof(record_keys[0]), record);

        if (!args_taken(args, word, taken))
            return false;
    }
    return record->section > 0 || script_error(args->script, args->step->line,
                                               "a record cannot be in the question section");
}

static bool write_address(struct dnsmsg *message, const struct record *record)
{
    bool six = record->type == TYPE_AAAA;
    uint8_t octets[16];

    if (inet_pton(six ? AF_INET6 : AF_INET, record->data, octets) != 1)
        return false;
    dnsmsg_record(message, record->owner, (uint16_t)record->type, record->ttl, octets,
                  six ? 16 : 4);
    return true;
}

/* What the builders would abort on. */
static bool record_makes_sense(const struct record *record)
{
    struct endpoint ipv4 = {.family = 4}, ipv6 = {.family = 6};
    bool named = record->type == TYPE_CNAME || record->type == TYPE_DNAME ||
                 record->type == TYPE_NS || record->type == TYPE_HTTPS || record->type == TYPE_SVCB;

    return word_name(record->owner) && (!named || word_name(record->data)) &&
           (!record->ipv4 || (word_endpoint(record->ipv4, &ipv4) && ipv4.family == 4)) &&
           (!record->ipv6 || (word_endpoint(record->ipv6, &ipv6) && ipv6.family == 6));
}

static bool write_record(struct dnsmsg *message, const struct record *record)
{
    if (!record_makes_sense(record))
        return false;
    message->section = record->section;
    message->class = record->class;
    switch (record->type) {
    case TYPE_A:
    case TYPE_AAAA:
        return write_address(message, record);
    case TYPE_CNAME:
    case TYPE_DNAME:
    case TYPE_NS:
        dnsmsg_name(message, record->owner, (uint16_t)record->type, record->ttl, record->data);
        return true;
    case TYPE_HTTPS:
    case TYPE_SVCB:
        dnsmsg_service(message, record->owner, (uint16_t)record->type, record->ttl,
                       record->ipv4 || record->ipv6 ? 1 : 0, record->data, record->ipv4,
                       record->ipv6);
        return true;
    default:
        dnsmsg_record(message, record->owner, (uint16_t)record->type, record->ttl, record->data,
                      strlen(record->data));
        return true;
    }
}

/* The question the answer repeats, which may be another one. */
static bool restate(const struct args *args, const struct question *asked,
                    const struct answer_words *words, struct dnsmsg *ret_query)
{
    uint16_t id = (uint16_t)(asked->message.bytes[0] << 8 | asked->message.bytes[1]);
    int type = words->qtype ? type_of(words->qtype) : TYPE_A;

    if (type < 0 || (words->question && !word_name(words->question)))
        return script_error(args->script, args->step->line, "this is no question");
    if (words->question)
        dnsmsg_query(ret_query, words->question, (uint16_t)type, id, 0);
    else
        *ret_query = asked->message;
    if (words->id >= 0) {
        ret_query->bytes[0] = (uint8_t)(words->id >> 8);
        ret_query->bytes[1] = (uint8_t)words->id;
    }
    return true;
}

static bool write_records(struct args *args, struct dnsmsg *message)
{
    struct record record = {.section = 1};

    while (args_peek(args)) {
        if (!take_record(args, &record))
            return false;
        if (!write_record(message, &record))
            return script_error(args->script, args->step->line, "%s ... %s is no such record",
                                record.owner, record.data);
    }
    return true;
}

static bool write_answer(struct args *args, const struct question *asked,
                         const struct answer_words *words, struct dnsmsg *message)
{
    static struct dnsmsg query;

    if (!restate(args, asked, words, &query))
        return false;
    dnsmsg_response(message, &query, words->rcode);
    if (words->tc)
        dnsmsg_flags(message, 0x0200);
    if (words->query)
        message->bytes[2] &= 0x7f;
    return write_records(args, message);
}

static bool take_answer_words(struct args *args, struct answer_words *words,
                              struct packet_words *travel)
{
    for (const struct word *word; (word = args_peek(args)) && word->key; args->next++) {
        enum word_taken taken =
            word_take(word, answer_keys, sizeof(answer_keys) / sizeof(answer_keys[0]), words);

        if (taken == WORD_UNKNOWN)
            taken = packet_words_take(word, travel);
        if (!args_taken(args, word, taken))
            return false;
    }
    return true;
}

static void answer_proxy(struct world *world, const struct question *asked,
                         const struct dnsmsg *message)
{
    pol_dns_learned learned = {0};
    int rc = pol_dns_learn(world->worker, &asked->judged, (pol_bytes){message->bytes, message->len},
                           world->now, &learned);

    world->facts.word = rc == POL_OK ? "allow" : rc == POL_E_FULL ? "servfail" : "deny";
}

static bool answer_wire(struct world *world, const struct args *args, const struct question *asked,
                        const struct answer_words *words, struct packet_words *travel)
{
    struct endpoint from = asked->resolver, to = asked->client;

    if (words->resolver && !word_endpoint(words->resolver, &from))
        return script_error(args->script, args->step->line, "\"%s\" is no address",
                            words->resolver);
    if (words->resolver && !from.has_port)
        from.port = asked->resolver.port;
    if (words->port >= 0)
        to.port = (uint16_t)words->port;
    travel_as(travel, asked->tcp);
    return send_payload(world, args, &from, &to, false, travel);
}

bool play_answer(struct world *world, struct args *args)
{
    static struct dnsmsg message;
    struct answer_words words = {.id = -1, .port = -1};
    const struct question *asked;
    struct packet_words travel;

    packet_words_init(&travel, IPPROTO_UDP);
    if (!take_answer_words(args, &words, &travel))
        return false;
    asked = find_question(world, words.to);
    if (!asked || !asked->usable)
        return script_error(args->script, args->step->line,
                            "there is no query that was let through to answer");
    if (!write_answer(args, asked, &words, &message))
        return false;
    if (!asked->on_wire) {
        answer_proxy(world, asked, &message);
        return true;
    }
    carry(world, &message, asked->tcp);
    return answer_wire(world, args, asked, &words, &travel);
}
