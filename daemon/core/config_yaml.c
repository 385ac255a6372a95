// SPDX-License-Identifier: Apache-2.0
/*
 * Reads a configuration file. It walks the parser's events, so every message has the place
 * of the value it is about. What YAML offers beyond maps, lists and plain values (anchors, tags,
 * several documents) is refused: a configuration needs none of it, and anchors can be made to
 * expand without end.
 */
#include "core/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "core/fs.h"

#define FILE_LIMIT (1 << 20)
#define NAME_SIZE  256

struct reading {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; always initialised */
    struct config *config;
    const char *source;
    struct text *errors;
    uint64_t seen; /* bit i: key i stood in this file already */
    bool broken;   /* no further event can be had */
};

static struct config_place place_of(const struct reading *in, yaml_mark_t mark)
{
    return (struct config_place){in->source, mark.line + 1, mark.column + 1};
}

static struct config_place here(const struct reading *in)
{
    return place_of(in, in->event.start_mark);
}

static void next(struct reading *in)
{
    yaml_event_delete(&in->event);
    if (yaml_parser_parse(&in->parser, &in->event))
        return;

    memset(&in->event, 0, sizeof(in->event));
    in->broken = true;
    config_report(in->errors, place_of(in, in->parser.problem_mark), "not YAML: %s",
                  in->parser.problem ? in->parser.problem : "out of memory");
}

static const char *scalar(const struct reading *in)
{
    return (const char *)in->event.data.scalar.value;
}

static bool is_null(const struct reading *in)
{
    const char *text = scalar(in);

    return in->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* Steps over the current value, however deep it is, and stands on what follows. */
static void skip(struct reading *in)
{
    int depth = 0;

    do {
        if (in->event.type == YAML_MAPPING_START_EVENT ||
            in->event.type == YAML_SEQUENCE_START_EVENT)
            depth++;
        if (in->event.type == YAML_MAPPING_END_EVENT || in->event.type == YAML_SEQUENCE_END_EVENT)
            depth--;
        next(in);
    } while (depth > 0 && !in->broken);
}

static bool is_plain_value(struct reading *in, const struct config_key *key)
{
    if (in->event.type != YAML_SCALAR_EVENT) {
        config_report(in->errors, here(in), "%s: expected a single value", key->name);
        return false;
    }
    if (is_null(in)) {
        config_report(in->errors, here(in), "%s: has no value", key->name);
        return false;
    }
    if (strlen(scalar(in)) != in->event.data.scalar.length) {
        config_report(in->errors, here(in), "%s: contains a NUL character", key->name);
        return false;
    }
    return true;
}

static void read_value(struct reading *in, const struct config_key *key)
{
    if (is_plain_value(in, key))
        config_set(in->config, key, scalar(in), here(in), in->errors);
    skip(in);
}

static void read_list(struct reading *in, const struct config_key *key)
{
    if (in->event.type != YAML_SEQUENCE_START_EVENT) {
        config_report(in->errors, here(in), "%s: expected a list, such as [a, b]", key->name);
        skip(in);
        return;
    }

    config_clear_list(in->config, key);
    config_mark_set(in->config, key);
    next(in);
    while (!in->broken && in->event.type != YAML_SEQUENCE_END_EVENT)
        read_value(in, key);
    next(in);
}

static void read_section(struct reading *in, const char *section);

static void refuse_name(struct reading *in, const char *name, struct config_place place)
{
    struct text message = {0};

    text_addf(&message, "unknown key \"%s\"", name);
    config_suggest(&message, name);
    config_report(in->errors, place, "%s", message.ptr ? message.ptr : "unknown key");
    text_fini(&message);
    skip(in);
}

static void read_key(struct reading *in, const char *name, struct config_place place)
{
    const struct config_key *key = config_find(name);

    if (!key && config_is_section(name)) {
        read_section(in, name);
        return;
    }
    if (!key) {
        refuse_name(in, name, place);
        return;
    }

    if (in->seen & (UINT64_C(1) << (key - config_keys)))
        config_report(in->errors, place, "%s: stands here for the second time", name);
    in->seen |= UINT64_C(1) << (key - config_keys);

    if (key->type == CONFIG_LIST)
        read_list(in, key);
    else
        read_value(in, key);
}

static void read_entry(struct reading *in, const char *section)
{
    struct config_place place = here(in);
    char name[NAME_SIZE];

    if (in->event.type != YAML_SCALAR_EVENT) {
        config_report(in->errors, place, "expected the name of a key");
        skip(in);
        skip(in);
        return;
    }
    if (strlen(scalar(in)) != in->event.data.scalar.length) {
        config_report(in->errors, place, "the name of a key contains a NUL character");
        next(in);
        skip(in);
        return;
    }

    snprintf(name, sizeof(name), "%s%s%s", section, *section ? "." : "", scalar(in));
    next(in);
    if (!in->broken)
        read_key(in, name, place);
}

static void read_section(struct reading *in, const char *section)
{
    /* A section whose keys are all commented out reads as null. */
    if (in->event.type == YAML_SCALAR_EVENT && is_null(in)) {
        next(in);
        return;
    }
    if (in->event.type != YAML_MAPPING_START_EVENT) {
        config_report(in->errors, here(in), "%s: expected keys and values",
                      *section ? section : "configuration");
        skip(in);
        return;
    }

    next(in);
    while (!in->broken && in->event.type != YAML_MAPPING_END_EVENT)
        read_entry(in, section);
    next(in);
}

static bool uses_extras(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return true;
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor || event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor || event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor || event->data.mapping_start.tag;
    default:
        return false;
    }
}

