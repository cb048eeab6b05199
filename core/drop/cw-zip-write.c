/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-zip-write.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#include "cw-zip-format.h"

#define MAX32 G_MAXUINT32
#define MAX16 G_MAXUINT16

#define VERSION_BASIC 20
#define VERSION_ZIP64 45

guint32
cw_zip_crc32 (guint32 crc32, const guint8 *data, size_t len)
{
    return (guint32)crc32_z (crc32, data, len);
}

static void
put_le16 (GByteArray *zip, guint16 value)
{
    guint16 le = GUINT16_TO_LE (value);
    g_byte_array_append (zip, (const guint8 *)&le, sizeof le);
}

static void
put_le32 (GByteArray *zip, guint32 value)
{
    guint32 le = GUINT32_TO_LE (value);
    g_byte_array_append (zip, (const guint8 *)&le, sizeof le);
}

static void
put_le64 (GByteArray *zip, guint64 value)
{
    guint64 le = GUINT64_TO_LE (value);
    g_byte_array_append (zip, (const guint8 *)&le, sizeof le);
}

/* All ones say that the value is in the ZIP64 extra; so all ones itself goes there too. */
static guint32
clamp32 (guint64 value)
{
    return (guint32)MIN (value, MAX32);
}

static gboolean
is_large (const CwZipFile *file)
{
    return file->size >= MAX32;
}

/* A CRC is known only after the file was read, hence the descriptor; nothing follows an empty
 * file, for which some readers that go front to back expect none. */
static guint16
get_flags (const CwZipFile *file)
{
    guint16 flags = 0;

    if (file->size > 0)
        flags |= CW_ZIP_FLAG_DESCRIPTOR;
    if (!g_str_is_ascii (file->name))
        flags |= CW_ZIP_FLAG_UTF8;
    return flags;
}

/* DOS time has no zone, and readers take it for local; ours cannot know the receiver's. The extra
 * field below is exact, and it wins wherever times are restored at all. */
static guint32
get_dos_time (gint64 mtime_ns)
{
    const gint64 first = 315532800, last = 4354819198; /* 1980 and 2107, all that DOS can say */
    time_t seconds = (time_t)CLAMP (mtime_ns / 1000000000, first, last);
    struct tm tm;

    gmtime_r (&seconds, &tm);
    return (guint32)(tm.tm_year - 80) << 25 | (guint32)(tm.tm_mon + 1) << 21
           | (guint32)tm.tm_mday << 16 | (guint32)tm.tm_hour << 11 | (guint32)tm.tm_min << 5
           | (guint32)tm.tm_sec / 2;
}

static gboolean
has_time (const CwZipFile *file)
{
    return file->mtime_ns >= 0 && file->mtime_ns / 1000000000 <= G_MAXINT32;
}

static void
put_time (GByteArray *zip, const CwZipFile *file)
{
    const guint8 has_mtime = 1;

    if (!has_time (file))
        return;
    put_le16 (zip, CW_ZIP_EXTRA_TIME);
    put_le16 (zip, 5);
    g_byte_array_append (zip, &has_mtime, 1);
    put_le32 (zip, (guint32)(file->mtime_ns / 1000000000));
}

void
cw_zip_append_local (GByteArray *zip, const CwZipFile *file)
{
    guint16 extra = (has_time (file) ? 9 : 0) + (is_large (file) ? 20 : 0);

    put_le32 (zip, CW_ZIP_LOCAL_SIG);
    put_le16 (zip, is_large (file) ? VERSION_ZIP64 : VERSION_BASIC);
    put_le16 (zip, get_flags (file));
    put_le16 (zip, CW_ZIP_STORED);
    put_le32 (zip, get_dos_time (file->mtime_ns));
    put_le32 (zip, 0);
    /* Sizes are the descriptor's business too; all ones announce its larger form. */
    put_le32 (zip, is_large (file) ? MAX32 : 0);
    put_le32 (zip, is_large (file) ? MAX32 : 0);
    put_le16 (zip, (guint16)strlen (file->name));
    put_le16 (zip, extra);
    g_byte_array_append (zip, (const guint8 *)file->name, (guint)strlen (file->name));
    if (is_large (file)) {
        put_le16 (zip, CW_ZIP_EXTRA_ZIP64);
        put_le16 (zip, 16);
        put_le64 (zip, 0);
        put_le64 (zip, 0);
    }
    put_time (zip, file);
}

