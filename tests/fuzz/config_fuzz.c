/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the input as a configuration file of policyd. What is refused says where: every line names
 * the source with line and column, and is a line of text. What is accepted prints to a file that
 * reads back to the same configuration, and goes through the checks of the whole. The lines of the
 * input are also taken as a command line.
 */
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/options.h"

enum { ARGUMENTS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* "fuzz:LINE:COLUMN: ...", or "fuzz: ..." for the file as a whole. */
static void check_line(const char *line, bool placed)
{
    size_t digits;

    require(strncmp(line, "fuzz:", 5) == 0);
    line += 5;
    if (!placed) {
        require(*line == ' ');
        return;
    }
    for (int number = 0; number < 2; number++) {
        digits = strspn(line, "0123456789");
        require(digits > 0 && *line != '0' && line[digits] == ':');
        line += digits + 1;
    }
    require(*line == ' ' && line[1] != '\n');
}

static void check_errors(const struct text *errors, bool placed)
{
    const char *line = errors->ptr;

    require(!errors->failed && strlen(errors->ptr) == errors->len);
    require(errors->ptr[errors->len - 1] == '\n');
    while (*line) {
        check_line(line, placed);
        line = strchr(line, '\n') + 1;
    }
}

static void print_and_read_back(const struct config *config)
{
    struct text first = {0}, second = {0}, errors = {0};
    struct config again;

    config_print(config, &first);
    require(!first.failed && config_init(&again) == 0);
    require(config_read_yaml(&again, "fuzz", first.ptr, first.len, &errors));
    config_print(&again, &second);
    require(second.len == first.len && memcmp(second.ptr, first.ptr, first.len) == 0);
    config_fini(&again);
    text_fini(&first);
    text_fini(&second);
    text_fini(&errors);
}

static void read_file(const char *yaml, size_t len)
{
    struct text errors = {0};
    struct config config;

    require(config_init(&config) == 0);
    if (!config_read_yaml(&config, "fuzz", yaml, len, &errors)) {
        require(errors.len > 0);
        check_errors(&errors, true);
    } else {
        require(errors.len == 0);
        print_and_read_back(&config);
        if (!config_check(&config, "fuzz", &errors))
            check_errors(&errors, false);
    }
    config_fini(&config);
    text_fini(&errors);
}

static bool is_ascii(const struct options *options)
{
    for (size_t i = 0; i < options->given_count; i++)
        for (const char *c = options->given[i].value; *c; c++)
            if (*c & 0x80)
                return false;
    return true;
}

/* No file is read: a command line that names one is parsed and left at that. What is no UTF-8 has
 * no form in YAML, so it need not come back. */
static void load(const struct options *options)
{
    struct text errors = {0};
    struct config config;

    if (options->config_file)
        return;
    if (options_load(options, &config, &errors)) {
        require(errors.len == 0);
        if (is_ascii(options))
            print_and_read_back(&config);
        config_fini(&config);
    } else {
        require(errors.len > 0 && errors.ptr[errors.len - 1] == '\n');
    }
    text_fini(&errors);
}

static void read_arguments(char *lines)
{
    char *argv[ARGUMENTS + 2] = {"policyd"};
    struct text errors = {0};
    struct options options;
    int argc = 1;

    for (char *line = strtok(lines, "\n"); line && argc <= ARGUMENTS; line = strtok(NULL, "\n"))
        argv[argc++] = line;
    if (options_parse(argc, argv, &options, &errors)) {
        require(errors.len == 0);
        load(&options);
    } else {
        require(errors.len > 0 && errors.ptr[errors.len - 1] == '\n');
    }
    text_fini(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);

    require(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    read_file((const char *)data, size);
    read_arguments(copy);
    free(copy);
    return 0;
}
