// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

static const struct route routes[] = {
    {"GET", "/health", AUTH_OPEN, api_health},
    {"GET", "/ready", AUTH_OPEN, api_ready},
    {"GET", "/metrics", AUTH_OPEN, api_metrics},
    {"GET", "/api/v1/stats", AUTH_TOKEN, api_stats},
    {"GET", "/api/v1/dns-cache", AUTH_TOKEN, api_dns_cache},
    {"GET", "/api/v1/audit/findings", AUTH_TOKEN, api_findings},
    {"GET", "/api/v1/audit/findings/local", AUTH_TOKEN, api_findings},
    {"GET", "/api/v1/wiretap/stream", AUTH_TOKEN, api_wiretap},
    {"GET", "/api/v1/policy", AUTH_TOKEN, api_policy_get},
    {"PUT", "/api/v1/policy", AUTH_ADMIN, api_policy_put},
    {"GET", "/api/v1/settings/performance-mode", AUTH_TOKEN, api_performance_get},
    {"PUT", "/api/v1/settings/performance-mode", AUTH_ADMIN, api_performance_put},
};

const struct route_table api_routes = {routes, sizeof(routes) / sizeof(routes[0])};
