/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-commands.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cw-cli-qr.h"
#include "cw-cli-run.h"
#include "cw-cli-words.h"
#include "cw-code.h"
#include "cw-mailbox-client.h"
#include "cw-names.h"

#define MAX_TEXT (1024 * 1024) /* what is longer is a file */
#define SLOW_WALK_S 1
#define LISTED_LEFT_OUT 5

typedef struct {
    CwCliOptions options;
    char **paths;
    char *text; /* with "-": what was read */
    GError *text_error;
    char *pipe_name;
    char *code;
    gboolean qr;

    CwSettings *settings;
    CwRun *run;
} Send;

static const CwCliSyntax syntax = {
    "send",
    N_ ("FILE…"),
    N_ ("Send files and folders, or what comes from a pipe, or a text. It prints a code; whoever "
        "types it on\nanother computer, in Causeway or any wormhole program, gets them."),
    N_ ("Examples:\n"
        "  causeway send holiday.mp4 photos/\n"
        "  causeway send --text \"The key is under the mat.\"\n"
        "  tar c work | causeway send --name work.tar -"),
};

static gboolean
parse (Send *self, int *argc, char ***argv, int *ret_exit)
{
    const GOptionEntry entries[] = {
        { "text", 't', 0, G_OPTION_ARG_FILENAME, &self->text,
          N_ ("Send this text; “-”: the text on standard input"), N_ ("TEXT") },
        { "name", 'n', 0, G_OPTION_ARG_FILENAME, &self->pipe_name,
          N_ ("What the file from standard input is called"), N_ ("NAME") },
        { "code", 'c', 0, G_OPTION_ARG_STRING, &self->code,
          N_ ("Use this code instead of making one"), N_ ("CODE") },
        { "qr", 0, 0, G_OPTION_ARG_NONE, &self->qr, N_ ("Show the code as a QR code too"), NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &self->paths, NULL, NULL },
        { NULL },
    };

    return cw_cli_options_parse (&self->options, &syntax, CW_CLI_SESSION | CW_CLI_JSON, entries,
                                 argc, argv, ret_exit);
}

static gboolean
is_pipe (Send *self)
{
    return self->paths != NULL && strcmp (self->paths[0], "-") == 0;
}

static gboolean
reads_stdin (Send *self)
{
    return is_pipe (self) || (self->text != NULL && strcmp (self->text, "-") == 0);
}

/* 0: fine, else the exit code. */
static int
check (Send *self)
{
    guint n_paths = self->paths != NULL ? g_strv_length (self->paths) : 0;

    if (self->text != NULL && n_paths > 0)
        return cw_cli_usage_error ("send", "%s", _ ("a text and files cannot go together."));
    if (self->text == NULL && n_paths == 0)
        return cw_cli_usage_error ("send", "%s", _ ("what is to be sent? Name files or folders."));
    if (self->text != NULL && self->text[0] == '\0')
        return cw_cli_usage_error ("send", "%s", _ ("the text is empty."));
    for (guint i = 0; n_paths > 1 && i < n_paths; i++)
        if (strcmp (self->paths[i], "-") == 0)
            return cw_cli_usage_error ("send", "%s",
                                       _ ("standard input (“-”) cannot go together with files."));
    if (self->pipe_name != NULL && !is_pipe (self))
        return cw_cli_usage_error ("send", "%s",
                                   _ ("--name is for what comes from standard input (“-”)."));
    if (is_pipe (self) && isatty (STDIN_FILENO))
        return cw_cli_usage_error (
            "send", "%s", _ ("“-” sends what another program pipes in, and there is no pipe."));
    return 0;
}

/* --- Text --- */

static char *
read_text (GError **error)
{
    g_autoptr (GString) text = g_string_new (NULL);
    char buffer[4096];
    ssize_t n;

    while ((n = read (STDIN_FILENO, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || text->len + (size_t)n > MAX_TEXT) {
            g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE,
                         n < 0 ? "cannot read standard input: %s"
                               : "the text is too long; send it as a file (%s)",
                         n < 0 ? g_strerror (errno) : "causeway send --name text.txt -");
            return NULL;
        }
        g_string_append_len (text, buffer, n);
    }
    if (text->len == 0) {
        g_set_error_literal (error, CW_DROP_ERROR, CW_DROP_ERROR_NOTHING, "the text is empty");
        return NULL;
    }
    return g_strndup (text->str, text->len);
}

/* As UTF-8, whatever the locale has. */
static char *
dup_utf8 (const char *raw)
{
    char *converted;

    if (g_utf8_validate (raw, -1, NULL))
        return g_strdup (raw);
    converted = g_locale_to_utf8 (raw, -1, NULL, NULL, NULL);
    return converted != NULL ? converted : g_utf8_make_valid (raw, -1);
}

