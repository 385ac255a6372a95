/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/http_client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "core/fs.h"

#define TIMEOUT_MS  5000
#define SILENCE_S   45
#define LOOK_MS     100
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

static void join(const char *url, const char *path, struct text *out)
{
    size_t len = strlen(url);

    while (len && url[len - 1] == '/')
        len--;
    text_add_bytes(out, url, len);
    text_add(out, path);
}

bool http_client_get(const char *url, const char *path, const char *token,
                     struct http_reply *ret_reply)
{
    struct http_reply reply = {0};
    struct text full = {0}, error = {0};
    CURL *curl = curl_easy_init();
    bool ok = false;

    join(url, path, &full);
    if (!curl || full.failed)
        text_add(&error, "out of memory");
    else
        ok = perform(curl, full.ptr, token, &reply, &error);

    curl_easy_cleanup(curl);
    text_fini(&full);
    if (ok) {
        *ret_reply = reply;
    } else {
        fprintf(stderr, "policyctl: %s; is policyd running there?\n", error.ptr);
        text_fini(&reply.body);
    }
    text_fini(&error);
    return ok;
}

/* --- an answer without an end --------------------------------------------------------------- */

struct following {
    const struct http_client_stream *stream;
    CURL *curl;
    struct text *body; /* of an answer that is no stream */
    bool enough;
};

static size_t take_stream(char *data, size_t size, size_t count, void *user)
{
    struct following *following = user;
    const struct http_client_stream *stream = following->stream;
    long status = 0;

    curl_easy_getinfo(following->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return take_body(data, size, count, following->body);
    following->enough = !stream->take(stream->user, data, size * count);
    return following->enough ? 0 : size * count;
}

/* The transfer's result; CURLE_OK also when there is enough of it. */
static CURLcode run_multi(CURLM *multi, struct following *following)
{
    const struct http_client_stream *stream = following->stream;
    const CURLMsg *message;
    int running = 1, left;

    while (running && !following->enough) {
        if (curl_multi_perform(multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(multi, NULL, 0, LOOK_MS, NULL) != CURLM_OK))
            return CURLE_OUT_OF_MEMORY;
        following->enough |= !stream->look(stream->user);
    }

    message = curl_multi_info_read(multi, &left);
    return !following->enough && message ? message->data.result : CURLE_OK;
}

static CURLcode run_transfer(struct following *following)
{
    CURLM *multi = curl_multi_init();
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    if (multi && curl_multi_add_handle(multi, following->curl) == CURLM_OK)
        rc = run_multi(multi, following);
    curl_multi_remove_handle(multi, following->curl);
    curl_multi_cleanup(multi);
    return rc;
}

/* A stream that was cut off is no error: the caller knows what came. */
static bool follow(struct following *following, const char *url, struct http_reply *reply,
                   struct text *error)
{
    struct curl_slist *headers = make_headers(following->stream->token);
    char reason[CURL_ERROR_SIZE] = "";
    CURLcode rc = CURLE_OUT_OF_MEMORY;
    CURL *curl = following->curl;

    if (headers) {
        set_options(curl, url, headers, &reply->body, reason);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 0L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_stream);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, following);
        rc = run_transfer(following);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    }
    if (rc != CURLE_OK && !reply->status)
        text_addf(error, "%s: %s", url, reason[0] ? reason : curl_easy_strerror(rc));
    curl_slist_free_all(headers);
    return rc == CURLE_OK || reply->status;
}

bool http_client_follow(const struct http_client_stream *stream, struct http_reply *ret_reply,
                        struct text *error)
{
    struct following following = {.stream = stream, .curl = curl_easy_init()};
    struct http_reply reply = {0};
    struct text full = {0};
    bool ok = false;

    following.body = &reply.body;
    join(stream->url, stream->path, &full);
    if (!following.curl || full.failed)
        text_add(error, "out of memory");
    else
        ok = follow(&following, full.ptr, &reply, error);

    curl_easy_cleanup(following.curl);
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

bool http_client_read_token(const char *file, const char *who, char **ret_token, struct text *error)
{
    char *content = NULL, *start;
    size_t len = 0;
    int rc;

    if (!file || !file[0]) {
        text_addf(error, "%s a token: --token-file FILE or POLICYCTL_TOKEN_FILE", who);
        return false;
    }

    rc = fs_read_file(file, TOKEN_LIMIT, &content, &len);
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
