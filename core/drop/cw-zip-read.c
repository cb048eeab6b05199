/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-zip-read.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>
#include <zlib.h>

#include "cw-bytes.h"
#include "cw-names.h"
#include "cw-offer.h"
#include "cw-zip-format.h"

#define WINDOW_SIZE (64 * 1024)
#define MAX_SHOWN 160
/* A central header with the longest name, extra and comment. */
#define MAX_CENTRAL (CW_ZIP_CENTRAL_SIZE + 3 * G_MAXUINT16)

/* A central header as it stands. */
typedef struct {
    guint16 host;
    guint16 flags;
    guint16 method;
    guint32 dos_time;
    guint32 crc32;
    guint64 packed_size;
    guint64 size;
    guint64 offset;
    guint32 attributes;
    gboolean has_mtime;
    gint32 mtime;
    const guint8 *name;
    size_t name_len;
    size_t total_len;
} Central;

struct _CwZipReader {
    guint64 size;
    CwZipReadAt read_at;
    gpointer user_data;

    guint64 central_start;
    guint64 central_end;
    guint64 next; /* of the central header that comes next */

    guint8 *window; /* what was read of the directory */
    guint64 window_start;
    size_t window_len;

    /* The current entry. */
    Central central;      /* its name points nowhere any more */
    GByteArray *raw_name; /* as it stands there */
    GString *name;        /* as we give it */

    /* Its bytes. */
    gboolean opened;
    guint64 data_start; /* of what was not read yet */
    guint64 packed_left;
    guint64 left;
    uLong crc;
    gboolean inflating; /* z is initialised */
    gboolean inflated;  /* the deflate stream came to its end */
    z_stream z;
    guint8 *input;
};

static gboolean
bad (GError **error, const char *what)
{
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_ARCHIVE, "zip: %s", what);
    return FALSE;
}

static gboolean
bad_entry (GError **error, const char *name, const char *what)
{
    g_autofree char *shown = cw_name_dup_display (name, MAX_SHOWN);

    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_ARCHIVE, "zip: '%s' %s", shown, what);
    return FALSE;
}

static gboolean
too_large (GError **error, const char *what)
{
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE, "zip: %s", what);
    return FALSE;
}

static guint16
load_le16 (const guint8 *p)
{
    return (guint16)(p[0] | p[1] << 8);
}

static guint32
load_le32 (const guint8 *p)
{
    return (guint32)p[0] | (guint32)p[1] << 8 | (guint32)p[2] << 16 | (guint32)p[3] << 24;
}

static guint64
load_le64 (const guint8 *p)
{
    return load_le32 (p) | (guint64)load_le32 (p + 4) << 32;
}

static gboolean
read_at (CwZipReader *reader, guint64 offset, guint8 *data, size_t len, GError **error)
{
    if (len > reader->size || offset > reader->size - len)
        return bad (error, "it is cut short");
    return reader->read_at (reader->user_data, offset, data, len, error);
}

/* --- The end --- */

typedef struct {
    guint64 n_entries;
    guint64 central_size;
    guint64 central_offset;
} End;

/* The ZIP64 form of *@end, if the locator is where it has to be. */
static gboolean
read_end64 (CwZipReader *reader, guint64 end_offset, End *end, GError **error)
{
    guint8 locator[CW_ZIP_LOCATOR64_SIZE], end64[CW_ZIP_END64_SIZE];
    guint64 offset;

    if (end_offset < sizeof locator)
        return TRUE;
    if (!read_at (reader, end_offset - sizeof locator, locator, sizeof locator, error))
        return FALSE;
    if (load_le32 (locator) != CW_ZIP_LOCATOR64_SIG)
        return TRUE;
    offset = load_le64 (locator + 8);
    if (!read_at (reader, offset, end64, sizeof end64, error))
        return FALSE;
    if (load_le32 (end64) != CW_ZIP_END64_SIG || load_le32 (locator + 4) != 0
        || load_le32 (end64 + 16) != 0 || load_le32 (end64 + 20) != 0)
        return bad (error, "its ZIP64 end is not one");
    end->n_entries = load_le64 (end64 + 32);
    end->central_size = load_le64 (end64 + 40);
    end->central_offset = load_le64 (end64 + 48);
    return TRUE;
}

/* Last in the file but for a comment whose length it states. @len: at least its size. */
static const guint8 *
find_end (const guint8 *tail, size_t len)
{
    for (size_t at = len - CW_ZIP_END_SIZE + 1; at-- > 0;)
        if (load_le32 (tail + at) == CW_ZIP_END_SIG
            && load_le16 (tail + at + 20) == len - at - CW_ZIP_END_SIZE)
            return tail + at;
    return NULL;
}

