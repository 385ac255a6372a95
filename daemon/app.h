/* SPDX-License-Identifier: Apache-2.0 */
#ifndef APP_H
#define APP_H

#include <stdbool.h>

#include "core/config.h"
#include "core/options.h"
#include "core/text.h"

/* The whole daemon: every part, built in order and taken down in reverse. Main thread. */
struct app;

/*
 * Builds and starts everything. `config` must outlive the app. Call signals_block() before.
 *
 * @return 0; -EINVAL when configuration or policy is at fault; -ECANCELED when a signal ended the
 *         wait for the capture (a thread still waits: end without cleaning up); or another negative
 *         errno. One line per problem is in `ret_error`
 */
int app_start(const struct config *config, bool temporary_state, struct app **ret_app,
              struct text *ret_error);

/* Reads the configuration again, applies what can be and names what needs a restart. */
void app_reload(struct app *app, const struct options *options);

/*
 * Drains and stops. False when a thread did not end in time: what it uses was left alone, and the
 * process must end without cleaning up; only a temporary state directory is gone.
 */
bool app_stop(struct app *app);

#endif
