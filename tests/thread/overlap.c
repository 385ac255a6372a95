/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where assertions are on, a worker that is used while it is used ends the program. Who enters a
 * second time here is an allocator that calls back, so that it happens every time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "thread.h"

static pol_worker *worker;
static bool calls_back;

static void *alloc(void *user, size_t size)
{
    pol_packet packet = {.kind = POL_PKT_BROKEN};
    pol_verdict verdict;

    (void)user;
    if (calls_back)
        pol_worker_decide(worker, &packet, 1, &verdict);
    return malloc(size);
}

static void *resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    return realloc(ptr, new_size);
}

static void release(void *user, void *ptr, size_t size)
{
    (void)user;
    (void)size;
    free(ptr);
}

/* Reloads from a policy without names to one with many, which takes memory. */
static void reload(void)
{
    static const pol_mem mem = {NULL, alloc, resize, release};
    pol_ctx_options options;
    pol_policy *policy;
    pol_ctx *ctx;
    char text[4000];
    size_t len;

    pol_ctx_options_init(&options, sizeof(options));
    options.mem = &mem;
    if (pol_ctx_new(&options, &ctx) != POL_OK || pol_worker_new(ctx, NULL, &worker) != POL_OK)
        exit(2);
    len = (size_t)snprintf(text, sizeof(text),
                           "{'source_groups':[{'id':'g','mode':'enforce',"
                           "'sources':{'ips':['10.0.0.1']},'rules':[");
    for (int i = 0; i < 40; i++)
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len,
                             "%s{'id':'%d','action':'allow','match':{'dns_hostname':'^a%d[bc]'}}",
                             i ? "," : "", i, i);
    snprintf(text + len, sizeof(text) - len, "]}]}");
    policy = thread_policy(ctx, text);
    calls_back = true;
    pol_worker_use(worker, policy, 1);
    calls_back = false;
    pol_policy_unref(policy);
    pol_worker_free(worker);
    pol_ctx_unref(ctx);
}

/* How a process ends that does it; what it says goes to `said`. */
static int end_of(char *said, size_t capacity)
{
    static const struct rlimit no_core = {0, 0};
    int ends[2], status = 0;
    size_t len = 0;
    ssize_t more;
    pid_t pid;

    if (pipe(ends) != 0 || (pid = fork()) < 0)
        exit(2);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        reload();
        _exit(0);
    }
    close(ends[1]);
    /* Some C libraries write the sentence in pieces. */
    while ((more = read(ends[0], said + len, capacity - 1 - len)) > 0)
        len += (size_t)more;
    said[len] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    return status;
}

int main(void)
{
    char said[1024];
    int status = end_of(said, sizeof(said));

#ifdef NDEBUG
    if (status != 0)
        thread_fault("without assertions the program ends, too");
#else
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        thread_fault("the program goes on");
    if (!strstr(said, "two threads use one worker at the same time"))
        thread_fault("it says \"%s\"", said);
#endif
    return thread_result();
}