static gboolean
read_end (CwZipReader *reader, End *ret, GError **error)
{
    size_t len = (size_t)MIN (reader->size, CW_ZIP_END_SIZE + G_MAXUINT16);
    g_autofree guint8 *tail = g_malloc (len + 1);
    const guint8 *p;
    guint64 end_offset;
    End end;

    if (len < CW_ZIP_END_SIZE)
        return bad (error, "it has no end");
    if (!read_at (reader, reader->size - len, tail, len, error))
        return FALSE;
    p = find_end (tail, len);
    if (p == NULL)
        return bad (error, "it has no end");
    end_offset = reader->size - len + (guint64)(p - tail);
    if (load_le16 (p + 4) != 0 || load_le16 (p + 6) != 0)
        return bad (error, "it is one of several parts");
    end.n_entries = load_le16 (p + 10);
    end.central_size = load_le32 (p + 12);
    end.central_offset = load_le32 (p + 16);
    if ((end.n_entries == G_MAXUINT16 || end.central_size == G_MAXUINT32
         || end.central_offset == G_MAXUINT32)
        && !read_end64 (reader, end_offset, &end, error))
        return FALSE;
    if (end.central_size > end_offset || end.central_offset > end_offset - end.central_size)
        return bad (error, "its directory is not inside");
    *ret = end;
    return TRUE;
}

/* --- The directory --- */

/* Borrows @len bytes of the directory at @offset. */
static gboolean
look_at (CwZipReader *reader, guint64 offset, size_t len, const guint8 **ret, GError **error)
{
    guint64 in_window = offset - reader->window_start;

    if (len > reader->central_end - offset)
        return bad (error, "its directory is cut short");
    if (offset < reader->window_start || in_window > reader->window_len
        || len > reader->window_len - in_window) {
        size_t want = (size_t)MIN (MAX (WINDOW_SIZE, len), reader->central_end - offset);
        reader->window_len = 0;
        if (!read_at (reader, offset, reader->window, want, error))
            return FALSE;
        reader->window_start = offset;
        reader->window_len = want;
        in_window = 0;
    }
    *ret = reader->window + in_window;
    return TRUE;
}

/* Takes the ZIP64 form of @value if the header says so. */
static gboolean
take_zip64 (CwReader *extra, guint64 *value)
{
    const guint8 *p;

    if (*value != G_MAXUINT32)
        return TRUE;
    if (!cw_reader_bytes (extra, 8, &p))
        return FALSE;
    *value = load_le64 (p);
    return TRUE;
}

static gboolean
parse_extra (Central *central, CwReader extra)
{
    gboolean wants_zip64 = central->size == G_MAXUINT32 || central->packed_size == G_MAXUINT32
                           || central->offset == G_MAXUINT32;
    const guint8 *head, *data;

    while (cw_reader_bytes (&extra, 4, &head)) {
        guint16 len = load_le16 (head + 2);
        if (!cw_reader_bytes (&extra, len, &data))
            break;
        if (load_le16 (head) == CW_ZIP_EXTRA_ZIP64 && wants_zip64) {
            CwReader zip64 = cw_reader (data, len);
            if (!take_zip64 (&zip64, &central->size) || !take_zip64 (&zip64, &central->packed_size)
                || !take_zip64 (&zip64, &central->offset))
                return FALSE;
            wants_zip64 = FALSE;
        } else if (load_le16 (head) == CW_ZIP_EXTRA_TIME && len >= 5 && (data[0] & 1) != 0) {
            central->has_mtime = TRUE;
            central->mtime = (gint32)load_le32 (data + 1);
        }
    }
    return !wants_zip64;
}

