// SPDX-License-Identifier: Apache-2.0
#include "http/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SERIES 512 /* more than routes, methods and statuses can make */

/* Upper bounds in nanoseconds, and as they are printed. */
static const struct {
    uint64_t ns;
    const char *text;
} buckets[] = {
    {5000000, "0.005"},  {10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},
    {100000000, "0.1"},  {250000000, "0.25"}, {500000000, "0.5"},  {1000000000, "1"},
    {2500000000, "2.5"}, {5000000000, "5"},   {10000000000, "10"},
};

#define BUCKETS (sizeof(buckets) / sizeof(buckets[0]))

struct series {
    const char *path, *method;
    int status;
    uint64_t count, sum_ns;
    uint64_t within[BUCKETS]; /* requests that took no longer */
};

struct http_metrics {
    pthread_mutex_t lock;
    uint64_t auth[AUTH_OUTCOMES];
    size_t count;
    struct series series[SERIES];
};

int http_metrics_new(struct http_metrics **ret_metrics)
{
    struct http_metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        return -ENOMEM;

    pthread_mutex_init(&metrics->lock, NULL);
    *ret_metrics = metrics;
    return 0;
}

void http_metrics_free(struct http_metrics *metrics)
{
    if (!metrics)
        return;

    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static struct series *find(struct http_metrics *metrics, const char *path, const char *method,
                           int status)
{
    struct series *series = metrics->series;

    for (size_t i = 0; i < metrics->count; i++, series++)
        if (series->status == status && strcmp(series->path, path) == 0 &&
            strcmp(series->method, method) == 0)
            return series;

    if (metrics->count == SERIES)
        return NULL;

    metrics->count++;
    *series = (struct series){.path = path, .method = method, .status = status};
    return series;
}

void http_metrics_request(struct http_metrics *metrics, const char *path, const char *method,
                          int status, uint64_t took_ns)
{
    struct series *series;

    pthread_mutex_lock(&metrics->lock);
    series = find(metrics, path, method, status);
    if (series) {
        series->count++;
        series->sum_ns += took_ns;
        for (size_t i = 0; i < BUCKETS; i++)
            series->within[i] += took_ns <= buckets[i].ns;
    }
    pthread_mutex_unlock(&metrics->lock);
}

void http_metrics_auth(struct http_metrics *metrics, enum auth_outcome outcome)
{
    pthread_mutex_lock(&metrics->lock);
    metrics->auth[outcome]++;
    pthread_mutex_unlock(&metrics->lock);
}

static void print_labels(const struct series *series, struct text *out)
{
    text_addf(out, "path=\"%s\",method=\"%s\",status=\"%d\"", series->path, series->method,
              series->status);
}

static void print_counts(const struct http_metrics *metrics, struct text *out)
{
    text_add(out, "# HELP http_requests_total Requests answered, by route.\n"
                  "# TYPE http_requests_total counter\n");
    for (size_t i = 0; i < metrics->count; i++) {
        text_add(out, "http_requests_total{");
        print_labels(&metrics->series[i], out);
        text_addf(out, "} %" PRIu64 "\n", metrics->series[i].count);
    }
}

static void print_duration(const struct series *series, struct text *out)
{
    static const char name[] = "http_request_duration_seconds";

    for (size_t i = 0; i <= BUCKETS; i++) {
        text_addf(out, "%s_bucket{", name);
        print_labels(series, out);
        text_addf(out, ",le=\"%s\"} %" PRIu64 "\n", i < BUCKETS ? buckets[i].text : "+Inf",
                  i < BUCKETS ? series->within[i] : series->count);
    }
    text_addf(out, "%s_sum{", name);
    print_labels(series, out);
    text_addf(out, "} %.9f\n%s_count{", (double)series->sum_ns / 1e9, name);
    print_labels(series, out);
    text_addf(out, "} %" PRIu64 "\n", series->count);
}

static void print_auth(const struct http_metrics *metrics, struct text *out)
{
    text_add(out, "# HELP http_auth_total Requests that needed a token, by what came of it.\n"
                  "# TYPE http_auth_total counter\n");
    for (int i = 0; i < AUTH_OUTCOMES; i++)
        text_addf(out, "http_auth_total{outcome=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
                  i == AUTH_VALID ? "allow" : "deny", auth_reason((enum auth_outcome)i),
                  metrics->auth[i]);
}

void http_metrics_print(struct http_metrics *metrics, struct text *out)
{
    pthread_mutex_lock(&metrics->lock);
    print_counts(metrics, out);
    text_add(out, "# HELP http_request_duration_seconds Time from a request to its answer.\n"
                  "# TYPE http_request_duration_seconds histogram\n");
    for (size_t i = 0; i < metrics->count; i++)
        print_duration(&metrics->series[i], out);
    print_auth(metrics, out);
    pthread_mutex_unlock(&metrics->lock);
}
