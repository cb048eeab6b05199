/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-commands.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cw-cli-run.h"
#include "cw-cli-text.h"
#include "cw-cli-words.h"
#include "cw-code.h"
#include "cw-inbox.h"
#include "cw-mailbox-client.h"
#include "cw-names.h"

#define MAX_CODE 512 /* bytes; a link with a mailbox in it fits */

typedef struct {
    CwCliOptions options;
    gboolean yes;
    gboolean to_stdout;
    char *folder;
    char **words; /* of the code, as the shell parted them */
    char *piped;  /* the code from standard input */

    CwSettings *settings;
    CwRun *run;
    CwSession *session; /* the run's */
    char *code;         /* known from the beginning, or NULL */
    char *claimed;      /* the number in front of what is being typed, once it is claimed */
    char **nameplates;
} Receive;

static const CwCliSyntax syntax = {
    "receive",
    N_ ("[CODE]"),
    N_ ("Receive what somebody sends. Without a code it asks for one; Tab completes it."),
    N_ ("Examples:\n"
        "  causeway receive 7-crossover-clockwork\n"
        "  causeway receive --yes --output /srv/in 7-crossover-clockwork\n"
        "  causeway receive --stdout 7-crossover-clockwork | tar x"),
};

static gboolean
parse (Receive *self, int *argc, char ***argv, int *ret_exit)
{
    const GOptionEntry entries[] = {
        { "yes", 'y', 0, G_OPTION_ARG_NONE, &self->yes, N_ ("Accept without a question"), NULL },
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &self->folder,
          N_ ("Folder that the files go to"), N_ ("FOLDER") },
        { "stdout", 0, 0, G_OPTION_ARG_NONE, &self->to_stdout,
          N_ ("Write the one file to standard output"), NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &self->words, NULL, NULL },
        { NULL },
    };

    return cw_cli_options_parse (&self->options, &syntax, CW_CLI_SESSION | CW_CLI_JSON, entries,
                                 argc, argv, ret_exit);
}

/* 0: fine, else the exit code. */
static int
check (Receive *self)
{
    if (self->to_stdout && self->options.json)
        return cw_cli_usage_error ("receive", "%s",
                                   _ ("--stdout and --json both need standard output."));
    if (self->to_stdout && self->folder != NULL)
        return cw_cli_usage_error ("receive", "%s",
                                   _ ("--stdout and --output cannot go together."));
    if (self->to_stdout && isatty (STDOUT_FILENO))
        return cw_cli_usage_error ("receive", "%s",
                                   _ ("--stdout is for a pipe or a file, and here is a terminal."));
    return 0;
}

/* --- What is offered --- */

static void
print_offer (Receive *self, const CwOffer *offer, CwTerminal *terminal)
{
    const CwPeer *peer = cw_session_get_peer (self->session);
    g_autofree char *name = cw_run_dup_peer (self->run);
    g_autofree char *list = cw_words_offer_list (offer, cw_terminal_get_width (terminal));

    if (peer->fingerprint != NULL) /* TRANSLATORS: name and fingerprint of a device */
        cw_terminal_print (terminal, _ ("%s (%s) wants to send you:"), name, peer->fingerprint);
    else
        cw_terminal_print (terminal, _ ("%s wants to send you:"), name);
    cw_terminal_print (terminal, "%s", list);
}

static void
on_answered (gboolean yes, gpointer data)
{
    Receive *self = data;

    if (yes)
        cw_session_accept (self->session, self->folder, self->to_stdout ? STDOUT_FILENO : -1);
    else
        cw_session_decline (self->session);
}

static const char *
get_folder (Receive *self)
{
    return self->folder != NULL ? self->folder : self->settings->folder;
}

/* The question, and whether Enter means yes. */
static char *
make_question (Receive *self, const CwOffer *offer, gint64 free_space, gboolean *ret_default_yes)
{
    g_autofree char *folder = cw_text_dup_path (get_folder (self));
    g_autofree char *space = free_space >= 0 ? cw_format_size ((guint64)free_space) : NULL;
    g_autofree char *size = NULL;

    *ret_default_yes = TRUE;
    if (self->to_stdout)
        return g_strdup (_ ("Accept?"));
    if (free_space < 0) /* TRANSLATORS: %s is a folder */
        return g_strdup_printf (_ ("It goes to %s. Accept?"), folder);
    if (offer->size <= free_space) /* TRANSLATORS: size, folder */
        return g_strdup_printf (_ ("You have %s free in %s. Accept?"), space, folder);
    size = cw_format_size ((guint64)offer->size);
    *ret_default_yes = FALSE;
    /* TRANSLATORS: size of what comes, size, folder */
    return g_strdup_printf (_ ("It needs %s, and there is only %s free in %s. Accept anyway?"),
                            size, space, folder);
}

static void
warn_about_space (Receive *self, const CwOffer *offer, gint64 free_space)
{
    g_autofree char *size = NULL;
    g_autofree char *space = NULL;

    if (self->to_stdout || free_space < 0 || offer->size <= free_space)
        return;
    size = cw_format_size ((guint64)offer->size);
    space = cw_format_size ((guint64)free_space);
    cw_run_notice (self->run, _ ("It needs %s, and there is only %s free."), size, space);
}