static gboolean
parse_central (CwZipReader *reader, guint64 offset, Central *ret, GError **error)
{
    Central central = { 0 };
    size_t extra_len, comment_len;
    const guint8 *p;

    if (!look_at (reader, offset, CW_ZIP_CENTRAL_SIZE, &p, error))
        return FALSE;
    if (load_le32 (p) != CW_ZIP_CENTRAL_SIG)
        return bad (error, "its directory has an entry that is not one");
    central.name_len = load_le16 (p + 28);
    extra_len = load_le16 (p + 30);
    comment_len = load_le16 (p + 32);
    central.total_len = CW_ZIP_CENTRAL_SIZE + central.name_len + extra_len + comment_len;
    if (!look_at (reader, offset, central.total_len, &p, error))
        return FALSE;
    central.host = load_le16 (p + 4) >> 8;
    central.flags = load_le16 (p + 8);
    central.method = load_le16 (p + 10);
    central.dos_time = load_le32 (p + 12);
    central.crc32 = load_le32 (p + 16);
    central.packed_size = load_le32 (p + 20);
    central.size = load_le32 (p + 24);
    central.attributes = load_le32 (p + 38);
    central.offset = load_le32 (p + 42);
    central.name = p + CW_ZIP_CENTRAL_SIZE;
    if (!parse_extra (&central, cw_reader (central.name + central.name_len, extra_len)))
        return bad (error, "an entry lacks its ZIP64 sizes");
    *ret = central;
    return TRUE;
}

/* --- Judging an entry --- */

/* Into reader->name, without empty and "." components. */
static gboolean
take_name (CwZipReader *reader, const Central *central, GError **error)
{
    const char *p = (const char *)central->name, *end = p + central->name_len;

    g_byte_array_set_size (reader->raw_name, 0);
    g_byte_array_append (reader->raw_name, central->name, (guint)central->name_len);
    g_string_truncate (reader->name, 0);
    if (central->name_len > CW_OFFER_MAX_NAME)
        return bad (error, "a name is too long");
    if (memchr (p, '\0', central->name_len) != NULL || memchr (p, '\\', central->name_len) != NULL)
        return bad (error, "a name has a character that no name has");
    if (p < end && *p == '/')
        return bad (error, "a name is absolute");
    while (p < end) {
        const char *slash = memchr (p, '/', (size_t)(end - p));
        size_t len = (size_t)((slash != NULL ? slash : end) - p);
        if (len == 2 && strncmp (p, "..", 2) == 0)
            return bad (error, "a name leads out of the folder");
        if (len > 0 && !(len == 1 && *p == '.')) {
            if (reader->name->len > 0)
                g_string_append_c (reader->name, '/');
            g_string_append_len (reader->name, p, (gssize)len);
        }
        p += len + (slash != NULL);
    }
    return reader->name->len > 0 ? TRUE : bad (error, "a name is empty");
}

static gboolean
is_unix (const Central *central)
{
    return central->host == CW_ZIP_HOST_UNIX || central->host == CW_ZIP_HOST_DARWIN;
}

static gboolean
is_folder (const Central *central, const GByteArray *raw_name)
{
    return raw_name->data[raw_name->len - 1] == '/'
           || (is_unix (central) && S_ISDIR (central->attributes >> 16));
}

static gboolean
judge (CwZipReader *reader, const Central *central, GError **error)
{
    mode_t type = is_unix (central) ? (central->attributes >> 16) & S_IFMT : 0;
    const char *name = reader->name->str;

    if ((central->flags & CW_ZIP_FLAG_ENCRYPTED) != 0)
        return bad_entry (error, name, "is encrypted");
    if (type != 0 && type != S_IFREG && type != S_IFDIR)
        return bad_entry (error, name, "is neither a file nor a folder");
    if (central->method != CW_ZIP_STORED && central->method != CW_ZIP_DEFLATED)
        return bad_entry (error, name, "is packed in a way we do not know");
    if (central->method == CW_ZIP_STORED && central->packed_size != central->size)
        return bad_entry (error, name, "has two sizes");
    if (central->offset > reader->central_start
        || central->packed_size > reader->central_start - central->offset)
        return bad_entry (error, name, "is not inside");
    if (is_folder (central, reader->raw_name) && central->size != 0)
        return bad_entry (error, name, "is a folder with bytes");
    return TRUE;
}

static gint64
get_mtime_ns (const Central *central)
{
    guint32 dos = central->dos_time;
    struct tm tm = {
        .tm_year = (int)(dos >> 25) + 80,
        .tm_mon = (int)(dos >> 21 & 15) - 1,
        .tm_mday = (int)(dos >> 16 & 31),
        .tm_hour = (int)(dos >> 11 & 31),
        .tm_min = (int)(dos >> 5 & 63),
        .tm_sec = (int)(dos & 31) * 2,
        .tm_isdst = -1,
    };

    if (central->has_mtime)
        return (gint64)central->mtime * 1000000000;
    if (dos >> 16 == 0)
        return G_MININT64;
    /* DOS time is somebody's local time; ours is the best guess. */
    return (gint64)mktime (&tm) * 1000000000;
}

