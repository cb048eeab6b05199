/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-run.h"

#include <glib-unix.h>
#include <glib/gi18n.h>
#include <signal.h>
#include <unistd.h>

#include "cw-cli-text.h"
#include "cw-cli-words.h"
#include "cw-names.h"

#define TICK_MS 100
#define JSON_PROGRESS_US (500 * G_TIME_SPAN_MILLISECOND)
#define LISTED_FAILURES 20
#define LISTED_PATHS 5
#define DETAIL_MAX 500
#define NOTICE_MAX 1000

/* --- Lines for people --- */

static gboolean
is_silent (CwRun *self)
{
    return self->json != NULL || self->options->quiet;
}

void
cw_run_say (CwRun *self, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (is_silent (self))
        return;
    va_start (args, format);
    text = g_strdup_vprintf (format, args);
    va_end (args);
    if (self->out == self->ask)
        cw_prompt_print_above (self->prompt, text);
    else
        cw_terminal_print (self->out, "%s", text);
}

void
cw_run_notice (CwRun *self, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (is_silent (self))
        return;
    va_start (args, format);
    text = g_strdup_vprintf (format, args);
    va_end (args);
    cw_prompt_print_above (self->prompt, text);
}

void
cw_run_wait_for (CwRun *self, const char *text)
{
    g_autofree char *line = NULL;

    if (is_silent (self) || !cw_terminal_can_move (self->out))
        return;
    line = cw_text_cut_middle (text, cw_terminal_get_width (self->out) - 1);
    cw_terminal_show_moving (self->out, line, g_get_monotonic_time ());
}

char *
cw_run_dup_peer (CwRun *self)
{
    const CwPeer *peer = cw_session_get_peer (self->session);
    g_autofree char *name = NULL;

    if (!peer->is_causeway || peer->name == NULL)
        return g_strdup (_ ("The other computer"));
    name = cw_name_dup_display (peer->name, 64);
    return cw_terminal_dup_bold (self->out, name);
}

void
cw_run_show_connected (CwRun *self)
{
    g_autofree char *route = NULL;

    if (self->route == NULL)
        return;
    route = cw_words_route (self->route);
    /* TRANSLATORS: %s is the way, as in “direct, 203.0.113.7, 41 ms” */
    cw_run_say (self, _ ("Connected: %s"), route);
}

/* --- Failing --- */

static void
print_failures (CwRun *self, CwTerminal *terminal, GPtrArray *failures)
{
    guint n = MIN (failures->len, LISTED_FAILURES);

    for (guint i = 0; i < n; i++) {
        const CwTransferFailure *failure = g_ptr_array_index (failures, i);
        CwMessage message = cw_message_for_error (failure->error, self->side);
        g_autofree char *path = cw_name_dup_display (failure->path, NOTICE_MAX);

        cw_terminal_print (terminal, "  %s: %s", path,
                           message.item != NULL ? message.item : message.title);
    }
    if (failures->len > n)
        cw_terminal_print (terminal, ngettext ("  and %u more", "  and %u more", failures->len - n),
                           failures->len - n);
}

static void
print_detail (CwTerminal *terminal, const CwMessage *message, const GError *error)
{
    g_autofree char *detail = cw_message_dup_detail (message, error, DETAIL_MAX);

    if (detail == NULL)
        return;
    if (message->detail
        == CW_DETAIL_PEER) /* TRANSLATORS: %s is what somebody else's program said */
        cw_terminal_print (terminal, _ ("  It said: “%s”"), detail);
    else
        cw_terminal_print (terminal, "  %s", detail);
}

static void
print_error (CwRun *self, const GError *error, const CwMessage *message, GPtrArray *failures)
{
    g_autoptr (CwTerminal) err = cw_terminal_new (STDERR_FILENO);
    const char *cause = message->cause, *next = message->next;

    cw_terminal_end_moving (self->out);
    cw_terminal_end_moving (self->ask);
    cw_terminal_print (err, "causeway: %s", message->title);
    print_detail (err, message, error);
    if (failures != NULL)
        print_failures (self, err, failures);
    if (cause != NULL || next != NULL)
        cw_terminal_print (err, "%s%s%s", cause != NULL ? cause : "",
                           cause != NULL && next != NULL ? " " : "", next != NULL ? next : "");
}

static CwMessage
message_for (CwRun *self, const GError *error)
{
    /* The session only knows that it was cancelled. */
    if (self->differs)
        return cw_message_verifier_differs ();
    return cw_message_for_error (error, self->side);
}

int
cw_run_fail (CwRun *self, const GError *error)
{
    CwMessage message = message_for (self, error);

    print_error (self, error, &message, NULL);
    if (self->json != NULL)
        cw_json_error (self->json, error, &message, NULL, 0, NULL);
    self->exit_code = (int)message.exit_code;
    return self->exit_code;
}

/* --- Ctrl-C --- */

