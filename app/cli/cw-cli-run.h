/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* One session on a terminal, a pipe or as JSON: what sending and receiving have in common. */

#include <gio/gio.h>

#include "cw-cli-json.h"
#include "cw-cli-options.h"
#include "cw-cli-progress.h"
#include "cw-cli-prompt.h"
#include "cw-cli-terminal.h"
#include "cw-session.h"

G_BEGIN_DECLS

typedef struct {
    const CwCliOptions *options;
    CwSide side;
    CwTerminal *out; /* what happens, for people */
    CwTerminal *ask; /* questions and notices: @out if that is a terminal, else standard error */
    CwJson *json;    /* NULL without --json */
    CwPrompt *prompt;
    GMainLoop *loop;
    GCancellable *cancellable; /* of what comes before the session */
    guint signal_ids[3];
    unsigned n_interrupts;

    CwSession *session;
    CwRoute *route;
    gboolean is_text;
    gboolean to_stdout; /* the received bytes are the output, so there are no paths */
    gboolean differs;   /* our person said that the verifiers differ */
    gint64 accepted_us; /* 0: not yet */
    CwProgress progress;
    guint tick_id;
    gint64 json_due_us;

    gboolean finished;
    int exit_code;
} CwRun;

/* @status_fd: where people read what happens; -1 with --json. From here on Ctrl-C is ours: the
 * first cancels, the second ends the process. */
void cw_run_init (
    CwRun *self, const CwCliOptions *options, CwSide side, int status_fd, gboolean stdin_is_data);
void cw_run_clear (CwRun *self);

/* Whole lines for people: nothing with --quiet or --json. */
void cw_run_say (CwRun *self, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* A sentence that stands at the bottom until something happens; on terminals only. */
void cw_run_wait_for (CwRun *self, const char *text);
/* An aside, above a question that may be waiting; never on standard output unless that is a
 * terminal. */
void cw_run_notice (CwRun *self, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* "anna's laptop", emphasised; or "The other computer". Free with g_free(). */
char *cw_run_dup_peer (CwRun *self);

/* Tells the error and makes it the exit code, which is returned. */
int cw_run_fail (CwRun *self, const GError *error);

/* Connects what both sides have in common to @session (taken), starts it and runs until it is
 * finished; @started (or NULL) is called right after the start. Returns the exit code. */
int cw_run_session (CwRun *self,
                    CwSession *session,
                    void (*started) (gpointer user_data),
                    gpointer user_data);

/* Our person said yes (receiver), or theirs (sender). */
void cw_run_show_connected (CwRun *self);

G_END_DECLS
