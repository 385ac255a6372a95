// SPDX-License-Identifier: Apache-2.0
/*
 * JSON is YAML in flow style, so libyaml reads it and writes the same events in block style. Texts
 * keep their quotes: a policy may hold the text "no" or "443", which bare would be something else.
 */
#include "core/yaml_print.h"

#include <string.h>

#include <yaml.h>

static int append(void *data, unsigned char *piece, size_t len)
{
    struct text *out = data;

    text_add_bytes(out, (const char *)piece, len);
    return !out->failed;
}

static void restyle(yaml_event_t *event)
{
    if (event->type == YAML_SEQUENCE_START_EVENT)
        event->data.sequence_start.style = YAML_BLOCK_SEQUENCE_STYLE;
    if (event->type == YAML_MAPPING_START_EVENT)
        event->data.mapping_start.style = YAML_BLOCK_MAPPING_STYLE;
    if (event->type == YAML_DOCUMENT_START_EVENT)
        event->data.document_start.implicit = 1;
}

/* Keys of the document are plain words; only values need their quotes. */
static void restyle_key(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT) {
        event->data.scalar.style = YAML_ANY_SCALAR_STYLE;
        event->data.scalar.plain_implicit = 1;
    }
}

#define DEEPEST 64 /* a policy document nests half as deep at most */

/* Which of the events are keys: every other one inside a mapping. */
struct nesting {
    bool mapping[DEEPEST];
    bool key_next[DEEPEST];
    size_t depth;
};

static bool step(struct nesting *nesting, const yaml_event_t *event)
{
    bool opens =
        event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
    bool closes = event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT;
    bool is_key;

    if (closes) {
        nesting->depth--;
        return false;
    }

    is_key = nesting->mapping[nesting->depth] && nesting->key_next[nesting->depth];
    if (opens || event->type == YAML_SCALAR_EVENT)
        nesting->key_next[nesting->depth] = !nesting->key_next[nesting->depth];
    if (opens) {
        nesting->depth++;
        nesting->mapping[nesting->depth] = event->type == YAML_MAPPING_START_EVENT;
        nesting->key_next[nesting->depth] = true;
    }
    return is_key;
}

static bool copy_events(yaml_parser_t *parser, yaml_emitter_t *emitter)
{
    struct nesting nesting = {0};
    yaml_event_t event;
    bool ended = false;

    while (!ended) {
        if (nesting.depth + 1 == DEEPEST || !yaml_parser_parse(parser, &event))
            return false;
        ended = event.type == YAML_STREAM_END_EVENT;
        restyle(&event);
        if (step(&nesting, &event))
            restyle_key(&event);
        if (!yaml_emitter_emit(emitter, &event)) /* takes the event in every case */
            return false;
    }
    return true;
}

bool yaml_print_json(const char *json, size_t len, struct text *out)
{
    yaml_parser_t parser;
    yaml_emitter_t emitter;
    bool good;

    if (!yaml_parser_initialize(&parser))
        return false;
    if (!yaml_emitter_initialize(&emitter)) {
        yaml_parser_delete(&parser);
        return false;
    }

    yaml_parser_set_input_string(&parser, (const unsigned char *)json, len);
    yaml_emitter_set_output(&emitter, append, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    good = copy_events(&parser, &emitter) && !out->failed;
    yaml_emitter_delete(&emitter);
    yaml_parser_delete(&parser);
    return good;
}
