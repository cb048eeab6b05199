/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Names from a peer: whatever comes, what we make of it can be created and shown. The first line
 * is a name (or a path), the rest a second one (or a symlink's target). */

#include <glib.h>
#include <string.h>

#include "cw-names.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check_shown (const char *text)
{
    g_assert (g_utf8_validate (text, -1, NULL));
    for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p)) {
        gunichar c = g_utf8_get_char (p);
        g_assert (!g_unichar_iscntrl (c));
        g_assert (c < 0x202a || c > 0x202e);
        g_assert (c < 0x2066 || c > 0x2069);
    }
}

static void
check_name (const char *name)
{
    size_t len = strlen (name);

    g_assert (len > 0 && len <= 255);
    g_assert (strchr (name, '/') == NULL);
    g_assert (strcmp (name, ".") != 0 && strcmp (name, "..") != 0);
    check_shown (name);
}

static void
check_safe (const char *name, size_t len, gboolean top_level)
{
    g_autofree char *safe = cw_name_make_safe (name, len, top_level);
    g_autofree char *again = cw_name_make_safe (safe, strlen (safe), top_level);
    g_autofree char *file = cw_name_number (safe, 2, FALSE);
    g_autofree char *folder = cw_name_number (safe, G_MAXUINT, TRUE);

    check_name (safe);
    g_assert_cmpstr (safe, ==, again);
    g_assert (!top_level || safe[0] != '.');
    check_name (file);
    check_name (folder);
    g_assert (strstr (file, " (2)") != NULL && strcmp (file, safe) != 0);
    g_assert (g_str_has_suffix (folder, " (4294967295)"));
}

static void
check_display (const char *name, size_t max_chars)
{
    g_autofree char *shown = cw_name_dup_display (name, max_chars);

    check_shown (shown);
    g_assert ((size_t)g_utf8_strlen (shown, -1) <= max_chars);
}

/* Walks the target as the kernel would if there were no other symlinks. */
static void
check_link (const char *path, const char *target)
{
    g_auto (GStrv) above = g_strsplit (path, "/", -1);
    g_auto (GStrv) parts = g_strsplit (target, "/", -1);
    gssize depth = (gssize)g_strv_length (above) - 2;

    if (!cw_name_link_stays_inside (path, target))
        return;
    g_assert (target[0] != '/' && target[0] != '\0');
    for (char **part = parts; *part != NULL; part++) {
        if (strcmp (*part, "..") == 0)
            depth--;
        else if (**part != '\0' && strcmp (*part, ".") != 0)
            depth++;
        g_assert (depth >= 0);
    }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autofree char *text = g_strndup ((const char *)data, size);
    const guint8 *newline = size > 0 ? memchr (data, '\n', size) : NULL;
    size_t first = newline == NULL ? size : (size_t)(newline - data);
    g_autofree char *path = g_strndup ((const char *)data, first);
    g_autofree char *target = g_strndup ((const char *)data + first, size - first);

    check_safe ((const char *)data, size, FALSE);
    check_safe ((const char *)data, first, TRUE);
    check_display (text, 40);
    check_display (text, size % 5);
    check_link (path, target[0] == '\n' ? target + 1 : target);
    return 0;
}