static gboolean
fits_stdout (const CwOffer *offer)
{
    return offer->items->len == 1
           && ((const CwOfferItem *)g_ptr_array_index (offer->items, 0))->kind == CW_ITEM_FILE;
}

static void
on_offer (CwSession *session, const CwOffer *offer, Receive *self)
{
    gint64 free_space = self->to_stdout ? -1 : cw_inbox_free_space (get_folder (self));
    g_autofree char *question = NULL;
    gboolean default_yes;

    self->run->is_text = offer->text != NULL;
    if (self->run->json != NULL)
        cw_json_offer (self->run->json, offer);
    cw_terminal_end_moving (self->run->out);
    /* A text takes no space and does no harm, and what it is shows only by reading it. */
    if (offer->text != NULL) {
        on_answered (TRUE, self);
        return;
    }
    if (self->to_stdout && !fits_stdout (offer)) {
        cw_run_notice (self->run, "%s",
                       _ ("--stdout takes one file, and this is not one file: declined."));
        on_answered (FALSE, self);
        return;
    }
    if (self->yes) {
        if (self->run->json == NULL && !self->options.quiet)
            print_offer (self, offer, self->run->out);
        warn_about_space (self, offer, free_space);
        on_answered (TRUE, self);
        return;
    }
    print_offer (self, offer, self->run->ask);
    if (!cw_prompt_is_possible (self->run->prompt)) {
        cw_terminal_print (self->run->ask, "%s",
                           _ ("There is no terminal to ask on, so this is declined; --yes accepts "
                              "without a question."));
        on_answered (FALSE, self);
        return;
    }
    question = make_question (self, offer, free_space, &default_yes);
    cw_prompt_ask (self->run->prompt, question, default_yes, on_answered, self);
}

static void
on_accepted (CwSession *session, Receive *self)
{
    if (!self->run->is_text)
        cw_run_show_connected (self->run);
}

static void
write_out (const char *text)
{
    size_t len = strlen (text);

    while (len > 0) {
        ssize_t n = write (STDOUT_FILENO, text, len);
        if (n < 0 && errno != EINTR)
            return;
        text += MAX (n, 0);
        len -= (size_t)MAX (n, 0);
    }
}

/* As it is for a program, readable and harmless for a person. */
static void
on_text (CwSession *session, const char *text, Receive *self)
{
    g_autofree char *visible = NULL;
    g_autofree char *peer = NULL;

    self->run->is_text = TRUE;
    if (self->run->json != NULL) {
        cw_json_text (self->run->json, text);
        return;
    }
    if (!isatty (STDOUT_FILENO)) {
        write_out (text);
        return;
    }
    peer = cw_run_dup_peer (self->run);
    cw_terminal_end_moving (self->run->out);
    /* TRANSLATORS: %s is a person's or device's name, or “The other computer” */
    cw_run_say (self->run, _ ("%s sends you this text:"), peer);
    visible = cw_text_dup_visible (text);
    write_out (visible);
    if (!g_str_has_suffix (visible, "\n"))
        write_out ("\n");
}

/* --- The code, when it is typed --- */

static void ask_code (Receive *self, const char *typed);

static void
wait_for_sender (Receive *self)
{
    cw_run_wait_for (self->run, _ ("Waiting for the other computer…"));
}

static void
on_nameplates (CwSession *session, const char *const *nameplates, Receive *self)
{
    g_strfreev (self->nameplates);
    self->nameplates = g_strdupv ((char **)nameplates);
    cw_prompt_set_nameplates (self->run->prompt, nameplates);
}

/* As soon as somebody types the first word behind a number that is in use, that number is claimed:
 * what the sender left there is on its way while the rest is typed. */
static void
on_typing (const char *typed, gpointer data)
{
    Receive *self = data;
    const char *dash = strchr (typed, '-');
    g_autofree char *number = NULL;

    if (self->claimed != NULL || dash == NULL || !g_ascii_isalpha (dash[1]))
        return;
    number = g_strndup (typed, (size_t)(dash - typed));
    if (self->nameplates == NULL
        || !g_strv_contains ((const char *const *)self->nameplates, number))
        return;
    self->claimed = g_steal_pointer (&number);
    cw_session_claim (self->session, self->claimed);
}

static void
on_code_typed (const char *line, gpointer data)
{
    Receive *self = data;
    g_autoptr (GError) error = NULL;
    g_autofree char *code = NULL;
    g_autofree char *mailbox = NULL;

    if (line == NULL) {
        cw_session_cancel (self->session);
        return;
    }
    code = cw_code_normalize (line, &mailbox, &error);
    if (code != NULL && mailbox != NULL) { /* a link that leads elsewhere; we are here already */
        cw_run_notice (self->run, "%s",
                       _ ("This link belongs to another mailbox. Stop here and run “causeway "
                          "receive” with the link behind it."));
        ask_code (self, NULL);
        return;
    }
    if (code == NULL || !cw_session_set_code (self->session, code, &error)) {
        g_autofree char *reason = cw_name_dup_display (error->message, 200);
        g_autofree char *number
            = self->claimed != NULL ? g_strconcat (self->claimed, "-", NULL) : NULL;

        /* TRANSLATORS: %s is the reason, in English */
        cw_run_notice (self->run, _ ("This is not a code (%s). Try again, or stop with Ctrl-C."),
                       reason);
        ask_code (self, number);
        return;
    }
    wait_for_sender (self);
}