static gboolean
on_interrupt (gpointer data)
{
    CwRun *self = data;

    if (self->n_interrupts++ > 0) {
        cw_prompt_stop (self->prompt); /* gives the terminal back */
        _exit (CW_EXIT_INTERRUPTED);
    }
    cw_prompt_stop (self->prompt);
    cw_terminal_end_moving (self->out);
    cw_run_notice (self, "%s", _ ("Stopping…"));
    g_cancellable_cancel (self->cancellable);
    if (self->session != NULL)
        cw_session_cancel (self->session);
    return G_SOURCE_CONTINUE;
}

void
cw_run_init (
    CwRun *self, const CwCliOptions *options, CwSide side, int status_fd, gboolean stdin_is_data)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

    *self = (CwRun){ .options = options, .side = side };
    self->json = options->json ? cw_json_new (STDOUT_FILENO) : NULL;
    self->out = cw_terminal_new (options->json ? STDERR_FILENO : status_fd);
    self->ask
        = isatty (cw_terminal_get_fd (self->out)) ? self->out : cw_terminal_new (STDERR_FILENO);
    self->prompt = cw_prompt_new (self->ask, stdin_is_data);
    self->loop = g_main_loop_new (NULL, FALSE);
    self->cancellable = g_cancellable_new ();
    for (size_t i = 0; i < G_N_ELEMENTS (signals); i++)
        self->signal_ids[i] = g_unix_signal_add (signals[i], on_interrupt, self);
}

void
cw_run_clear (CwRun *self)
{
    for (size_t i = 0; i < G_N_ELEMENTS (self->signal_ids); i++)
        g_source_remove (self->signal_ids[i]);
    g_clear_handle_id (&self->tick_id, g_source_remove);
    cw_prompt_free (self->prompt);
    if (self->ask != self->out)
        cw_terminal_free (self->ask);
    cw_terminal_free (self->out);
    g_clear_pointer (&self->json, cw_json_free);
    g_clear_pointer (&self->route, cw_route_free);
    g_clear_object (&self->session);
    g_object_unref (self->cancellable);
    g_main_loop_unref (self->loop);
}

/* --- The session's signals, in the order they may come --- */

static void
on_motd (CwSession *session, const char *text, CwRun *self)
{
    g_autofree char *shown = cw_name_dup_display (text, NOTICE_MAX);

    if (self->json != NULL)
        cw_json_motd (self->json, text);
    cw_run_notice (self, _ ("The mailbox says: “%s”"), shown);
}

static void
on_offline (CwSession *session, gboolean offline, CwRun *self)
{
    if (self->json != NULL)
        cw_json_mailbox (self->json, !offline);
    cw_run_notice (self, "%s",
                   offline ? _ ("The connection to the mailbox broke; trying again…")
                           : _ ("The mailbox is back."));
}

static void
on_peer (CwSession *session, CwRun *self)
{
    if (self->json != NULL)
        cw_json_peer (self->json, cw_session_get_peer (session));
    cw_terminal_end_moving (self->out);
}

static void
on_verifier_answered (gboolean same, gpointer data)
{
    CwRun *self = data;

    self->differs = !same;
    cw_session_confirm (self->session, same);
}

static void
on_verify (CwSession *session, const char *verifier, CwRun *self)
{
    g_autofree char *shown = cw_name_dup_display (verifier, NOTICE_MAX);

    if (self->json != NULL)
        cw_json_verify (self->json, verifier);
    if (!cw_prompt_is_possible (self->prompt)) { /* asked for before the start, but gone now */
        on_verifier_answered (FALSE, self);
        return;
    }
    cw_terminal_end_moving (self->out);
    cw_terminal_print (self->ask, "%s\n  %s",
                       _ ("Compare this with what the other computer shows:"), shown);
    cw_prompt_ask (self->prompt, _ ("Is it the same?"), FALSE, on_verifier_answered, self);
}

static void
on_route (CwSession *session, const CwRoute *route, CwRun *self)
{
    g_clear_pointer (&self->route, cw_route_free);
    self->route = cw_route_copy (route);
    if (self->json != NULL)
        cw_json_route (self->json, route);
    if (self->accepted_us != 0)
        cw_run_show_connected (self);
}

static void
update_progress (CwRun *self, gint64 now_us)
{
    CwTransferFigures figures;

    cw_session_get_figures (self->session, &figures);
    cw_progress_update (&self->progress, &figures, now_us);
}

static void
show_progress (CwRun *self, gint64 now_us)
{
    g_autofree char *line = NULL;

    if (self->is_text || is_silent (self) || !cw_terminal_is_due (self->out, now_us))
        return;
    if (cw_terminal_can_move (self->out))
        line = cw_progress_dup_line (&self->progress, cw_terminal_get_width (self->out),
                                     cw_terminal_has_colour (self->out),
                                     cw_terminal_has_utf8 (self->out));
    else
        line = cw_progress_dup_plain_line (&self->progress);
    cw_terminal_show_moving (self->out, line, now_us);
}