void
cw_zip_append_descriptor (GByteArray *zip, const CwZipFile *file)
{
    if (file->size == 0)
        return;
    put_le32 (zip, CW_ZIP_DESCRIPTOR_SIG);
    put_le32 (zip, file->crc32);
    if (is_large (file)) {
        put_le64 (zip, file->size);
        put_le64 (zip, file->size);
    } else {
        put_le32 (zip, (guint32)file->size);
        put_le32 (zip, (guint32)file->size);
    }
}

void
cw_zip_append_central (GByteArray *zip, const CwZipFile *file)
{
    guint16 zip64 = (is_large (file) ? 16 : 0) + (file->offset >= MAX32 ? 8 : 0);
    guint16 extra = (has_time (file) ? 9 : 0) + (zip64 > 0 ? 4 + zip64 : 0);
    guint16 version = zip64 > 0 ? VERSION_ZIP64 : VERSION_BASIC;

    put_le32 (zip, CW_ZIP_CENTRAL_SIG);
    put_le16 (zip, CW_ZIP_HOST_UNIX << 8 | version);
    put_le16 (zip, version);
    put_le16 (zip, get_flags (file));
    put_le16 (zip, CW_ZIP_STORED);
    put_le32 (zip, get_dos_time (file->mtime_ns));
    put_le32 (zip, file->crc32);
    put_le32 (zip, clamp32 (file->size));
    put_le32 (zip, clamp32 (file->size));
    put_le16 (zip, (guint16)strlen (file->name));
    put_le16 (zip, extra);
    put_le16 (zip, 0);
    put_le16 (zip, 0);
    put_le16 (zip, 0);
    put_le32 (zip, (S_IFREG | (file->mode & 0777)) << 16);
    put_le32 (zip, clamp32 (file->offset));
    g_byte_array_append (zip, (const guint8 *)file->name, (guint)strlen (file->name));
    if (zip64 > 0) {
        put_le16 (zip, CW_ZIP_EXTRA_ZIP64);
        put_le16 (zip, zip64);
        if (is_large (file)) {
            put_le64 (zip, file->size);
            put_le64 (zip, file->size);
        }
        if (file->offset >= MAX32)
            put_le64 (zip, file->offset);
    }
    put_time (zip, file);
}

void
cw_zip_append_end (GByteArray *zip, guint64 n_files, guint64 central_offset, guint64 central_size)
{
    if (n_files >= MAX16 || central_offset >= MAX32 || central_size >= MAX32) {
        put_le32 (zip, CW_ZIP_END64_SIG);
        put_le64 (zip, CW_ZIP_END64_SIZE - 12);
        put_le16 (zip, CW_ZIP_HOST_UNIX << 8 | VERSION_ZIP64);
        put_le16 (zip, VERSION_ZIP64);
        put_le32 (zip, 0);
        put_le32 (zip, 0);
        put_le64 (zip, n_files);
        put_le64 (zip, n_files);
        put_le64 (zip, central_size);
        put_le64 (zip, central_offset);

        put_le32 (zip, CW_ZIP_LOCATOR64_SIG);
        put_le32 (zip, 0);
        put_le64 (zip, central_offset + central_size);
        put_le32 (zip, 1);
    }
    put_le32 (zip, CW_ZIP_END_SIG);
    put_le16 (zip, 0);
    put_le16 (zip, 0);
    put_le16 (zip, (guint16)MIN (n_files, MAX16));
    put_le16 (zip, (guint16)MIN (n_files, MAX16));
    put_le32 (zip, clamp32 (central_size));
    put_le32 (zip, clamp32 (central_offset));
    put_le16 (zip, 0);
}
