/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A folder from a peer: everything in it is read, within the limits. */

#include <string.h>

#include "cw-zip-read.h"

#define MAX_BYTES (1 << 20)
#define MAX_ENTRIES 1000

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

typedef struct {
    const guint8 *data;
    size_t size;
} Input;

static gboolean
read_at (gpointer user_data, guint64 offset, guint8 *data, size_t len, GError **error)
{
    const Input *input = user_data;

    g_assert (offset <= input->size && len <= input->size - offset);
    memcpy (data, input->data + offset, len);
    return TRUE;
}

static void
check_name (const char *name)
{
    g_assert (*name != '\0' && *name != '/' && name[strlen (name) - 1] != '/');
    g_assert (strcmp (name, "..") != 0 && !g_str_has_prefix (name, "../"));
    g_assert (strstr (name, "/../") == NULL && !g_str_has_suffix (name, "/.."));
    g_assert (strchr (name, '\\') == NULL);
}

static size_t
read_entry (CwZipReader *reader, const CwZipEntry *entry)
{
    guint8 buffer[1000];
    size_t total = 0, n;

    while (cw_zip_reader_read (reader, buffer, sizeof buffer, &n, NULL)) {
        total += n;
        g_assert (total <= entry->size);
        if (n == 0) {
            g_assert (total == entry->size);
            break;
        }
    }
    return total;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    Input input = { .data = data, .size = size };
    const CwZipLimits limits = { .max_bytes = MAX_BYTES, .max_entries = MAX_ENTRIES };
    g_autoptr (GError) error = NULL;
    g_autoptr (CwZipReader) reader = cw_zip_reader_new (size, read_at, &input, &limits, &error);
    size_t total = 0, n_entries = 0;
    CwZipEntry entry;
    gboolean more;

    if (reader == NULL) {
        g_assert (error->domain == CW_DROP_ERROR && g_utf8_validate (error->message, -1, NULL));
        return 0;
    }
    while (cw_zip_reader_next (reader, &entry, &more, NULL) && more) {
        g_assert (++n_entries <= MAX_ENTRIES);
        check_name (entry.name);
        total += read_entry (reader, &entry);
        g_assert (total <= MAX_BYTES);
    }
    return 0;
}