static guint32
get_mode (const Central *central, gboolean folder)
{
    guint32 mode = is_unix (central) ? (central->attributes >> 16) & 0777 : 0;

    if (mode == 0)
        mode = folder ? 0755 : 0644;
    return mode;
}

static int
compare_hashes (const void *a, const void *b)
{
    guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;

    return x < y ? -1 : x > y;
}

/* Sorted rather than in a hash table, since a stranger chose the names and could choose them to
 * collide. Two names of one hash can be made too; whoever does gets what a duplicate gets. */
static gboolean
has_duplicates (guint64 *hashes, size_t n)
{
    if (n > 1)
        qsort (hashes, n, sizeof *hashes, compare_hashes);
    for (size_t i = 1; i < n; i++)
        if (hashes[i] == hashes[i - 1])
            return TRUE;
    return FALSE;
}

static gboolean
judge_all (CwZipReader *reader, const End *end, const CwZipLimits *limits, GError **error)
{
    g_autofree guint64 *hashes = NULL;
    guint64 place = reader->central_start, n_bytes = 0;

    if (end->n_entries > limits->max_entries)
        return too_large (error, "it has too many entries");
    if (end->n_entries > end->central_size / CW_ZIP_CENTRAL_SIZE)
        return bad (error, "its directory is cut short");
    hashes = g_new (guint64, end->n_entries);
    for (guint64 i = 0; i < end->n_entries; i++) {
        Central central;
        if (!parse_central (reader, place, &central, error) || !take_name (reader, &central, error)
            || !judge (reader, &central, error))
            return FALSE;
        if (central.size > limits->max_bytes - n_bytes)
            return too_large (error, "it has more bytes than were offered");
        n_bytes += central.size;
        hashes[i] = XXH3_64bits (reader->name->str, reader->name->len);
        place += central.total_len;
    }
    if (place != reader->central_end)
        return bad (error, "its directory goes on after its end");
    if (has_duplicates (hashes, end->n_entries))
        return bad (error, "it has the same name twice");
    return TRUE;
}

CwZipReader *
cw_zip_reader_new (guint64 size,
                   CwZipReadAt read_at_func,
                   gpointer user_data,
                   const CwZipLimits *limits,
                   GError **error)
{
    g_autoptr (CwZipReader) reader = g_new0 (CwZipReader, 1);
    End end;

    reader->size = size;
    reader->read_at = read_at_func;
    reader->user_data = user_data;
    reader->raw_name = g_byte_array_new ();
    reader->name = g_string_new (NULL);
    reader->window = g_malloc (MAX_CENTRAL);
    reader->input = g_malloc (WINDOW_SIZE);
    if (!read_end (reader, &end, error))
        return NULL;
    reader->central_start = end.central_offset;
    reader->central_end = end.central_offset + end.central_size;
    if (!judge_all (reader, &end, limits, error))
        return NULL;
    reader->next = reader->central_start;
    return g_steal_pointer (&reader);
}

static void
close_entry (CwZipReader *reader)
{
    if (reader->inflating)
        inflateEnd (&reader->z);
    reader->inflating = FALSE;
    reader->opened = FALSE;
}

void
cw_zip_reader_free (CwZipReader *reader)
{
    close_entry (reader);
    g_byte_array_unref (reader->raw_name);
    g_string_free (reader->name, TRUE);
    g_free (reader->window);
    g_free (reader->input);
    g_free (reader);
}

gboolean
cw_zip_reader_next (CwZipReader *reader, CwZipEntry *ret_entry, gboolean *ret_more, GError **error)
{
    Central central;
    gboolean folder;

    close_entry (reader);
    if (reader->next == reader->central_end) {
        *ret_more = FALSE;
        return TRUE;
    }
    /* Judged before; once more costs little and holds even if the bytes have changed since. */
    if (!parse_central (reader, reader->next, &central, error)
        || !take_name (reader, &central, error) || !judge (reader, &central, error))
        return FALSE;
    reader->next += central.total_len;
    reader->central = central;
    folder = is_folder (&central, reader->raw_name);
    *ret_entry = (CwZipEntry){
        .name = reader->name->str,
        .is_folder = folder,
        .mode = get_mode (&central, folder),
        .mtime_ns = get_mtime_ns (&central),
        .size = central.size,
    };
    *ret_more = TRUE;
    return TRUE;
}

void
cw_zip_reader_rewind (CwZipReader *reader)
{
    close_entry (reader);
    reader->next = reader->central_start;
}

