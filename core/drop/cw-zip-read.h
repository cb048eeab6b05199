/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Reads a stranger's zip that is all there, by its central directory. Ours rather than
 * libarchive's: that one reads the whole directory into memory, 155 bytes an entry, before the
 * first can be refused, gives no names that the process's locale cannot say, and brings libxml2
 * and ICU into the agent. Here memory is 16 bytes an entry, and a zip is judged as a whole before
 * anything of it is unpacked.
 *
 * Stored and deflated entries, ZIP64, Unix modes, and times. Refused: encrypted or split zips,
 * other methods, symlinks and devices, absolute names, "..", backslashes, a name twice. Names that
 * are bad in other ways are the inbox's business. Errors are CW_DROP_ERROR_BAD_ARCHIVE, and
 * CW_DROP_ERROR_TOO_LARGE beyond the limits. Pure but for @read_at. */

#include <glib.h>

#include "cw-drop-error.h"

G_BEGIN_DECLS

typedef struct _CwZipReader CwZipReader;

typedef struct {
    guint64 max_bytes;   /* of all entries unpacked */
    guint64 max_entries; /* at most 2^32 - 1 */
} CwZipLimits;

typedef struct {
    const char *name; /* relative, no empty, "." or ".." components, no "/" at the end; bytes,
                       * perhaps not UTF-8. Borrowed until the next entry. */
    gboolean is_folder;
    guint32 mode; /* permission bits; when the zip has none, 0644 or 0755 */
    gint64 mtime_ns;
    guint64 size;
} CwZipEntry;

/* Exactly @len bytes at @offset, which is within the size given. */
typedef gboolean (*CwZipReadAt) (
    gpointer user_data, guint64 offset, guint8 *data, size_t len, GError **error);

/* Reads the directory once and judges it. */
CwZipReader *cw_zip_reader_new (guint64 size,
                                CwZipReadAt read_at,
                                gpointer user_data,
                                const CwZipLimits *limits,
                                GError **error);
void cw_zip_reader_free (CwZipReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwZipReader, cw_zip_reader_free)

/* In the order of the directory. *@ret_more FALSE: that were all. */
gboolean cw_zip_reader_next (CwZipReader *reader,
                             CwZipEntry *ret_entry,
                             gboolean *ret_more,
                             GError **error);
/* Unpacks the next bytes of the entry; *@ret_len 0: the end, and length and CRC are right. */
gboolean cw_zip_reader_read (
    CwZipReader *reader, guint8 *data, size_t len, size_t *ret_len, GError **error);

/* Back to before the first entry. */
void cw_zip_reader_rewind (CwZipReader *reader);

G_END_DECLS