static void
ask_code (Receive *self, const char *typed)
{
    if (self->run->finished)
        return;
    /* TRANSLATORS: before the place where a person types the code, with a blank behind it */
    cw_prompt_ask_code (self->run->prompt, _ ("Code: "), typed, self->settings->code_length,
                        on_typing, on_code_typed, self);
}

static void
on_started (gpointer data)
{
    Receive *self = data;

    if (self->code != NULL) {
        wait_for_sender (self);
        return;
    }
    cw_session_list_nameplates (self->session);
    ask_code (self, NULL);
}

/* --- All of it --- */

/* `echo CODE | causeway receive`. Before Ctrl-C is ours, since this waits. */
static void
read_piped_code (Receive *self)
{
    char buffer[MAX_CODE];

    if (self->words == NULL && !isatty (STDIN_FILENO)
        && fgets (buffer, sizeof buffer, stdin) != NULL)
        self->piped = g_strdup (buffer);
}

/* FALSE without @error: a person is to be asked. */
static gboolean
take_code (Receive *self, GError **error)
{
    g_autofree char *typed = NULL;
    g_autofree char *mailbox = NULL;

    if (self->words != NULL)
        typed = g_strjoinv (" ", self->words);
    else if (self->piped != NULL)
        typed = g_strdup (self->piped);
    else if (cw_prompt_is_possible (self->run->prompt))
        return TRUE;
    self->code = cw_code_normalize (typed != NULL ? typed : "", &mailbox, error);
    if (self->code == NULL)
        return FALSE;
    return mailbox == NULL || cw_settings_set (self->settings, "mailbox", mailbox, error);
}

static gboolean
take_folder (Receive *self, GError **error)
{
    char *absolute;

    if (self->folder == NULL)
        return TRUE;
    absolute = g_canonicalize_filename (self->folder, NULL);
    g_free (self->folder);
    self->folder = absolute;
    if (g_file_test (self->folder, G_FILE_TEST_IS_DIR))
        return TRUE;
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TARGET_GONE, "'%s' is not a folder",
                 self->folder);
    return FALSE;
}

static int
run_session (Receive *self, const CwIdentity *identity)
{
    const CwSessionOptions options = {
        .settings = self->settings,
        .identity = identity,
        .code = self->code,
        .verify = self->options.verify,
        .no_direct = self->options.no_direct,
    };

    self->session = cw_session_new_receive (&options);
    self->run->to_stdout = self->to_stdout;
    g_signal_connect (self->session, "nameplates", G_CALLBACK (on_nameplates), self);
    g_signal_connect (self->session, "offer", G_CALLBACK (on_offer), self);
    g_signal_connect (self->session, "text", G_CALLBACK (on_text), self);
    g_signal_connect (self->session, "accepted", G_CALLBACK (on_accepted), self);
    return cw_run_session (self->run, self->session, on_started, self);
}

static int
run (Receive *self)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwIdentity) identity = NULL;
    int exit_code;

    self->settings = cw_cli_options_load_settings (&self->options, &error);
    if (self->settings == NULL || !take_code (self, &error) || !take_folder (self, &error))
        return cw_run_fail (self->run, error);
    if (self->options.verify && !cw_prompt_is_possible (self->run->prompt))
        return cw_cli_usage_error ("receive", "%s", _ ("--verify needs a terminal to ask on."));
    identity = cw_cli_load_identity (&error);
    if (identity == NULL)
        return cw_run_fail (self->run, error);
    exit_code = run_session (self, identity);
    g_clear_object (&self->run->session); /* borrows the identity */
    return exit_code;
}

int
cw_cli_receive (int argc, char **argv)
{
    Receive self = { 0 };
    CwRun shared = { 0 };
    int exit_code = CW_EXIT_OK;

    if (parse (&self, &argc, &argv, &exit_code) && (exit_code = check (&self)) == 0) {
        read_piped_code (&self);
        cw_run_init (&shared, &self.options, CW_SIDE_RECEIVER,
                     self.to_stdout ? STDERR_FILENO : STDOUT_FILENO, FALSE);
        self.run = &shared;
        exit_code = run (&self);
        cw_run_clear (&shared);
    }
    g_clear_pointer (&self.settings, cw_settings_free);
    cw_cli_options_clear (&self.options);
    g_strfreev (self.words);
    g_strfreev (self.nameplates);
    g_free (self.folder);
    g_free (self.code);
    g_free (self.piped);
    g_free (self.claimed);
    return exit_code;
}