/* Before Ctrl-C is ours, since this waits. */
static void
take_text (Send *self)
{
    g_autofree char *raw = g_steal_pointer (&self->text);

    if (raw != NULL && strcmp (raw, "-") == 0) {
        g_free (raw);
        raw = read_text (&self->text_error);
    }
    self->text = raw != NULL ? dup_utf8 (raw) : NULL;
}

/* --- Files --- */

static void
walk (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
    const char *const *paths = task_data;
    GError *error = NULL;
    CwOutgoing *outgoing = cw_outgoing_new (paths, cancellable, &error);

    if (outgoing != NULL)
        g_task_return_pointer (task, outgoing, (GDestroyNotify)cw_outgoing_free);
    else
        g_task_return_error (task, error);
}

static void
on_walked (GObject *source, GAsyncResult *result, gpointer data)
{
    CwRun *run = data;

    g_main_loop_quit (run->loop);
}

static gboolean
on_slow (gpointer data)
{
    CwRun *run = data;

    cw_run_wait_for (run, _ ("Looking at what there is to send…"));
    return G_SOURCE_REMOVE;
}

/* On a thread, so that Ctrl-C works while a large folder is walked. */
static CwOutgoing *
gather (Send *self, GError **error)
{
    g_autoptr (GTask) task = NULL;
    g_autofree char *name = NULL;
    GSource *slow;

    if (is_pipe (self)) {
        int fd = fcntl (STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

        name = g_utf8_make_valid (self->pipe_name != NULL ? self->pipe_name : "stdin", -1);
        return cw_outgoing_new_stream (fd, name);
    }
    task = g_task_new (NULL, self->run->cancellable, on_walked, self->run);
    g_task_set_task_data (task, self->paths, NULL);
    g_task_run_in_thread (task, walk);
    slow = g_timeout_source_new_seconds (SLOW_WALK_S);
    g_source_set_callback (slow, on_slow, self->run, NULL);
    g_source_attach (slow, NULL);
    g_main_loop_run (self->run->loop);
    g_source_destroy (slow);
    g_source_unref (slow);
    return g_task_propagate_pointer (task, error);
}

static void
say_left_out (CwRun *run, GPtrArray *left_out)
{
    guint n = left_out != NULL ? MIN (left_out->len, LISTED_LEFT_OUT) : 0;

    if (n > 0)
        cw_run_say (run,
                    ngettext ("%u item cannot be sent and is left out:",
                              "%u items cannot be sent and are left out:", left_out->len),
                    left_out->len);
    for (guint i = 0; i < n; i++) {
        const CwTransferFailure *failure = g_ptr_array_index (left_out, i);
        g_autofree char *path = cw_name_dup_display (failure->path, 1000);
        cw_run_say (run, "  %s", path);
    }
    if (n > 0 && left_out->len > n)
        cw_run_say (run, ngettext ("  and %u more", "  and %u more", left_out->len - n),
                    left_out->len - n);
}

/* --- The session --- */

static const char *
get_set_mailbox (Send *self)
{
    return self->settings->mailbox_set ? self->settings->mailbox_urls[0] : NULL;
}

static void
show_qr (Send *self, const char *uri)
{
    CwTerminal *out = self->run->out;
    g_autofree char *qr
        = cw_qr_dup (uri, cw_terminal_get_width (out), cw_terminal_has_colour (out));

    if (qr != NULL && cw_terminal_has_utf8 (out))
        cw_terminal_print (out, "\n%s", qr);
    else
        cw_run_notice (self->run, "%s", _ ("(there is no room here for the QR code)"));
}

static void
on_code (CwSession *session, const char *code, Send *self)
{
    const char *mailbox = get_set_mailbox (self);
    g_autofree char *command = cw_words_receive_command (code, mailbox);
    g_autofree char *bold = cw_terminal_dup_bold (self->run->out, command);
    g_autofree char *uri = cw_code_to_uri (code, mailbox);

    if (self->run->json != NULL) {
        cw_json_code (self->run->json, code, uri, mailbox);
        return;
    }
    if (self->options.quiet)
        cw_terminal_print (self->run->out, "%s", code);
    /* TRANSLATORS: %s is a command to type */
    cw_run_say (self->run, _ ("On the other computer, run:  %s"), bold);
    cw_run_say (self->run, "%s",
                mailbox == NULL
                    ? _ ("(any wormhole program works too; the code is good for one use)")
                    : _ ("(any wormhole program that uses the same mailbox works too; the code is "
                         "good for one use)"));
    if (self->qr)
        show_qr (self, uri);
    cw_run_say (self->run, "%s", "");
    cw_run_wait_for (self->run, _ ("Waiting for the other computer…"));
}

static void
on_peer (CwSession *session, Send *self)
{
    if (!self->options.verify)
        cw_run_wait_for (self->run, _ ("Waiting for the other person to accept…"));
}

static void
on_accepted (CwSession *session, Send *self)
{
    g_autofree char *peer = cw_run_dup_peer (self->run);
    g_autofree char *route = NULL;

    if (self->run->route == NULL) {
        /* TRANSLATORS: %s is a person's or device's name, or “The other computer” */
        cw_run_say (self->run, _ ("%s accepted."), peer);
        return;
    }
    route = cw_words_route (self->run->route);
    /* TRANSLATORS: name, and the way: “anna's laptop accepted.  direct, 203.0.113.7, 41 ms” */
    cw_run_say (self->run, _ ("%s accepted.  %s"), peer, route);
}

static int
run_session (Send *self, const CwIdentity *identity, CwOutgoing *outgoing, const char *text)
{
    const CwSessionOptions options = {
        .settings = self->settings,
        .identity = identity,
        .code = self->code,
        .verify = self->options.verify,
        .no_direct = self->options.no_direct,
    };
    CwSession *session = cw_session_new_send (&options, outgoing, text);

    g_signal_connect (session, "code", G_CALLBACK (on_code), self);
    g_signal_connect_after (session, "peer", G_CALLBACK (on_peer), self);
    g_signal_connect (session, "accepted", G_CALLBACK (on_accepted), self);
    return cw_run_session (self->run, session, NULL, NULL);
}

static void
announce (Send *self, const CwOffer *offer)
{
    g_autofree char *sending = cw_words_sending (offer);

    self->run->is_text = offer->text != NULL;
    if (self->run->json != NULL)
        cw_json_offer (self->run->json, offer);
    cw_run_say (self->run, "%s", sending);
}

static int
send_text (Send *self, const CwIdentity *identity)
{
    g_autoptr (CwOffer) offer = cw_offer_new ();

    offer->text = g_strdup (self->text);
    announce (self, offer);
    return run_session (self, identity, NULL, offer->text);
}

static int
send_files (Send *self, const CwIdentity *identity)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwOutgoing) outgoing = gather (self, &error);
    g_autoptr (CwOffer) offer = NULL;

    if (outgoing == NULL)
        return cw_run_fail (self->run, error);
    offer = cw_outgoing_dup_offer (outgoing);
    announce (self, offer);
    say_left_out (self->run, cw_outgoing_get_left_out (outgoing));
    return run_session (self, identity, g_steal_pointer (&outgoing), NULL);
}

