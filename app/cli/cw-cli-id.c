/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-commands.h"

#include <glib/gi18n.h>
#include <unistd.h>

#include "cw-cli-run.h"
#include "cw-cli-text.h"
#include "cw-names.h"

static const CwCliSyntax syntax = {
    "id",
    "",
    N_ ("Show what this device is called, and the fingerprint of the key that proves it is this "
        "one."),
    NULL,
};

static void
show (CwRun *run, const CwSettings *settings, const CwIdentity *identity)
{
    g_autofree char *fingerprint = cw_device_key_dup_fingerprint (cw_identity_get_key (identity));
    g_autofree char *name = cw_name_dup_display (settings->name, 64);
    const char *labels[] = { _ ("Name:"), _ ("Fingerprint:") };
    unsigned column = MAX (cw_text_columns (labels[0]), cw_text_columns (labels[1]));
    g_autofree char *first = cw_text_pad (labels[0], column);
    g_autofree char *second = cw_text_pad (labels[1], column);

    if (run->json != NULL)
        cw_json_id (run->json, settings->name, fingerprint);
    cw_run_say (run, "%s  %s", first, name);
    cw_run_say (run, "%s  %s", second, fingerprint);
}

static int
run_id (CwRun *run, const CwCliOptions *options)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwSettings) settings = cw_cli_options_load_settings (options, &error);
    g_autoptr (CwIdentity) identity = settings != NULL ? cw_cli_load_identity (&error) : NULL;

    if (identity == NULL)
        return cw_run_fail (run, error);
    show (run, settings, identity);
    return CW_EXIT_OK;
}

int
cw_cli_id (int argc, char **argv)
{
    CwCliOptions options = { 0 };
    CwRun run;
    int exit_code;

    if (!cw_cli_options_parse (&options, &syntax, CW_CLI_JSON, NULL, &argc, &argv, &exit_code))
        return exit_code;
    if (argc > 1)
        return cw_cli_usage_error ("id", "%s", _ ("this command takes nothing else."));
    cw_run_init (&run, &options, CW_SIDE_ANY, STDOUT_FILENO, FALSE);
    exit_code = run_id (&run, &options);
    cw_run_clear (&run);
    return exit_code;
}
