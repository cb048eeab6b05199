/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The command line: what the commands have in common. */

#include <glib.h>

#include "cw-identity.h"
#include "cw-settings.h"

G_BEGIN_DECLS

typedef struct {
    gboolean json;
    gboolean quiet;
    gboolean verbose;
    gboolean help;
    gboolean verify;
    gboolean no_direct;
    int code_length;
    char *mailbox;
    char *transit_relay;
} CwCliOptions;

void cw_cli_options_clear (CwCliOptions *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CwCliOptions, cw_cli_options_clear)

/* What "causeway help NAME" says beside the options. Marked for translation with N_(). */
typedef struct {
    const char *name;
    const char *parameters;
    const char *summary;
    const char *description;
} CwCliSyntax;

/* Which of CwCliOptions a command has, beside --help and --verbose. */
typedef enum {
    CW_CLI_JSON = 1 << 0,
    CW_CLI_SESSION = 1 << 1, /* all that send and receive share */
} CwCliFeatures;

/* Takes the options away from @argc and @argv, where argv[0] is the command; @entries may be NULL.
 * FALSE: the program is to end with *@ret_exit, because the line was wrong (said on standard
 * error) or asked for help (printed). */
gboolean cw_cli_options_parse (CwCliOptions *self,
                               const CwCliSyntax *syntax,
                               CwCliFeatures features,
                               const GOptionEntry *entries,
                               int *argc,
                               char ***argv,
                               int *ret_exit);

/* The settings with the options on top. */
CwSettings *cw_cli_options_load_settings (const CwCliOptions *self, GError **error);
/* This device's identity, made at the first use. */
CwIdentity *cw_cli_load_identity (GError **error);

/* "causeway: TEXT" and where to read about @command (NULL: the program); returns CW_EXIT_USAGE. */
int cw_cli_usage_error (const char *command, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