/* --- An entry's bytes --- */

/* Its local header: what is said there twice must be the same, since other readers go by it. */
static gboolean
open_entry (CwZipReader *reader, GError **error)
{
    const Central *central = &reader->central;
    guint8 head[CW_ZIP_LOCAL_SIZE];
    g_autofree guint8 *name = g_malloc (reader->raw_name->len);
    guint64 start;

    if (!read_at (reader, central->offset, head, sizeof head, error))
        return FALSE;
    if (load_le32 (head) != CW_ZIP_LOCAL_SIG || load_le16 (head + 8) != central->method
        || load_le16 (head + 26) != reader->raw_name->len)
        return bad_entry (error, reader->name->str, "is not where the directory says");
    if (!read_at (reader, central->offset + sizeof head, name, reader->raw_name->len, error))
        return FALSE;
    if (memcmp (name, reader->raw_name->data, reader->raw_name->len) != 0)
        return bad_entry (error, reader->name->str, "has two names");
    start = central->offset + sizeof head + reader->raw_name->len + load_le16 (head + 28);
    if (start > reader->central_start || central->packed_size > reader->central_start - start)
        return bad_entry (error, reader->name->str, "is not inside");

    if (central->method == CW_ZIP_DEFLATED) {
        memset (&reader->z, 0, sizeof reader->z);
        if (inflateInit2 (&reader->z, -MAX_WBITS) != Z_OK)
            return bad (error, "it cannot be unpacked for want of memory");
        reader->inflating = TRUE;
        reader->inflated = FALSE;
    }
    reader->data_start = start;
    reader->packed_left = central->packed_size;
    reader->left = central->size;
    reader->crc = crc32_z (0, NULL, 0);
    reader->opened = TRUE;
    return TRUE;
}

static gboolean
read_packed (CwZipReader *reader, guint8 *data, size_t len, GError **error)
{
    if (!read_at (reader, reader->data_start, data, len, error))
        return FALSE;
    reader->data_start += len;
    reader->packed_left -= len;
    return TRUE;
}

/* At least one byte into @data, unless the stream ends; @len is no more than what should come. */
static gboolean
inflate_some (CwZipReader *reader, guint8 *data, size_t len, size_t *ret_len, GError **error)
{
    z_stream *z = &reader->z;
    const uInt room = (uInt)MIN (len, G_MAXINT32);

    z->next_out = data;
    z->avail_out = room;
    while (z->avail_out == room && !reader->inflated) {
        int result;
        if (z->avail_in == 0 && reader->packed_left > 0) {
            size_t more = (size_t)MIN (reader->packed_left, WINDOW_SIZE);
            if (!read_packed (reader, reader->input, more, error))
                return FALSE;
            z->next_in = reader->input;
            z->avail_in = (uInt)more;
        }
        result = inflate (z, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            reader->inflated = TRUE;
        else if (result != Z_OK)
            return bad_entry (error, reader->name->str, "is damaged");
    }
    *ret_len = room - z->avail_out;
    return TRUE;
}

/* All bytes have come: nothing more may, and they must be the right ones. */
static gboolean
check_end (CwZipReader *reader, GError **error)
{
    if (reader->inflating) {
        guint8 surplus;
        size_t len;
        if (!inflate_some (reader, &surplus, 1, &len, error))
            return FALSE;
        if (len > 0)
            return bad_entry (error, reader->name->str, "is larger than it says");
        if (reader->packed_left > 0 || reader->z.avail_in > 0)
            return bad_entry (error, reader->name->str, "goes on after its end");
    }
    if (reader->crc != reader->central.crc32)
        return bad_entry (error, reader->name->str, "is damaged");
    return TRUE;
}

gboolean
cw_zip_reader_read (CwZipReader *reader, guint8 *data, size_t len, size_t *ret_len, GError **error)
{
    size_t want, got;

    if (!reader->opened && !open_entry (reader, error))
        return FALSE;
    want = (size_t)MIN (reader->left, len);
    got = want;
    if (reader->left == 0) {
        if (!check_end (reader, error))
            return FALSE;
    } else if (!reader->inflating) {
        if (!read_packed (reader, data, want, error))
            return FALSE;
    } else {
        if (!inflate_some (reader, data, want, &got, error))
            return FALSE;
        if (got == 0)
            return bad_entry (error, reader->name->str, "is smaller than it says");
    }
    reader->crc = crc32_z (reader->crc, data, got);
    reader->left -= got;
    *ret_len = got;
    return TRUE;
}
