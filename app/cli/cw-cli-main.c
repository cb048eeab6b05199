/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <glib/gi18n.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cw-cli-commands.h"
#include "cw-cli-options.h"
#include "cw-cli-terminal.h"
#include "cw-cli-text.h"
#include "cw-code.h"
#include "cw-messages.h"
#include "cw-secret.h"

typedef struct {
    const char *name;
    const char *parameters;
    const char *summary; /* NULL: not for people */
    int (*run) (int argc, char **argv);
} Command;

static int help (int argc, char **argv);

static const Command commands[] = {
    { "send", N_ ("FILE…"), N_ ("Send files and folders; prints a code for the other person"),
      cw_cli_send },
    { "receive", N_ ("[CODE]"), N_ ("Receive, with the code that the other person tells you"),
      cw_cli_receive },
    { "id", "", N_ ("Show this device's name and fingerprint"), cw_cli_id },
    { "mailbox", "", N_ ("Run a mailbox, where two computers meet by a code"), cw_cli_mailbox },
    { "relay", "", N_ ("Run a relay, for when no direct connection works"), cw_cli_relay },
    { "help", N_ ("[COMMAND]"), N_ ("Show this, or all about a command"), help },
    { "complete-code", NULL, NULL, cw_cli_complete_code },
};

static const Command *
find_command (const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS (commands); i++)
        if (strcmp (commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* --- Help --- */

/* A usage and what it does, in two columns. */
static void
print_row (CwTerminal *out, const char *usage, const char *summary, unsigned column)
{
    g_autofree char *padded = cw_text_pad (usage, column);

    cw_terminal_print (out, "  %s  %s", padded, summary);
}

/* The four that most people need. */
static int
print_short_help (void)
{
    g_autoptr (CwTerminal) out = cw_terminal_new (STDOUT_FILENO);
    const char *const rows[][2] = {
        { _ ("causeway send FILE…"), _ ("send files or folders; prints a code") },
        { _ ("causeway receive CODE"), _ ("receive with the code you were told") },
        { _ ("causeway send --text TEXT"), _ ("send a text, a password, a link") },
        { _ ("causeway help [COMMAND]"), _ ("all the rest") },
    };
    unsigned column = 0;

    cw_terminal_print (out, "%s\n",
                       _ ("Causeway sends files directly from one computer to another."));
    for (size_t i = 0; i < G_N_ELEMENTS (rows); i++)
        column = MAX (column, cw_text_columns (rows[i][0]));
    for (size_t i = 0; i < G_N_ELEMENTS (rows); i++)
        print_row (out, rows[i][0], rows[i][1], column);
    return CW_EXIT_OK;
}

static char *
dup_usage (const Command *command)
{
    const char *parameters = command->parameters[0] != '\0' ? _ (command->parameters) : "";
    g_autofree char *usage = g_strdup_printf ("causeway %s %s", command->name, parameters);

    return g_strdup (g_strchomp (usage));
}

static int
print_help (void)
{
    g_autoptr (CwTerminal) out = cw_terminal_new (STDOUT_FILENO);
    unsigned column = 0;

    cw_terminal_print (out, "%s\n",
                       _ ("Causeway sends files directly from one computer to another: one "
                          "person sends and gets a\ncode, the other types it. Any wormhole "
                          "program can be at the other end."));
    for (size_t i = 0; i < G_N_ELEMENTS (commands); i++) {
        g_autofree char *usage = commands[i].summary != NULL ? dup_usage (&commands[i]) : NULL;
        column = usage != NULL ? MAX (column, cw_text_columns (usage)) : column;
    }
    for (size_t i = 0; i < G_N_ELEMENTS (commands); i++) {
        g_autofree char *usage = commands[i].summary != NULL ? dup_usage (&commands[i]) : NULL;
        if (usage != NULL)
            print_row (out, usage, _ (commands[i].summary), column);
    }
    cw_terminal_print (out, "\n%s",
                       _ ("“causeway help COMMAND” lists a command's options, “man causeway” has "
                          "the settings, the\nexit codes and what --json prints."));
    return CW_EXIT_OK;
}

static int
unknown_command (const char *name)
{
    g_autofree char *code = cw_code_normalize (name, NULL, NULL);
    g_autofree char *shown = cw_text_dup_path (name);
    g_autofree char *word = cw_text_dup_shell_word (shown);

    if (name[0] == '-')
        return cw_cli_usage_error (NULL, _ ("there is no option %s."), shown);
    if (code != NULL)
        return cw_cli_usage_error (NULL, _ ("to receive with this code: causeway receive %s"),
                                   code);
    if (g_file_test (name, G_FILE_TEST_EXISTS))
        return cw_cli_usage_error (NULL, _ ("to send this: causeway send %s"), word);
    return cw_cli_usage_error (NULL, _ ("there is no command “%s”."), shown);
}

static int
help (int argc, char **argv)
{
    const Command *command = argc > 1 ? find_command (argv[1]) : NULL;
    char *help_argv[] = { argc > 1 ? argv[1] : NULL, (char *)"--help", NULL };

    if (argc < 2 || argv[1][0] == '-' || (command != NULL && command->run == help))
        return print_help ();
    if (command == NULL || command->summary == NULL)
        return unknown_command (argv[1]);
    return command->run (2, help_argv);
}

int
cw_cli_complete_code (int argc, char **argv)
{
    const CwCliOptions options = { 0 };
    g_autoptr (CwSettings) settings = cw_cli_options_load_settings (&options, NULL);
    g_auto (GStrv) found = NULL;

    if (argc == 2 && settings != NULL)
        found = cw_code_complete (argv[1], NULL, settings->code_length);
    for (char **p = found; p != NULL && *p != NULL; p++)
        puts (*p);
    return CW_EXIT_OK;
}

/* --- The program --- */

static void
set_up_process (void)
{
    setlocale (LC_ALL, "");
    bindtextdomain (GETTEXT_PACKAGE, CW_LOCALE_DIR);
    bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
    textdomain (GETTEXT_PACKAGE);
    g_set_prgname ("causeway");
    /* Standard output belongs to --json, --stdout and texts. */
    g_log_writer_default_set_use_stderr (TRUE);
    /* A reader that goes away is an error where it matters, not our end. */
    signal (SIGPIPE, SIG_IGN);
    cw_crypto_init ();
}

int
main (int argc, char **argv)
{
    const Command *command;

    set_up_process ();
    if (argc < 2)
        return print_short_help ();
    if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0)
        return print_help ();
    if (strcmp (argv[1], "--version") == 0) {
        puts ("causeway " CW_VERSION);
        return CW_EXIT_OK;
    }
    command = find_command (argv[1]);
    return command != NULL ? command->run (argc - 1, argv + 1) : unknown_command (argv[1]);
}
