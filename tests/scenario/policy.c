/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static const char *code_word(uint32_t code)
{
    switch (code) {
#define XX(name, number, what)                                                                     \
    case number:                                                                                   \
        return #name;
        POL_DIAG_MAP(XX)
#undef XX
    default:
        return "?";
    }
}

static void add_diag(struct facts *facts, const pol_diag *diag)
{
    const char *key = diag->severity == POL_DIAG_ERROR ? "error" : "warning";

    facts_add(facts, key, "%s %.*s %u:%u %.*s", code_word(diag->code), STR(diag->path),
              (unsigned)diag->line, (unsigned)diag->column, STR(diag->text));
    facts_add(facts, "text", "%.*s", STR(diag->text));
}

static void add_diags(struct facts *facts, const pol_diags *diags)
{
    size_t count = pol_diags_count(diags), errors = pol_diags_errors(diags);

    facts_declare(facts, "error");
    facts_declare(facts, "warning");
    facts_declare(facts, "text");
    for (size_t i = 0; i < count; i++)
        add_diag(facts, pol_diags_at(diags, i));
    facts_add(facts, "errors", "%zu", errors);
    facts_add(facts, "warnings", "%zu", count > errors ? count - errors : 0);
}

static void add_json(struct facts *facts, const pol_policy *policy)
{
    size_t len = 0;
    char *json;

    (void)pol_policy_json(policy, NULL, 0, &len);
    json = grow(NULL, len + 1);
    if (pol_policy_json(policy, json, len, &len) == POL_OK)
        facts_add(facts, "json", "%.*s", (int)len, json);
    free(json);
}

/* Reads a policy file that lies beside the scenario. */
static bool load_document(struct world *world, const struct args *args, const char *name)
{
    const char *slash = strrchr(world->script->path, '/');
    int dir = slash ? (int)(slash - world->script->path) + 1 : 0;
    char path[4096], *text = NULL;
    size_t len = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%.*s%s", dir, world->script->path, name);
    file = fopen(path, "rb");
    if (!file)
        return script_error(world->script, args->step->line, "%s cannot be read", path);
    for (int c; (c = getc(file)) != EOF; len++) {
        text = grow(text, len + 1);
        text[len] = (char)c;
    }
    fclose(file);
    world->loaded = grow(world->loaded, (world->loaded_count + 1) * sizeof(char *));
    world->loaded[world->loaded_count++] = text;
    world->document = (pol_str){text, len};
    return true;
}

/* Which document the step means; without an argument, the one in force. */
static bool take_document(struct world *world, struct args *args)
{
    const struct word *word = args_next(args);

    if (word && (word->key || args_peek(args)))
        return args_unknown(args, word->key ? word : args_peek(args));
    if (args->step->document.ptr)
        world->document = args->step->document;
    else if (word)
        return load_document(world, args, word->text);
    else if (!world->document.ptr)
        return script_error(world->script, args->step->line, "which policy?");
    return true;
}

static void keep_policy(struct world *world, pol_policy *policy)
{
    world->policies = grow(world->policies, (world->generation + 1) * sizeof(*world->policies));
    world->policies[world->generation++] = policy;
}

/* Without a word about it, a document must be accepted. */
static bool may_be_rejected(struct world *world, const struct step *step)
{
    if (step->expected)
        return true;
    (void)script_error(world->script, step->line, "the document was rejected:");
    facts_print(&world->facts);
    return false;
}

bool play_policy(struct world *world, struct args *args)
{
    pol_str before = world->document;
    pol_compile_options options;
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;

    if (!take_document(world, args))
        return false;
    pol_compile_options_init(&options, sizeof(options));
    options.default_allow = world->settings.default_allow;
    (void)pol_compile(world->ctx, world->document, &options, &policy, &diags);
    world->facts.word = policy ? "accepted" : "rejected";
    add_diags(&world->facts, diags);
    pol_diags_free(diags);
    if (policy) {
        add_json(&world->facts, policy);
        keep_policy(world, policy);
        world_use_policy(world);
        return true;
    }
    world->document = before;
    return may_be_rejected(world, args->step);
}

const pol_policy *policy_of(const struct world *world, uint64_t generation)
{
    return generation && generation <= world->generation ? world->policies[generation - 1] : NULL;
}

bool group_key_of(const struct world *world, const char *id, uint64_t *ret_key)
{
    *ret_key = 0;
    if (!strcmp(id, "-"))
        return true;
    for (uint64_t generation = world->generation; generation; generation--) {
        const pol_policy *policy = policy_of(world, generation);

        for (uint32_t i = 0; i < pol_policy_group_count(policy); i++) {
            pol_str found = pol_policy_group_id(policy, i);

            if (found.len != strlen(id) || memcmp(found.ptr, id, found.len))
                continue;
            *ret_key = pol_policy_group_key(policy, i);
            return true;
        }
    }
    return false;
}
