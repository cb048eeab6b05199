/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-settings.h"

#include <gio/gio.h>
#include <string.h>

#include "cw-paths.h"

#define GROUP "causeway"
#define MAX_NAME 64 /* characters */

/* The public servers every wormhole client meets on; the second is the same server without TLS,
 * for networks that let port 443 through to nobody but their proxy. */
static const char *const default_mailboxes[] = {
    "wss://relay.magic-wormhole.io/v1",
    "ws://relay.magic-wormhole.io:4000/v1",
    NULL,
};
#define DEFAULT_RELAY "tcp:transit.magic-wormhole.io:4001"

/* clang-format off */
G_DEFINE_QUARK (cw-settings-error-quark, cw_settings_error)
/* clang-format on */

static const struct {
    const char *key;
    const char *variable;
} known[] = {
    { "mailbox", "CAUSEWAY_MAILBOX" },
    { "transit-relay", "CAUSEWAY_TRANSIT_RELAY" },
    { "name", "CAUSEWAY_NAME" },
    { "folder", "CAUSEWAY_FOLDER" },
    { "code-length", "CAUSEWAY_CODE_LENGTH" },
};

static gboolean
value_error (GError **error, const char *key, const char *value, const char *wanted)
{
    g_set_error (error, CW_SETTINGS_ERROR, CW_SETTINGS_ERROR_VALUE, "%s is '%s', not %s", key,
                 value, wanted);
    return FALSE;
}

static gboolean
set_mailbox (CwSettings *settings, const char *value, GError **error)
{
    g_autoptr (GUri) uri = g_uri_parse (value, G_URI_FLAGS_NONE, NULL);
    const char *scheme = uri != NULL ? g_uri_get_scheme (uri) : NULL;

    if (scheme == NULL || (strcmp (scheme, "ws") != 0 && strcmp (scheme, "wss") != 0)
        || g_uri_get_host (uri) == NULL || *g_uri_get_host (uri) == '\0')
        return value_error (error, "mailbox", value, "an address like ws://HOST:PORT/v1");
    g_strfreev (settings->mailbox_urls);
    settings->mailbox_urls = g_new0 (char *, 2);
    settings->mailbox_urls[0] = g_strdup (value);
    settings->mailbox_set = TRUE;
    return TRUE;
}

static gboolean
set_relay (CwSettings *settings, const char *value, GError **error)
{
    const char *colon = strrchr (value, ':');
    guint64 port;

    if (strcmp (value, "none") == 0) {
        g_clear_pointer (&settings->transit_relay, g_free);
        return TRUE;
    }
    if (!g_str_has_prefix (value, "tcp:") || colon <= value + 4
        || !g_ascii_string_to_unsigned (colon + 1, 10, 1, 65535, &port, NULL))
        return value_error (error, "transit-relay", value,
                            "an address like tcp:HOST:PORT, or none");
    g_free (settings->transit_relay);
    settings->transit_relay = g_strdup (value);
    return TRUE;
}

static gboolean
set_name (CwSettings *settings, const char *value, GError **error)
{
    g_autofree char *name = g_utf8_make_valid (value, -1);

    g_strstrip (name);
    for (char *p = name; *p != '\0'; p = g_utf8_next_char (p))
        if (g_unichar_iscntrl (g_utf8_get_char (p)))
            return value_error (error, "name", "…", "free of control characters");
    if (*name == '\0' || g_utf8_strlen (name, -1) > MAX_NAME)
        return value_error (error, "name", value, "1 to 64 characters");
    g_free (settings->name);
    settings->name = g_steal_pointer (&name);
    return TRUE;
}

static gboolean
set_folder (CwSettings *settings, const char *value, GError **error)
{
    char *folder;

    if (*value == '\0')
        return value_error (error, "folder", value, "a folder");
    if (g_str_has_prefix (value, "~/"))
        folder = g_build_filename (g_get_home_dir (), value + 2, NULL);
    else
        folder = g_canonicalize_filename (value, NULL);
    g_free (settings->folder);
    settings->folder = folder;
    return TRUE;
}

