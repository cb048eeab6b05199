/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A hostile offer against a real folder: each line is one item, its first letter the kind (f, d, l
 * with a second path behind a tab, r: all over again as another attempt). Nothing may ever be
 * outside the target, and all that was taken must be delivered. */

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "cw-inbox.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

#define MAX_ITEMS 30
static const CwInboxMeta meta = { .mode = 0600, .mtime_ns = 1 };

static void
remove_tree (const char *path)
{
    g_autoptr (GDir) dir
        = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open (path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
        g_autofree char *child = g_build_filename (path, name, NULL);
        remove_tree (child);
    }
    g_remove (path);
}

static guint
count_entries (const char *path, gboolean hidden)
{
    g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
    const char *name;
    guint n = 0;

    while ((name = g_dir_read_name (dir)) != NULL)
        n += hidden || name[0] != '.';
    return n;
}

static void
add_file (CwInbox *inbox, const char *path)
{
    guint8 sha256[32];
    guint64 length = 0;
    CwInboxFile *file;

    if (!cw_inbox_look_up (inbox, path, NULL, &length, sha256, NULL))
        length = 0;
    file = cw_inbox_begin_file (inbox, path, length, 4, FALSE, NULL);
    if (file == NULL)
        return;
    if (length < 4)
        g_assert (cw_inbox_file_write (file, length, "data", 4 - length, NULL));
    if (strlen (path) % 3 == 0)
        cw_inbox_file_abort (file, TRUE);
    else
        g_assert (cw_inbox_file_finish (file, 4, &meta, NULL));
}

static void
add_link (CwInbox *inbox, char *path)
{
    char *target = strchr (path, '\t');

    if (target == NULL)
        return;
    *target = '\0';
    cw_inbox_make_symlink (inbox, path, target + 1, &meta, NULL);
}

static CwInbox *
add (CwInbox *inbox, const char *folder, char *line)
{
    switch (line[0]) {
    case 'f':
        add_file (inbox, line + 1);
        break;
    case 'd':
        if (cw_inbox_make_folder (inbox, line + 1, NULL))
            g_assert (cw_inbox_finish_folder (inbox, line + 1, &meta, NULL));
        break;
    case 'l':
        add_link (inbox, line + 1);
        break;
    case 'r':
        cw_inbox_free (inbox);
        inbox = cw_inbox_open (folder, "fuzz", NULL);
        g_assert (inbox != NULL);
        break;
    default:
        break;
    }
    return inbox;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autofree char *text = g_strndup ((const char *)data, size);
    g_auto (GStrv) lines = g_strsplit (text, "\n", MAX_ITEMS);
    const char *parent = g_access ("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir ();
    g_autofree char *outer = g_build_filename (parent, "cw-fuzz-XXXXXX", NULL);
    g_autofree char *folder = NULL;
    g_autoptr (GPtrArray) paths = NULL;
    g_autoptr (GError) error = NULL;
    CwInbox *inbox;

    g_assert (g_mkdtemp (outer) != NULL);
    folder = g_build_filename (outer, "target", NULL);
    g_assert (g_mkdir (folder, 0700) == 0);
    inbox = cw_inbox_open (folder, "fuzz", NULL);
    g_assert (inbox != NULL);
    for (char **line = lines; *line != NULL; line++)
        inbox = add (inbox, folder, *line);
    g_assert (count_entries (folder, FALSE) == 0);
    g_assert (cw_inbox_deliver (inbox, &paths, &error));
    cw_inbox_free (inbox);
    g_assert (count_entries (folder, TRUE) == paths->len);
    g_assert (count_entries (outer, TRUE) == 1);
    remove_tree (outer);
    return 0;
}