/*
 * One pass before the reading one, so that the reader never meets an alias, a tag or a syntax
 * error: what such a file might mean is not worth telling.
 */
static bool is_readable(const char *source, const char *yaml, size_t len, struct text *errors)
{
    struct reading in = {.source = source, .errors = errors};
    bool extras = false;

    if (!yaml_parser_initialize(&in.parser)) {
        config_report(errors, (struct config_place){.source = source}, "out of memory");
        return false;
    }

    yaml_parser_set_input_string(&in.parser, (const unsigned char *)yaml, len);
    do {
        next(&in);
        extras = uses_extras(&in.event);
        if (extras)
            config_report(errors, here(&in), "anchors, aliases and tags are not used here");
    } while (!extras && !in.broken && in.event.type != YAML_STREAM_END_EVENT);

    yaml_event_delete(&in.event);
    yaml_parser_delete(&in.parser);
    return !extras && !in.broken;
}

static void read_document(struct reading *in)
{
    next(in); /* stream start */
    next(in);
    if (in->broken || in->event.type == YAML_STREAM_END_EVENT)
        return;

    next(in); /* document start */
    if (!in->broken)
        read_section(in, "");
    next(in); /* document end */
    if (!in->broken && in->event.type != YAML_STREAM_END_EVENT)
        config_report(in->errors, here(in), "a second document begins here; one is enough");
}

bool config_read_yaml(struct config *config, const char *source, const char *yaml, size_t len,
                      struct text *errors)
{
    struct reading in = {.config = config, .source = source, .errors = errors};
    size_t before = errors->len;

    if (!is_readable(source, yaml, len, errors))
        return false;
    if (!yaml_parser_initialize(&in.parser)) {
        config_report(errors, (struct config_place){.source = source}, "out of memory");
        return false;
    }

    yaml_parser_set_input_string(&in.parser, (const unsigned char *)yaml, len);
    read_document(&in);
    yaml_event_delete(&in.event);
    yaml_parser_delete(&in.parser);
    return errors->len == before && !errors->failed;
}

bool config_read_file(struct config *config, const char *path, struct text *errors)
{
    char *yaml = NULL;
    size_t len;
    bool good;
    int rc;

    rc = fs_read_file(path, FILE_LIMIT, &yaml, &len);
    if (rc < 0) {
        config_report(errors, (struct config_place){.source = path}, "%s", strerror(-rc));
        return false;
    }

    good = config_read_yaml(config, path, yaml, len, errors);
    free(yaml);
    return good;
}