gboolean
cw_settings_set (CwSettings *settings, const char *key, const char *value, GError **error)
{
    guint64 words;

    if (strcmp (key, "mailbox") == 0)
        return set_mailbox (settings, value, error);
    if (strcmp (key, "transit-relay") == 0)
        return set_relay (settings, value, error);
    if (strcmp (key, "name") == 0)
        return set_name (settings, value, error);
    if (strcmp (key, "folder") == 0)
        return set_folder (settings, value, error);
    if (strcmp (key, "code-length") == 0) {
        if (!g_ascii_string_to_unsigned (value, 10, 1, 8, &words, NULL))
            return value_error (error, key, value, "a number of words from 1 to 8");
        settings->code_length = (unsigned)words;
        return TRUE;
    }
    g_set_error (error, CW_SETTINGS_ERROR, CW_SETTINGS_ERROR_VALUE, "'%s' is not a setting", key);
    return FALSE;
}

/* What its owner called the computer ("Anna's Laptop"), else its host name. */
static char *
dup_device_name (void)
{
    g_autofree char *content = NULL;
    g_autofree char *text = NULL;
    g_autoptr (GKeyFile) file = g_key_file_new ();

    if (g_file_get_contents ("/etc/machine-info", &content, NULL, NULL)) {
        text = g_strconcat ("[m]\n", content, NULL);
        if (g_key_file_load_from_data (file, text, (gsize)-1, G_KEY_FILE_NONE, NULL)) {
            g_autofree char *quoted = g_key_file_get_value (file, "m", "PRETTY_HOSTNAME", NULL);
            char *name = quoted != NULL ? g_shell_unquote (quoted, NULL) : NULL;
            if (name != NULL && *name != '\0')
                return name;
            g_free (name);
        }
    }
    return g_strdup (g_get_host_name ());
}

static gboolean
load_file (CwSettings *settings, GError **error)
{
    g_autofree char *dir = cw_paths_dup_config_dir (NULL);
    g_autofree char *path = dir != NULL ? g_build_filename (dir, "causeway.conf", NULL) : NULL;
    g_autoptr (GKeyFile) file = g_key_file_new ();
    g_autoptr (GError) local = NULL;

    /* A read-only or missing home is no reason not to run. */
    if (path == NULL)
        return TRUE;
    if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local)) {
        if (g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return TRUE;
        g_set_error (error, CW_SETTINGS_ERROR, CW_SETTINGS_ERROR_FILE, "cannot read '%s': %s", path,
                     local->message);
        return FALSE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS (known); i++) {
        g_autofree char *value = g_key_file_get_string (file, GROUP, known[i].key, NULL);
        if (value != NULL && !cw_settings_set (settings, known[i].key, value, error)) {
            g_prefix_error (error, "in '%s': ", path);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
load_environment (CwSettings *settings, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS (known); i++) {
        const char *value = g_getenv (known[i].variable);
        if (value == NULL || *value == '\0')
            continue;
        if (!cw_settings_set (settings, known[i].key, value, error)) {
            g_prefix_error (error, "in the environment, %s: ", known[i].variable);
            return FALSE;
        }
    }
    return TRUE;
}

CwSettings *
cw_settings_load (GError **error)
{
    g_autoptr (CwSettings) settings = g_new0 (CwSettings, 1);

    settings->mailbox_urls = g_strdupv ((char **)default_mailboxes);
    settings->transit_relay = g_strdup (DEFAULT_RELAY);
    settings->name = dup_device_name ();
    settings->folder = cw_paths_dup_download_dir ();
    settings->code_length = 2;
    if (!load_file (settings, error) || !load_environment (settings, error))
        return NULL;
    return g_steal_pointer (&settings);
}

CwSettings *
cw_settings_copy (const CwSettings *settings)
{
    CwSettings *copy = g_new0 (CwSettings, 1);

    copy->mailbox_urls = g_strdupv (settings->mailbox_urls);
    copy->mailbox_set = settings->mailbox_set;
    copy->transit_relay = g_strdup (settings->transit_relay);
    copy->name = g_strdup (settings->name);
    copy->folder = g_strdup (settings->folder);
    copy->code_length = settings->code_length;
    return copy;
}

void
cw_settings_free (CwSettings *settings)
{
    g_strfreev (settings->mailbox_urls);
    g_free (settings->transit_relay);
    g_free (settings->name);
    g_free (settings->folder);
    g_free (settings);
}
