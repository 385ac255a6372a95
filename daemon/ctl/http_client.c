/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/http_client.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "core/fs.h"

#define TIMEOUT_MS  5000
#define BODY_LIMIT  (16 * 1024 * 1024)
#define TOKEN_LIMIT 8192

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct text *body = user;

    if (size * count > BODY_LIMIT - body->len)
        return 0;
    text_add_bytes(body, data, size * count);
    return body->failed ? 0 : size * count;
}

static struct curl_slist *make_headers(const char *token)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    struct text line = {0};

    if (token && headers) {
        text_addf(&line, "Authorization: Bearer %s", token);
        if (line.failed || !curl_slist_append(headers, line.ptr)) {
            curl_slist_free_all(headers);
            headers = NULL;
        }
        text_fini(&line);
    }
    return headers;
}

static void set_options(CURL *curl, const char *url, const struct curl_slist *headers,
                        struct text *body, char *reason)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY,
                     ""); /* a proxy of the environment cannot see our loopback */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
}

static bool perform(CURL *curl, const char *url, const char *token, struct http_reply *reply,
                    struct text *error)
{
    struct curl_slist *headers = make_headers(token);
    char reason[CURL_ERROR_SIZE] = "";
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    if (headers) {
        set_options(curl, url, headers, &reply->body, reason);
        rc = curl_easy_perform(curl);
    }
    if (rc == CURLE_OK)
        rc = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    if (rc != CURLE_OK)
        text_addf(error, "%s: %s", url, reason[0] ? reason : curl_easy_strerror(rc));
    curl_slist_free_all(headers);
    return rc == CURLE_OK;
}

bool http_client_get(const char *url, const char *path, const char *token,
                     struct http_reply *ret_reply, struct text *error)
{
    struct http_reply reply = {0};
    struct text full = {0};
    size_t len = strlen(url);
    CURL *curl = curl_easy_init();
    bool ok = false;

    while (len && url[len - 1] == '/')
        len--;
    text_add_bytes(&full, url, len);
    text_add(&full, path);

    if (!curl || full.failed)
        text_add(error, "out of memory");
    else
        ok = perform(curl, full.ptr, token, &reply, error);

    curl_easy_cleanup(curl);
    text_fini(&full);
    if (ok)
        *ret_reply = reply;
    else
        text_fini(&reply.body);
    return ok;
}

static char *trim(char *text)
{
    char *end;

    while (isspace((unsigned char)*text))
        text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text;
}

/* A header line must not be continued by what the file holds. */
static bool is_token(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (!isgraph((unsigned char)*at))
            return false;
    }
    return *text != '\0';
}

bool http_client_read_token(const char *file, char **ret_token, struct text *error)
{
    char *content = NULL, *start;
    size_t len = 0;
    int rc = fs_read_file(file, TOKEN_LIMIT, &content, &len);

    if (rc < 0) {
        text_addf(error, "%s: %s", file, strerror(-rc));
        return false;
    }

    start = trim(content);
    memmove(content, start, strlen(start) + 1);
    if (!is_token(content)) {
        text_addf(error, "%s: does not hold one token on one line", file);
        free(content);
        return false;
    }

    *ret_token = content;
    return true;
}