/* A code that was given, with the mailbox that a link may bring along. */
static gboolean
take_code (Send *self, GError **error)
{
    g_autofree char *mailbox = NULL;
    char *code;

    if (self->code == NULL)
        return TRUE;
    code = cw_code_normalize (self->code, &mailbox, error);
    if (code == NULL)
        return FALSE;
    g_free (self->code);
    self->code = code;
    return mailbox == NULL || cw_settings_set (self->settings, "mailbox", mailbox, error);
}

static int
run (Send *self)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwIdentity) identity = NULL;
    int exit_code;

    if (self->text_error != NULL)
        return cw_run_fail (self->run, self->text_error);
    self->settings = cw_cli_options_load_settings (&self->options, &error);
    if (self->settings == NULL || !take_code (self, &error))
        return cw_run_fail (self->run, error);
    if (self->options.verify && !cw_prompt_is_possible (self->run->prompt))
        return cw_cli_usage_error ("send", "%s", _ ("--verify needs a terminal to ask on."));
    identity = cw_cli_load_identity (&error);
    if (identity == NULL)
        return cw_run_fail (self->run, error);
    exit_code = self->text != NULL ? send_text (self, identity) : send_files (self, identity);
    g_clear_object (&self->run->session); /* borrows the identity */
    return exit_code;
}

int
cw_cli_send (int argc, char **argv)
{
    Send self = { 0 };
    CwRun shared = { 0 };
    int exit_code = CW_EXIT_OK;

    if (parse (&self, &argc, &argv, &exit_code) && (exit_code = check (&self)) == 0) {
        gboolean stdin_is_data = reads_stdin (&self);

        take_text (&self);
        cw_run_init (&shared, &self.options, CW_SIDE_SENDER, STDOUT_FILENO, stdin_is_data);
        self.run = &shared;
        exit_code = run (&self);
        cw_run_clear (&shared);
    }
    g_clear_pointer (&self.settings, cw_settings_free);
    cw_cli_options_clear (&self.options);
    g_strfreev (self.paths);
    g_clear_error (&self.text_error);
    g_free (self.text);
    g_free (self.pipe_name);
    g_free (self.code);
    return exit_code;
}
