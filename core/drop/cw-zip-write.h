/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* A zip written front to back with entries stored as they are, so that its size is known before a
 * byte of a file is read (PKWARE APPNOTE 6.3). Pure: appends headers to an array; the files' bytes
 * go between local header and descriptor.
 *
 *   for each file   local header, its bytes, descriptor (crc32 is known by then)
 *   then            one central header a file, the end
 *
 * Every append gives the same number of bytes whatever crc32 is, so running it over the files once
 * measures. ZIP64 fields appear where a size, an offset or a count needs them. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    const char *name; /* UTF-8, "/" between components, relative; under 64 KiB */
    guint32 mode;     /* permission bits */
    gint64 mtime_ns;
    guint64 size;
    guint32 crc32;
    guint64 offset; /* of the local header */
} CwZipFile;

/* Goes on from @crc32, which is 0 at the start. */
guint32 cw_zip_crc32 (guint32 crc32, const guint8 *data, size_t len);

void cw_zip_append_local (GByteArray *zip, const CwZipFile *file);
void cw_zip_append_descriptor (GByteArray *zip, const CwZipFile *file);
void cw_zip_append_central (GByteArray *zip, const CwZipFile *file);
void cw_zip_append_end (GByteArray *zip,
                        guint64 n_files,
                        guint64 central_offset,
                        guint64 central_size);

G_END_DECLS
