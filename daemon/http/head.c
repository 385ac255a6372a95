// SPDX-License-Identifier: Apache-2.0
#include "http/head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define TARGET_LIMIT 8192
#define FIELD_LIMIT  60 /* below what the parser keeps, so that none is lost unseen */

static int refuse(int status, const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return status;
}

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

static int is_known_method(const char *method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i], method) == 0)
            return 1;
    return 0;
}

static int check_target(const char *target, const char **ret_reason)
{
    if (strlen(target) > TARGET_LIMIT)
        return refuse(414, "request target too long", ret_reason);
    if (*target != '/')
        return refuse(400, "request target must be a path", ret_reason);

    for (const char *c = target; *c; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || *c == '\\')
            return refuse(400, "request target contains a character it must not", ret_reason);
        if (*c == '?')
            break;
        if (c[0] == '/' && c[1] == '/')
            return refuse(400, "request target contains an empty segment", ret_reason);
        if (c[0] == '%' && c[1] == '0' && c[2] == '0')
            return refuse(400, "request target contains a NUL", ret_reason);
    }
    return 0;
}

static size_t count_field(const struct http_head *head, const char *name, const char **ret_value)
{
    size_t count = 0;

    for (size_t i = 0; i < head->field_count; i++) {
        if (strcasecmp(head->fields[i].name, name) == 0) {
            *ret_value = head->fields[i].value;
            count++;
        }
    }
    return count;
}

static int is_length(const char *value)
{
    size_t len = strlen(value);

    for (size_t i = 0; i < len; i++)
        if (!isdigit((unsigned char)value[i]))
            return 0;
    return len > 0 && len <= 18;
}

static int check_length(const struct http_head *head, const char **ret_reason)
{
    const char *length = NULL, *coding = NULL;
    size_t lengths = count_field(head, "Content-Length", &length);

    if (count_field(head, "Transfer-Encoding", &coding))
        return refuse(lengths ? 400 : 411, "send a Content-Length instead of Transfer-Encoding",
                      ret_reason);
    if (lengths > 1 || (lengths == 1 && !is_length(length)))
        return refuse(400, "Content-Length is not one number", ret_reason);
    return 0;
}

static int check_single(const struct http_head *head, const char **ret_reason)
{
    static const char *const singles[] = {"Host", "Authorization"};
    const char *value = NULL;

    for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++)
        if (count_field(head, singles[i], &value) > 1)
            return refuse(400, "a header that may appear once is there twice", ret_reason);
    if (strcmp(head->version, "1.1") == 0 && count_field(head, "Host", &value) == 0)
        return refuse(400, "Host is missing", ret_reason);
    return 0;
}

int head_check(const struct http_head *head, const char **ret_reason)
{
    int status;

    if (strcmp(head->version, "1.1") != 0 && strcmp(head->version, "1.0") != 0)
        return refuse(400, "only HTTP/1.1 and HTTP/1.0 are spoken here", ret_reason);
    if (!is_known_method(head->method))
        return refuse(501, "unknown method", ret_reason);
    if (head->field_count > FIELD_LIMIT)
        return refuse(431, "too many header fields", ret_reason);

    status = check_target(head->target, ret_reason);
    if (status == 0)
        status = check_length(head, ret_reason);
    if (status == 0)
        status = check_single(head, ret_reason);
    return status;
}
