/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <glib/gstdio.h>
#include <string.h>

#include "cw-settings.h"

static char *config_home;

static void
write_file (const char *content)
{
    g_autofree char *dir = g_build_filename (config_home, "causeway", NULL);
    g_autofree char *path = g_build_filename (dir, "causeway.conf", NULL);

    g_mkdir_with_parents (dir, 0700);
    if (content == NULL)
        g_unlink (path);
    else
        g_assert_true (g_file_set_contents (path, content, -1, NULL));
}

static void
test_defaults (void)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwSettings) settings = NULL;

    write_file (NULL);
    settings = cw_settings_load (&error);
    g_assert_no_error (error);
    g_assert_false (settings->mailbox_set);
    g_assert_true (g_str_has_prefix (settings->mailbox_urls[0], "wss://"));
    g_assert_nonnull (settings->transit_relay);
    g_assert_cmpuint (settings->code_length, ==, 2);
    g_assert_true (g_path_is_absolute (settings->folder));
    g_assert_cmpstr (settings->name, !=, "");
}

static void
test_order (void)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwSettings) settings = NULL;
    g_autoptr (CwSettings) copy = NULL;

    write_file ("[causeway]\nmailbox=ws://file:1/v1\nname=From File\ntransit-relay=none\n");
    g_setenv ("CAUSEWAY_MAILBOX", "ws://[::1]:4000/v1", TRUE);
    settings = cw_settings_load (&error);
    g_unsetenv ("CAUSEWAY_MAILBOX");
    g_assert_no_error (error);
    g_assert_cmpstr (settings->mailbox_urls[0], ==, "ws://[::1]:4000/v1");
    g_assert_null (settings->mailbox_urls[1]);
    g_assert_true (settings->mailbox_set);
    g_assert_cmpstr (settings->name, ==, "From File");
    g_assert_null (settings->transit_relay);
    g_assert_true (cw_settings_set (settings, "transit-relay", "tcp:[::1]:4001", &error));
    copy = cw_settings_copy (settings);
    g_assert_cmpstr (copy->transit_relay, ==, "tcp:[::1]:4001");
}

static void
test_refused (void)
{
    static const char *const bad[][2] = {
        { "mailbox", "http://host/v1" },
        { "mailbox", "host" },
        { "mailbox", "ws:///v1" },
        { "transit-relay", "host:1" },
        { "transit-relay", "tcp:host" },
        { "transit-relay", "tcp:host:0" },
        { "transit-relay", "tcp::1" },
        { "name", " " },
        { "name", "a\033[31m" },
        { "code-length", "0" },
        { "code-length", "9" },
        { "code-length", "two" },
        { "folder", "" },
        { "colour", "blue" },
    };
    g_autoptr (CwSettings) settings = NULL;
    g_autoptr (GError) error = NULL;

    write_file (NULL);
    settings = cw_settings_load (NULL);
    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
        g_assert_false (cw_settings_set (settings, bad[i][0], bad[i][1], &error));
        g_assert_error (error, CW_SETTINGS_ERROR, CW_SETTINGS_ERROR_VALUE);
        g_clear_error (&error);
    }
    write_file ("[causeway]\ncode-length=many\n");
    g_assert_null (cw_settings_load (&error));
    g_assert_error (error, CW_SETTINGS_ERROR, CW_SETTINGS_ERROR_VALUE);
    g_assert_nonnull (strstr (error->message, "causeway.conf"));
    g_clear_error (&error);
    write_file ("not a key file");
    g_assert_null (cw_settings_load (&error));
    g_assert_error (error, CW_SETTINGS_ERROR, CW_SETTINGS_ERROR_FILE);
}

int
main (int argc, char **argv)
{
    int status;

    config_home = g_dir_make_tmp ("cw-settings-XXXXXX", NULL);
    g_setenv ("XDG_CONFIG_HOME", config_home, TRUE);
    for (const char *const *name
         = (const char *const[]){ "CAUSEWAY_MAILBOX", "CAUSEWAY_TRANSIT_RELAY", "CAUSEWAY_NAME",
                                  "CAUSEWAY_FOLDER", "CAUSEWAY_CODE_LENGTH", NULL };
         *name != NULL; name++)
        g_unsetenv (*name);
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/settings/defaults", test_defaults);
    g_test_add_func ("/settings/order", test_order);
    g_test_add_func ("/settings/refused", test_refused);
    status = g_test_run ();
    write_file (NULL);
    {
        g_autofree char *dir = g_build_filename (config_home, "causeway", NULL);
        g_rmdir (dir);
        g_rmdir (config_home);
    }
    g_free (config_home);
    return status;
}
