/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-options.h"

#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "cw-cli-terminal.h"
#include "cw-messages.h"
#include "cw-paths.h"

void
cw_cli_options_clear (CwCliOptions *self)
{
    g_clear_pointer (&self->mailbox, g_free);
    g_clear_pointer (&self->transit_relay, g_free);
}

int
cw_cli_usage_error (const char *command, const char *format, ...)
{
    g_autoptr (CwTerminal) terminal = cw_terminal_new (STDERR_FILENO);
    g_autofree char *text = NULL;
    va_list args;

    va_start (args, format);
    text = g_strdup_vprintf (format, args);
    va_end (args);
    cw_terminal_print (terminal, "causeway: %s", text);
    if (command != NULL)
        cw_terminal_print (terminal, _ ("“causeway help %s” tells how it is used."), command);
    else
        cw_terminal_print (terminal, "%s", _ ("“causeway help” tells how it is used."));
    return CW_EXIT_USAGE;
}

static void
add_session_entries (CwCliOptions *self, GOptionContext *context)
{
    const GOptionEntry entries[] = {
        { "verify", 0, 0, G_OPTION_ARG_NONE, &self->verify,
          N_ ("Compare what both computers show before anything is sent"), NULL },
        { "mailbox", 0, 0, G_OPTION_ARG_STRING, &self->mailbox,
          N_ ("Meet at this mailbox; the other computer must use the same"), N_ ("URL") },
        { "transit-relay", 0, 0, G_OPTION_ARG_STRING, &self->transit_relay,
          N_ ("Relay for when no direct connection works: tcp:HOST:PORT, or none"), N_ ("RELAY") },
        { "no-direct", 0, 0, G_OPTION_ARG_NONE, &self->no_direct,
          N_ ("Do not connect directly, only through the relay"), NULL },
        { "code-length", 0, 0, G_OPTION_ARG_INT, &self->code_length,
          N_ ("Words in a code (default 2)"), N_ ("WORDS") },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &self->quiet, N_ ("Say only what is needed"), NULL },
        { NULL },
    };

    g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
}

static GOptionContext *
make_context (CwCliOptions *self,
              const CwCliSyntax *syntax,
              CwCliFeatures features,
              const GOptionEntry *own)
{
    GOptionContext *context = g_option_context_new (syntax->parameters);
    const GOptionEntry json[] = {
        { "json", 0, 0, G_OPTION_ARG_NONE, &self->json,
          N_ ("For programs: one JSON object a line on standard output"), NULL },
        { NULL },
    };
    const GOptionEntry last[] = {
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &self->verbose,
          N_ ("Tell on standard error what happens inside"), NULL },
        { "help", 'h', 0, G_OPTION_ARG_NONE, &self->help, N_ ("Show this"), NULL },
        { NULL },
    };

    g_option_context_set_help_enabled (context, FALSE);
    g_option_context_set_translation_domain (context, GETTEXT_PACKAGE);
    g_option_context_set_summary (context, syntax->summary);
    g_option_context_set_description (context, syntax->description);
    if (own != NULL)
        g_option_context_add_main_entries (context, own, GETTEXT_PACKAGE);
    if ((features & CW_CLI_SESSION) != 0)
        add_session_entries (self, context);
    if ((features & CW_CLI_JSON) != 0)
        g_option_context_add_main_entries (context, json, GETTEXT_PACKAGE);
    g_option_context_add_main_entries (context, last, GETTEXT_PACKAGE);
    return context;
}

/* GLib's own --help is switched off: it exits in the middle and writes past our charset rules.
 * Asked for at the end of a line that is wrong otherwise, it still helps. */
static gboolean
wants_help (int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp (argv[i], "--") != 0; i++)
        if (strcmp (argv[i], "--help") == 0 || strcmp (argv[i], "-h") == 0)
            return TRUE;
    return FALSE;
}

static void
print_help (GOptionContext *context, const CwCliSyntax *syntax)
{
    g_autoptr (CwTerminal) terminal = cw_terminal_new (STDOUT_FILENO);
    g_autofree char *before = g_strdup (g_get_prgname ());
    g_autofree char *name = g_strdup_printf ("causeway %s", syntax->name);
    g_autofree char *text = NULL;

    g_set_prgname (name);
    text = g_option_context_get_help (context, TRUE, NULL);
    g_set_prgname (before);
    cw_terminal_print (terminal, "%s", g_strchomp (text));
}

static GLogWriterOutput
write_log (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    for (gsize i = 0; i < n_fields; i++)
        if (strcmp (fields[i].key, "GLIB_DOMAIN") == 0
            && g_str_has_prefix (fields[i].value, "causeway"))
            return g_log_writer_standard_streams (level, fields, n_fields, user_data);
    return g_log_writer_default (level, fields, n_fields, user_data);
}

gboolean
cw_cli_options_parse (CwCliOptions *self,
                      const CwCliSyntax *syntax,
                      CwCliFeatures features,
                      const GOptionEntry *entries,
                      int *argc,
                      char ***argv,
                      int *ret_exit)
{
    g_autoptr (GOptionContext) context = make_context (self, syntax, features, entries);
    g_autoptr (GError) error = NULL;

    if (wants_help (*argc, *argv)) {
        print_help (context, syntax);
        *ret_exit = CW_EXIT_OK;
        return FALSE;
    }
    if (!g_option_context_parse (context, argc, argv, &error)) {
        *ret_exit = cw_cli_usage_error (syntax->name, "%s", error->message);
        return FALSE;
    }
    if (self->verbose)
        g_log_set_writer_func (write_log, NULL, NULL);
    return TRUE;
}

CwSettings *
cw_cli_options_load_settings (const CwCliOptions *self, GError **error)
{
    g_autoptr (CwSettings) settings = cw_settings_load (error);
    g_autofree char *length = g_strdup_printf ("%d", self->code_length);

    if (settings == NULL)
        return NULL;
    if (self->mailbox != NULL && !cw_settings_set (settings, "mailbox", self->mailbox, error))
        return NULL;
    if (self->transit_relay != NULL
        && !cw_settings_set (settings, "transit-relay", self->transit_relay, error))
        return NULL;
    if (self->code_length != 0 && !cw_settings_set (settings, "code-length", length, error))
        return NULL;
    return g_steal_pointer (&settings);
}

CwIdentity *
cw_cli_load_identity (GError **error)
{
    g_autofree char *dir = cw_paths_dup_data_dir (error);

    return dir != NULL ? cw_identity_load_or_create (dir, error) : NULL;
}