static gboolean
on_tick (gpointer data)
{
    CwRun *self = data;
    gint64 now_us = g_get_monotonic_time ();

    update_progress (self, now_us);
    show_progress (self, now_us);
    if (self->json != NULL && now_us >= self->json_due_us) {
        cw_json_progress (self->json, &self->progress);
        self->json_due_us = now_us + JSON_PROGRESS_US;
    }
    return G_SOURCE_CONTINUE;
}

static void
on_accepted (CwSession *session, CwRun *self)
{
    self->accepted_us = g_get_monotonic_time ();
    if (self->json != NULL)
        cw_json_accepted (self->json);
    cw_progress_begin (&self->progress, self->accepted_us);
    cw_terminal_begin_moving (self->out, self->accepted_us);
    self->json_due_us = self->accepted_us;
    if (self->tick_id == 0)
        self->tick_id = g_timeout_add (TICK_MS, on_tick, self);
}

/* --- The end --- */

static void
say_paths (CwRun *self, GPtrArray *paths)
{
    guint n = paths != NULL ? paths->len : 0;

    if (n == 1) {
        g_autofree char *path = cw_text_dup_path (g_ptr_array_index (paths, 0));
        cw_run_say (self, _ ("Saved as %s"), path);
        return;
    }
    for (guint i = 0; i < MIN (n, LISTED_PATHS); i++) {
        g_autofree char *path = cw_text_dup_path (g_ptr_array_index (paths, i));
        if (i == 0)
            cw_run_say (self, "%s", _ ("Saved as"));
        cw_run_say (self, "  %s", path);
    }
    if (n > LISTED_PATHS)
        cw_run_say (self, ngettext ("  and %u more", "  and %u more", n - LISTED_PATHS),
                    n - LISTED_PATHS);
}

static void
say_done (CwRun *self, double seconds, GPtrArray *paths)
{
    g_autofree char *done = cw_words_done (&self->progress.figures, (gint64)(seconds + 0.5));

    if (!self->is_text)
        cw_run_say (self, "%s", done);
    else if (self->side == CW_SIDE_SENDER)
        cw_run_say (self, "%s", _ ("Done: the text has arrived."));
    if (!self->to_stdout)
        say_paths (self, paths);
}

static void
tell_failures (CwRun *self, GPtrArray *failures)
{
    for (guint i = 0; self->json != NULL && i < failures->len; i++)
        cw_json_item_failed (self->json, g_ptr_array_index (failures, i), self->side);
}

static void
on_finished (CwSession *session, const GError *error, CwRun *self)
{
    g_autoptr (GPtrArray) failures = cw_session_dup_failures (session);
    GPtrArray *paths = self->to_stdout ? NULL : cw_session_get_paths (session);
    gint64 now_us = g_get_monotonic_time ();
    double seconds
        = self->accepted_us != 0 ? (double)(now_us - self->accepted_us) / G_TIME_SPAN_SECOND : 0;
    gboolean incomplete = g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);

    g_clear_handle_id (&self->tick_id, g_source_remove);
    cw_prompt_stop (self->prompt);
    cw_terminal_end_moving (self->out);
    update_progress (self, now_us);
    tell_failures (self, failures);
    if (error == NULL || incomplete)
        say_done (self, seconds, paths);
    if (error == NULL) {
        if (self->json != NULL)
            cw_json_done (self->json, &self->progress.figures, seconds, paths);
        self->exit_code = CW_EXIT_OK;
    } else {
        CwMessage message = message_for (self, error);

        print_error (self, error, &message, incomplete ? failures : NULL);
        if (self->json != NULL)
            cw_json_error (self->json, error, &message, incomplete ? &self->progress.figures : NULL,
                           seconds, paths);
        self->exit_code = (int)message.exit_code;
    }
    self->finished = TRUE;
    g_main_loop_quit (self->loop);
}

int
cw_run_session (CwRun *self,
                CwSession *session,
                void (*started) (gpointer user_data),
                gpointer user_data)
{
    self->session = session;
    g_signal_connect (session, "motd", G_CALLBACK (on_motd), self);
    g_signal_connect (session, "offline", G_CALLBACK (on_offline), self);
    g_signal_connect (session, "peer", G_CALLBACK (on_peer), self);
    g_signal_connect (session, "verify", G_CALLBACK (on_verify), self);
    g_signal_connect (session, "route", G_CALLBACK (on_route), self);
    g_signal_connect (session, "accepted", G_CALLBACK (on_accepted), self);
    g_signal_connect (session, "finished", G_CALLBACK (on_finished), self);
    cw_session_start (session);
    if (started != NULL && !self->finished)
        started (user_data);
    if (self->n_interrupts > 0 && !self->finished) /* came just before there was a session */
        cw_session_cancel (session);
    if (!self->finished)
        g_main_loop_run (self->loop);
    g_signal_handlers_disconnect_by_data (session, self);
    return self->exit_code;
}
