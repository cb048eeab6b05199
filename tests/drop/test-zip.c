/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-zip-format.h"
#include "cw-zip-read.h"
#include "cw-zip-write.h"

#define GIB (G_GUINT64_CONSTANT (1) << 30)
#define MTIME 1700000000 /* even: DOS time has two-second steps */

/* --- Writing one in memory; a large file is a hole of zeros --- */

typedef struct {
    guint64 offset;
    GByteArray *bytes;
} Piece;

typedef struct {
    GArray *pieces; /* of Piece, in order */
    guint64 size;
    GArray *files; /* of CwZipFile */
} Zip;

static void
piece_clear (gpointer data)
{
    g_byte_array_unref (((Piece *)data)->bytes);
}

static Zip *
zip_new (void)
{
    Zip *zip = g_new0 (Zip, 1);

    zip->pieces = g_array_new (FALSE, FALSE, sizeof (Piece));
    g_array_set_clear_func (zip->pieces, piece_clear);
    zip->files = g_array_new (FALSE, FALSE, sizeof (CwZipFile));
    return zip;
}

static void
zip_free (Zip *zip)
{
    g_array_unref (zip->pieces);
    g_array_unref (zip->files);
    g_free (zip);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Zip, zip_free)

static void
add_piece (Zip *zip, GByteArray *bytes)
{
    Piece piece = { .offset = zip->size, .bytes = bytes };

    zip->size += bytes->len;
    g_array_append_val (zip->pieces, piece);
}

static void
add_full (Zip *zip, CwZipFile file, const char *content)
{
    GByteArray *head = g_byte_array_new (), *foot = g_byte_array_new ();

    file.offset = zip->size;
    if (content != NULL) {
        file.size = strlen (content);
        file.crc32 = cw_zip_crc32 (0, (const guint8 *)content, file.size);
    }
    cw_zip_append_local (head, &file);
    if (content != NULL)
        g_byte_array_append (head, (const guint8 *)content, (guint)file.size);
    add_piece (zip, head);
    if (content == NULL)
        zip->size += file.size;
    cw_zip_append_descriptor (foot, &file);
    add_piece (zip, foot);
    g_array_append_val (zip->files, file);
}

static void
add (Zip *zip, const char *name, const char *content)
{
    add_full (zip,
              (CwZipFile){
                  .name = name, .mode = 0640, .mtime_ns = MTIME * G_GINT64_CONSTANT (1000000000) },
              content);
}

static void
finish (Zip *zip)
{
    GByteArray *central = g_byte_array_new ();
    guint64 offset = zip->size;

    for (guint i = 0; i < zip->files->len; i++)
        cw_zip_append_central (central, &g_array_index (zip->files, CwZipFile, i));
    cw_zip_append_end (central, zip->files->len, offset, central->len);
    add_piece (zip, central);
}

static gboolean
read_zip_at (gpointer user_data, guint64 offset, guint8 *data, size_t len, GError **error)
{
    Zip *zip = user_data;

    memset (data, 0, len);
    for (guint i = 0; i < zip->pieces->len; i++) {
        Piece *piece = &g_array_index (zip->pieces, Piece, i);
        guint64 from = MAX (offset, piece->offset);
        guint64 to = MIN (offset + len, piece->offset + piece->bytes->len);
        if (from < to)
            memcpy (data + (from - offset), piece->bytes->data + (from - piece->offset),
                    (size_t)(to - from));
    }
    return TRUE;
}

/* The whole of a small one. */
static GByteArray *
flatten (Zip *zip)
{
    GByteArray *all = g_byte_array_new ();

    g_byte_array_set_size (all, (guint)zip->size);
    read_zip_at (zip, 0, all->data, all->len, NULL);
    return all;
}

/* --- Reading --- */

static const CwZipLimits wide = { .max_bytes = 100 * GIB, .max_entries = 1000000 };

static gboolean
read_bytes_at (gpointer user_data, guint64 offset, guint8 *data, size_t len, GError **error)
{
    GByteArray *bytes = user_data;

    g_assert_cmpuint (offset + len, <=, bytes->len);
    memcpy (data, bytes->data + offset, len);
    return TRUE;
}

/* "name mode size content\n" for each entry; NULL and @error. */
static char *
list_limited (GByteArray *bytes, const CwZipLimits *limits, GError **error)
{
    g_autoptr (CwZipReader) reader
        = cw_zip_reader_new (bytes->len, read_bytes_at, bytes, limits, error);
    g_autoptr (GString) list = g_string_new (NULL);
    CwZipEntry entry;
    gboolean more;

    if (reader == NULL)
        return NULL;
    while (cw_zip_reader_next (reader, &entry, &more, error)) {
        guint8 data[7];
        size_t n;
        if (!more)
            return g_string_free (g_steal_pointer (&list), FALSE);
        g_string_append_printf (list, "%s%s %o %" G_GUINT64_FORMAT " ", entry.name,
                                entry.is_folder ? "/" : "", entry.mode, entry.size);
        do {
            if (!cw_zip_reader_read (reader, data, sizeof data, &n, error))
                return NULL;
            g_string_append_len (list, (char *)data, (gssize)n);
        } while (n > 0);
        g_string_append_c (list, '\n');
    }
    return NULL;
}

static void
assert_lists (GByteArray *bytes, const char *expected)
{
    g_autoptr (GError) error = NULL;
    g_autofree char *list = list_limited (bytes, &wide, &error);

    g_assert_no_error (error);
    g_assert_cmpstr (list, ==, expected);
}

static void
assert_bad (GByteArray *bytes)
{
    g_autoptr (GError) error = NULL;
    g_autofree char *list = list_limited (bytes, &wide, &error);

    g_assert_cmpstr (list, ==, NULL);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_ARCHIVE);
}

static GByteArray *
make (const char *name, const char *content)
{
    g_autoptr (Zip) zip = zip_new ();

    add (zip, name, content);
    finish (zip);
    return flatten (zip);
}

/* Where the @n-th record with @sig begins. */
static guint
find (GByteArray *bytes, guint32 sig, guint n)
{
    guint32 le = GUINT32_TO_LE (sig);

    for (guint at = 0; at + 4 <= bytes->len; at++)
        if (memcmp (bytes->data + at, &le, 4) == 0 && n-- == 0)
            return at;
    g_assert_not_reached ();
}

/* --- Writer and reader --- */

static void
test_golden (void)
{
    g_autoptr (GByteArray) zip = make ("a\u00fc", "hi");
    g_autoptr (GString) hex = g_string_new (NULL);

    for (guint i = 0; i < zip->len; i++)
        g_string_append_printf (hex, "%02x", zip->data[i]);
    g_assert_cmpstr (hex->str, ==,
                     /* local: version 20, descriptor and UTF-8, stored, 2023-11-14 22:13:20 */
                     "504b0304140008080000aab16e57"
                     "000000000000000000000000"
                     "03000900"
                     "61c3bc"
                     "55540500"
                     "0100f15365"
                     "6869"
                     "504b0708"
                     "ac2a93d8"
                     "02000000"
                     "02000000"
                     /* central: by Unix, -rw-r----- */
                     "504b01021403140008080000aab16e57"
                     "ac2a93d8"
                     "02000000"
                     "02000000"
                     "0300"
                     "0900"
                     "0000"
                     "0000"
                     "0000"
                     "0000a081"
                     "00000000"
                     "61c3bc"
                     "55540500"
                     "0100f15365"
                     "504b0506"
                     "0000"
                     "0000"
                     "0100"
                     "0100"
                     "3a000000"
                     "3c000000"
                     "0000");
}

static void
test_round_trip (void)
{
    g_autoptr (Zip) zip = zip_new ();
    g_autoptr (GByteArray) bytes = NULL;
    g_autoptr (CwZipReader) reader = NULL;
    CwZipEntry entry;
    gboolean more;

    add (zip, "a.txt", "hello");
    add (zip, "empty", "");
    add (zip, "sub/deep/gr\u00fc\u00df.sh", "some more bytes than the buffer has");
    add_full (zip, (CwZipFile){ .name = "old", .mode = 0777, .mtime_ns = -5 }, "1969");
    finish (zip);
    bytes = flatten (zip);
    assert_lists (bytes, "a.txt 640 5 hello\n"
                         "empty 640 0 \n"
                         "sub/deep/grüß.sh 640 35 some more bytes than the buffer has\n"
                         "old 777 4 1969\n");

    reader = cw_zip_reader_new (bytes->len, read_bytes_at, bytes, &wide, NULL);
    for (int round = 0; round < 2; round++) {
        g_assert_true (cw_zip_reader_next (reader, &entry, &more, NULL));
        g_assert_cmpstr (entry.name, ==, "a.txt");
        g_assert_cmpint (entry.mtime_ns, ==, MTIME * G_GINT64_CONSTANT (1000000000));
        cw_zip_reader_rewind (reader);
    }
}

static void
test_empty (void)
{
    g_autoptr (Zip) zip = zip_new ();
    g_autoptr (GByteArray) bytes = NULL;

    finish (zip);
    bytes = flatten (zip);
    g_assert_cmpuint (bytes->len, ==, CW_ZIP_END_SIZE);
    assert_lists (bytes, "");
}

/* Sizes and offsets beyond 32 bits, each where the other is not and both at once. */
static void
add_large_files (Zip *zip)
{
    add_full (zip, (CwZipFile){ .name = "large", .mode = 0600, .size = 5 * GIB }, NULL);
    add (zip, "after", "behind 5 GiB");
    add_full (zip, (CwZipFile){ .name = "edge", .mode = 0600, .size = G_MAXUINT32 }, NULL);
    add (zip, "last", "behind 9 GiB");
    finish (zip);
}

static void
test_zip64_sizes (void)
{
    static const struct {
        const char *name;
        guint64 size;
        const char *content;
    } expected[] = {
        { "large", 5 * GIB, NULL },
        { "after", 12, "behind 5 GiB" },
        { "edge", G_MAXUINT32, NULL },
        { "last", 12, "behind 9 GiB" },
    };
    g_autoptr (Zip) zip = zip_new ();
    g_autoptr (CwZipReader) reader = NULL;
    g_autoptr (GError) error = NULL;
    CwZipEntry end;
    gboolean more;

    add_large_files (zip);
    reader = cw_zip_reader_new (zip->size, read_zip_at, zip, &wide, &error);
    g_assert_no_error (error);
    for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
        CwZipEntry entry;
        guint8 data[20];
        size_t n;
        g_assert_true (cw_zip_reader_next (reader, &entry, &more, &error) && more);
        g_assert_cmpstr (entry.name, ==, expected[i].name);
        g_assert_cmpuint (entry.size, ==, expected[i].size);
        g_assert_true (cw_zip_reader_read (reader, data, sizeof data, &n, &error));
        if (expected[i].content != NULL) {
            g_assert_cmpmem (data, n, expected[i].content, strlen (expected[i].content));
            g_assert_true (cw_zip_reader_read (reader, data, sizeof data, &n, &error));
            g_assert_cmpuint (n, ==, 0);
        }
    }
    g_assert_true (cw_zip_reader_next (reader, &end, &more, &error) && !more);
}

static void
add_many_files (Zip *zip, guint n, GStringChunk *names)
{
    for (guint i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf ("d%u/f%u", i / 1000, i);
        add (zip, g_string_chunk_insert (names, name), "");
    }
    finish (zip);
}

static void
test_many (void)
{
    static const guint counts[] = { 65534, 65535, 65536, 70000 };

    for (guint c = 0; c < G_N_ELEMENTS (counts); c++) {
        g_autoptr (Zip) zip = zip_new ();
        g_autoptr (GByteArray) bytes = NULL;
        g_autoptr (GError) error = NULL;
        g_autoptr (CwZipReader) reader = NULL;
        GStringChunk *names = g_string_chunk_new (65536);
        CwZipLimits limits = { .max_bytes = 0, .max_entries = counts[c] };
        CwZipEntry entry;
        gboolean more;
        guint n = 0;

        add_many_files (zip, counts[c], names);
        bytes = flatten (zip);
        reader = cw_zip_reader_new (bytes->len, read_bytes_at, bytes, &limits, &error);
        g_assert_no_error (error);
        while (cw_zip_reader_next (reader, &entry, &more, &error) && more)
            n++;
        g_assert_no_error (error);
        g_assert_cmpuint (n, ==, counts[c]);

        limits.max_entries--;
        g_assert_null (cw_zip_reader_new (bytes->len, read_bytes_at, bytes, &limits, &error));
        g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE);
        g_string_chunk_free (names);
    }
}

/* --- Strangers' zips --- */

static void
test_names (void)
{
    static const char *const bad[] = { "../x", "a/../../x", "a/..", "..", "/x", "//x",
                                       "a\\b", "..\\x",     ".",    "./", "",   "a/../b" };
    static const char *const good[][2] = {
        { "./a", "a 640 1 x\n" },     { "a//b", "a/b 640 1 x\n" }, { "..a", "..a 640 1 x\n" },
        { "a/./b", "a/b 640 1 x\n" }, { "...", "... 640 1 x\n" },  { "\xff", "\xff 640 1 x\n" }
    };
    g_autofree char *too_long = g_strnfill (4097, 'n');
    g_autoptr (GByteArray) long_zip = make (too_long, "x");
    g_autoptr (GByteArray) with_nul = make ("a?b", "x");

    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
        g_autoptr (GByteArray) zip = make (bad[i], "x");
        assert_bad (zip);
    }
    for (gsize i = 0; i < G_N_ELEMENTS (good); i++) {
        g_autoptr (GByteArray) zip = make (good[i][0], "x");
        assert_lists (zip, good[i][1]);
    }
    assert_bad (long_zip);
    with_nul->data[find (with_nul, CW_ZIP_CENTRAL_SIG, 0) + CW_ZIP_CENTRAL_SIZE + 1] = '\0';
    with_nul->data[CW_ZIP_LOCAL_SIZE + 1] = '\0';
    assert_bad (with_nul);
}

static void
test_duplicates (void)
{
    static const char *const pairs[][2]
        = { { "a", "a" }, { "a/b", "a/./b" }, { "a", "./a" }, { "d/", "d" } };

    for (gsize i = 0; i < G_N_ELEMENTS (pairs); i++) {
        g_autoptr (Zip) zip = zip_new ();
        g_autoptr (GByteArray) bytes = NULL;
        add (zip, pairs[i][0], "");
        add (zip, "between", "x");
        add (zip, pairs[i][1], "");
        finish (zip);
        bytes = flatten (zip);
        assert_bad (bytes);
    }
}

static void
put16 (GByteArray *bytes, guint at, guint16 value)
{
    bytes->data[at] = (guint8)value;
    bytes->data[at + 1] = (guint8)(value >> 8);
}

static void
put32 (GByteArray *bytes, guint at, guint32 value)
{
    put16 (bytes, at, (guint16)value);
    put16 (bytes, at + 2, (guint16)(value >> 16));
}

static void
test_kinds (void)
{
    static const guint bad[] = { S_IFLNK, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK, 0150000 };
    g_autoptr (GByteArray) zip = make ("a", "target");
    g_autoptr (GByteArray) folder = make ("d/", "");
    g_autoptr (GByteArray) full_folder = make ("d/", "x");
    guint attributes = find (zip, CW_ZIP_CENTRAL_SIG, 0) + 38;

    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
        put32 (zip, attributes, (bad[i] | 0777) << 16);
        assert_bad (zip);
    }
    put32 (zip, attributes, (S_IFREG | 04755u) << 16);
    assert_lists (zip, "a 755 6 target\n");
    put32 (zip, attributes, 0);
    assert_lists (zip, "a 644 6 target\n");
    /* A DOS-made one: its attributes are not a mode. */
    put32 (zip, attributes, (S_IFLNK | 0777u) << 16);
    zip->data[attributes - 38 + 5] = 0;
    assert_lists (zip, "a 644 6 target\n");

    assert_lists (folder, "d/ 640 0 \n");
    assert_bad (full_folder);
}

static void
test_lies (void)
{
    /* Offset in the central header, width, values it must not have. */
    static const struct {
        guint at, width;
        guint32 value;
    } lies[] = {
        { 8, 2, CW_ZIP_FLAG_ENCRYPTED }, /* encrypted */
        { 10, 2, 99 },                   /* unknown method */
        { 10, 2, CW_ZIP_DEFLATED },      /* not what the local header says */
        { 16, 4, 0 },                    /* wrong CRC */
        { 20, 4, 5 },                    /* two sizes */
        { 24, 4, 7 },                    /* two sizes */
        { 20, 4, G_MAXUINT32 },          /* ZIP64 without */
        { 24, 4, G_MAXUINT32 },          /* ZIP64 without */
        { 42, 4, G_MAXUINT32 },          /* ZIP64 without */
        { 42, 4, 1 },                    /* no local header there */
        { 42, 4, 1000 },                 /* beyond */
        { 28, 2, 0 },                    /* no name, and the rest is shifted */
        { 30, 2, 500 },                  /* extra runs out of the directory */
        { 32, 2, 1 },                    /* comment runs into the end */
    };

    for (gsize i = 0; i < G_N_ELEMENTS (lies); i++) {
        g_autoptr (GByteArray) zip = make ("a", "target");
        guint central = find (zip, CW_ZIP_CENTRAL_SIG, 0);
        if (lies[i].width == 2)
            put16 (zip, central + lies[i].at, (guint16)lies[i].value);
        else
            put32 (zip, central + lies[i].at, lies[i].value);
        assert_bad (zip);
    }
}

static void
test_two_names (void)
{
    g_autoptr (GByteArray) zip = make ("a", "target");

    zip->data[CW_ZIP_LOCAL_SIZE] = 'b';
    assert_bad (zip);
}

static void
test_lies_about_the_end (void)
{
    static const struct {
        guint at, width;
        guint32 value;
    } lies[] = {
        { 4, 2, 1 },            /* second part of several */
        { 6, 2, 1 },            /* directory in another */
        { 10, 2, 0 },           /* too few */
        { 10, 2, 2 },           /* too many */
        { 10, 2, G_MAXUINT16 }, /* ZIP64 without */
        { 12, 4, 0 },           /* size of the directory */
        { 12, 4, 1000 },        /* larger than all */
        { 12, 4, G_MAXUINT32 }, /* ZIP64 without */
        { 16, 4, 0 },           /* the directory is elsewhere */
        { 16, 4, G_MAXUINT32 - 1 },
        { 20, 2, 1 }, /* a comment that is not there */
    };

    for (gsize i = 0; i < G_N_ELEMENTS (lies); i++) {
        g_autoptr (GByteArray) zip = make ("a", "target");
        guint end = find (zip, CW_ZIP_END_SIG, 0);
        if (lies[i].width == 2)
            put16 (zip, end + lies[i].at, (guint16)lies[i].value);
        else
            put32 (zip, end + lies[i].at, lies[i].value);
        assert_bad (zip);
    }
}

static void
test_comment (void)
{
    g_autoptr (GByteArray) zip = make ("a", "b");

    put16 (zip, zip->len - 2, 4);
    g_byte_array_append (zip, (const guint8 *)"note", 4);
    assert_lists (zip, "a 640 1 b\n");
}

static void
test_truncated (void)
{
    g_autoptr (Zip) zip = zip_new ();
    g_autoptr (GByteArray) bytes = NULL;

    add (zip, "a", "some");
    add (zip, "b/c", "bytes");
    finish (zip);
    bytes = flatten (zip);
    for (guint len = bytes->len - 1; len > 0; len--) {
        g_byte_array_set_size (bytes, len);
        assert_bad (bytes);
    }
    g_byte_array_set_size (bytes, 0);
    assert_bad (bytes);
}

/* Whatever single bit is wrong: an error of the right kind, or all the bytes that were sent. */
static void
test_flipped (void)
{
    g_autoptr (Zip) zip = zip_new ();
    g_autoptr (GByteArray) bytes = NULL;

    add (zip, "a", "some");
    add (zip, "b/c", "bytes");
    finish (zip);
    bytes = flatten (zip);
    for (guint bit = 0; bit < bytes->len * 8; bit++) {
        g_autoptr (GError) error = NULL;
        g_autofree char *list = NULL;
        bytes->data[bit / 8] ^= (guint8)(1 << bit % 8);
        list = list_limited (bytes, &wide, &error);
        if (list == NULL)
            g_assert_cmpint (error->domain, ==, CW_DROP_ERROR);
        else
            g_assert_true (strstr (list, " 4 some\n") != NULL
                           && strstr (list, " 5 bytes\n") != NULL);
        bytes->data[bit / 8] ^= (guint8)(1 << bit % 8);
    }
}

/* --- Deflate --- */

static GBytes *
deflate_bytes (const void *data, gsize len)
{
    g_autoptr (GZlibCompressor) compressor
        = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_RAW, 9);
    g_autoptr (GInputStream) base = g_memory_input_stream_new_from_data (data, (gssize)len, NULL);
    g_autoptr (GInputStream) packed = g_converter_input_stream_new (base, G_CONVERTER (compressor));

    return g_input_stream_read_bytes (packed, 1 << 20, NULL, NULL);
}

/* One deflated entry "f" that says it has @size bytes of @crc32. */
static GByteArray *
make_deflated (GBytes *packed, guint32 size, guint32 crc32)
{
    GByteArray *zip = g_byte_array_new ();
    CwZipFile file = { .name = "f", .mode = 0644, .mtime_ns = -1, .crc32 = crc32 };
    guint local, central;
    gsize len;
    const guint8 *data = g_bytes_get_data (packed, &len);

    cw_zip_append_local (zip, &file);
    local = 0;
    put16 (zip, local + 8, CW_ZIP_DEFLATED);
    g_byte_array_append (zip, data, (guint)len);
    central = zip->len;
    cw_zip_append_central (zip, &file);
    put16 (zip, central + 10, CW_ZIP_DEFLATED);
    put32 (zip, central + 20, (guint32)len);
    put32 (zip, central + 24, size);
    cw_zip_append_end (zip, 1, central, zip->len - central);
    return zip;
}

static void
test_deflated (void)
{
    const char *text = "one two three one two three one two three";
    guint32 size = (guint32)strlen (text);
    guint32 crc32 = cw_zip_crc32 (0, (const guint8 *)text, size);
    g_autoptr (GBytes) packed = deflate_bytes (text, size);
    g_autoptr (GBytes) cut = g_bytes_new_from_bytes (packed, 0, g_bytes_get_size (packed) - 1);
    g_autoptr (GByteArray) longer = g_byte_array_new ();
    g_autoptr (GBytes) longer_bytes = NULL;
    g_autoptr (GByteArray) zip = make_deflated (packed, size, crc32);
    g_autofree char *expected = g_strdup_printf ("f 644 %u %s\n", size, text);
    g_autoptr (GByteArray) bad = NULL;

    assert_lists (zip, expected);

    bad = make_deflated (packed, size, crc32 + 1);
    assert_bad (bad);
    g_byte_array_unref (bad);
    bad = make_deflated (packed, size - 1, cw_zip_crc32 (0, (const guint8 *)text, size - 1));
    assert_bad (bad);
    g_byte_array_unref (bad);
    bad = make_deflated (packed, size + 1, crc32);
    assert_bad (bad);
    g_byte_array_unref (bad);
    bad = make_deflated (packed, 0, 0);
    assert_bad (bad);
    g_byte_array_unref (bad);
    bad = make_deflated (cut, size, crc32);
    assert_bad (bad);
    g_byte_array_unref (bad);
    g_byte_array_append (longer, g_bytes_get_data (packed, NULL), (guint)g_bytes_get_size (packed));
    g_byte_array_append (longer, (const guint8 *)"x", 1);
    longer_bytes = g_bytes_new (longer->data, longer->len);
    bad = make_deflated (longer_bytes, size, crc32);
    assert_bad (bad);
}

static void
test_bomb (void)
{
    const gsize size = 64 << 20;
    g_autofree guint8 *zeros = g_malloc0 (size);
    guint32 crc32 = cw_zip_crc32 (0, zeros, size);
    g_autoptr (GBytes) packed = deflate_bytes (zeros, size);
    const CwZipLimits limits = { .max_bytes = size - 1, .max_entries = 10 };
    g_autoptr (GByteArray) honest = make_deflated (packed, (guint32)size, crc32);
    g_autoptr (GByteArray) liar = make_deflated (packed, 1000, crc32);
    g_autoptr (GError) error = NULL;
    g_autofree char *list = list_limited (honest, &limits, &error);

    g_assert_null (list);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE);
    /* It gets no more room than it asked for. */
    assert_bad (liar);
}

/* Many entries that share the bytes of one: counted each. */
static void
test_overlap (void)
{
    g_autoptr (GByteArray) zip = g_byte_array_new ();
    CwZipFile file = { .name = "f0", .mode = 0644, .mtime_ns = -1, .size = 1000 };
    const CwZipLimits limits = { .max_bytes = 5000, .max_entries = 10 };
    g_autoptr (GError) error = NULL;
    g_autofree char *list = NULL;
    guint central;

    cw_zip_append_local (zip, &file);
    g_byte_array_set_size (zip, zip->len + 1000);
    central = zip->len;
    for (int i = 0; i < 6; i++) {
        g_autofree char *name = g_strdup_printf ("f%d", i);
        file.name = name;
        cw_zip_append_central (zip, &file);
    }
    cw_zip_append_end (zip, 6, central, zip->len - central);
    list = list_limited (zip, &limits, &error);
    g_assert_null (list);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE);
    g_clear_error (&error);
    /* And none but the first is where it says. */
    assert_bad (zip);
}

/* --- Other programs --- */

static char *
run (const char *dir, const char *const *argv, int *ret_status)
{
    g_autoptr (GError) error = NULL;
    char *out = NULL;

    g_spawn_sync (dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, ret_status,
                  &error);
    g_assert_no_error (error);
    return out;
}

static gboolean
skip_without (const char *program)
{
    g_autofree char *path = g_find_program_in_path (program);

    if (path != NULL)
        return FALSE;
    g_test_skip_printf ("%s is not installed", program);
    return TRUE;
}

static char *
make_folder (void)
{
    char *dir = g_dir_make_tmp ("cw-zip-XXXXXX", NULL);

    g_assert_nonnull (dir);
    return dir;
}

static void
remove_folder (const char *dir)
{
    const char *const argv[] = { "rm", "-rf", "--", dir, NULL };
    g_autofree char *out = run (NULL, argv, NULL);
}

/* With its holes. */
static void
store (Zip *zip, const char *path)
{
    int fd = g_open (path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    g_assert_cmpint (fd, >=, 0);
    for (guint i = 0; i < zip->pieces->len; i++) {
        Piece *piece = &g_array_index (zip->pieces, Piece, i);
        g_assert_cmpint (pwrite (fd, piece->bytes->data, piece->bytes->len, (off_t)piece->offset),
                         ==, piece->bytes->len);
    }
    close (fd);
}

static const char python_lists[]
    = "import sys, zipfile\n"
      "z = zipfile.ZipFile(sys.argv[1])\n"
      "assert z.testzip() is None\n"
      "for i in z.infolist():\n"
      "    print(ascii(i.filename), oct(i.external_attr >> 16), i.file_size, z.read(i),\n"
      "          i.date_time)\n";

static void
test_python_reads (void)
{
    g_autofree char *dir = make_folder ();
    g_autofree char *path = g_build_filename (dir, "z.zip", NULL);
    const char *const argv[] = { "python3", "-c", python_lists, path, NULL };
    g_autoptr (Zip) zip = zip_new ();
    g_autofree char *out = NULL;
    int status;

    if (skip_without ("python3"))
        return;
    add (zip, "a.txt", "hello");
    add (zip, "empty", "");
    add (zip, "sub/gr\u00fc\u00df", "x");
    finish (zip);
    store (zip, path);
    out = run (dir, argv, &status);
    g_assert_cmpint (status, ==, 0);
    g_assert_cmpstr (out, ==,
                     "'a.txt' 0o100640 5 b'hello' (2023, 11, 14, 22, 13, 20)\n"
                     "'empty' 0o100640 0 b'' (2023, 11, 14, 22, 13, 20)\n"
                     "'sub/gr\\xfc\\xdf' 0o100640 1 b'x' (2023, 11, 14, 22, 13, 20)\n");
    remove_folder (dir);
}

static void
test_python_reads_zip64 (void)
{
    static const char script[] = "import sys, zipfile\n"
                                 "z = zipfile.ZipFile(sys.argv[1])\n"
                                 "for i in z.infolist(): print(i.filename, i.file_size)\n"
                                 "print(z.read('after'), z.read('last'))\n"
                                 "z.open('large').read(100)\n"
                                 "z = zipfile.ZipFile(sys.argv[2])\n"
                                 "print(len(z.infolist()))\n"
                                 "assert z.testzip() is None\n";
    g_autofree char *dir = make_folder ();
    g_autofree char *large = g_build_filename (dir, "large.zip", NULL);
    g_autofree char *many = g_build_filename (dir, "many.zip", NULL);
    const char *const argv[] = { "python3", "-c", script, large, many, NULL };
    g_autoptr (Zip) large_zip = zip_new ();
    g_autoptr (Zip) many_zip = zip_new ();
    GStringChunk *names = g_string_chunk_new (65536);
    g_autofree char *out = NULL;
    int status;

    if (skip_without ("python3"))
        return;
    add_large_files (large_zip);
    store (large_zip, large);
    add_many_files (many_zip, 66000, names);
    store (many_zip, many);
    g_string_chunk_free (names);
    out = run (dir, argv, &status);
    g_assert_cmpint (status, ==, 0);
    g_assert_cmpstr (out, ==,
                     "large 5368709120\nafter 12\nedge 4294967295\nlast 12\n"
                     "b'behind 5 GiB' b'behind 9 GiB'\n66000\n");
    remove_folder (dir);
}

static void
test_unzip_reads (void)
{
    g_autofree char *dir = make_folder ();
    g_autofree char *path = g_build_filename (dir, "z.zip", NULL);
    g_autofree char *file = g_build_filename (dir, "sub/gr\u00fc\u00df", NULL);
    const char *const argv[] = { "unzip", "-q", path, NULL };
    g_autoptr (Zip) zip = zip_new ();
    g_autofree char *out = NULL;
    struct stat st;
    int status;

    if (skip_without ("unzip"))
        return;
    add (zip, "a.txt", "hello");
    add (zip, "empty", "");
    add (zip, "sub/gr\u00fc\u00df", "x");
    finish (zip);
    store (zip, path);
    out = run (dir, argv, &status);
    g_assert_cmpstr (out, ==, "");
    g_assert_cmpint (status, ==, 0);
    g_assert_cmpint (stat (file, &st), ==, 0);
    g_assert_cmpuint (st.st_mode, ==, S_IFREG | 0640);
    g_assert_cmpint (st.st_size, ==, 1);
    g_assert_cmpint (st.st_mtime, ==, MTIME);
    remove_folder (dir);
}

static GByteArray *
load (const char *path)
{
    g_autoptr (GError) error = NULL;
    char *data;
    gsize len;

    g_file_get_contents (path, &data, &len, &error);
    g_assert_no_error (error);
    return g_byte_array_new_take ((guint8 *)data, len);
}

static void
test_python_writes (void)
{
    /* Compression, streaming with descriptors (no seek), forced ZIP64, a folder, a mode. */
    static const char script[]
        = "import sys, zipfile\n"
          "class Pipe:\n"
          "    def __init__(self, f): self.f = f\n"
          "    def write(self, b): return self.f.write(b)\n"
          "    def flush(self): pass\n"
          "for path, wrap in ((sys.argv[1], lambda f: f), (sys.argv[2], Pipe)):\n"
          "    f = open(path, 'wb')\n"
          "    with zipfile.ZipFile(wrap(f), 'w', zipfile.ZIP_DEFLATED) as z:\n"
          "        i = zipfile.ZipInfo('run.sh'); i.external_attr = 0o100755 << 16\n"
          "        z.writestr(i, 'aaaaaaaaaaaaaaaaaaaa')\n"
          "        z.mkdir('d') if hasattr(z, 'mkdir') else z.writestr('d/', '')\n"
          "        with z.open(zipfile.ZipInfo('d/gr\\xfc\\xdf'), 'w', force_zip64=True) as e:\n"
          "            e.write(b'zip64')\n"
          "        z.writestr('empty', '')\n"
          "    f.close()\n";
    g_autofree char *dir = make_folder ();
    g_autofree char *seeked = g_build_filename (dir, "seeked.zip", NULL);
    g_autofree char *piped = g_build_filename (dir, "piped.zip", NULL);
    const char *const argv[] = { "python3", "-c", script, seeked, piped, NULL };
    const char *paths[] = { seeked, piped };
    g_autofree char *out = NULL;
    int status;

    if (skip_without ("python3"))
        return;
    out = run (dir, argv, &status);
    g_assert_cmpint (status, ==, 0);
    for (int i = 0; i < 2; i++) {
        g_autoptr (GByteArray) zip = load (paths[i]);
        g_autofree char *list = list_limited (zip, &wide, NULL);
        g_assert_cmpstr (list, !=, NULL);
        g_assert_nonnull (strstr (list, "run.sh 755 20 aaaaaaaaaaaaaaaaaaaa\n"));
        g_assert_nonnull (strstr (list, "\nd/ "));
        g_assert_nonnull (strstr (list, "\nd/grüß "));
        g_assert_nonnull (strstr (list, " 5 zip64\n"));
        g_assert_nonnull (strstr (list, "\nempty "));
    }
    remove_folder (dir);
}

static void
test_zip_writes (void)
{
    g_autofree char *dir = make_folder ();
    g_autofree char *file = g_build_filename (dir, "text", NULL);
    g_autofree char *sub = g_build_filename (dir, "sub", NULL);
    g_autofree char *path = g_build_filename (dir, "z.zip", NULL);
    const char *const argv[] = { "zip", "-q", "-r", path, "text", "sub", NULL };
    const char *const link[] = { "zip", "-q", "-y", path, "link", NULL };
    g_autofree char *symlink_path = g_build_filename (dir, "link", NULL);
    g_autoptr (GByteArray) zip = NULL;
    g_autoptr (GByteArray) with_link = NULL;
    g_autofree char *out = NULL;
    g_autofree char *link_out = NULL;
    int status;

    if (skip_without ("zip"))
        return;
    g_file_set_contents (file, "from the zip program, the zip program", -1, NULL);
    g_chmod (file, 0604);
    g_mkdir (sub, 0700);
    out = run (dir, argv, &status);
    g_assert_cmpint (status, ==, 0);
    zip = load (path);
    assert_lists (zip, "text 604 37 from the zip program, the zip program\nsub/ 700 0 \n");

    g_assert_cmpint (symlink ("text", symlink_path), ==, 0);
    link_out = run (dir, link, &status);
    g_assert_cmpint (status, ==, 0);
    with_link = load (path);
    assert_bad (with_link);
    remove_folder (dir);
}

int
main (int argc, char **argv)
{
    g_setenv ("TZ", "UTC", TRUE);
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/zip/golden", test_golden);
    g_test_add_func ("/zip/round-trip", test_round_trip);
    g_test_add_func ("/zip/empty", test_empty);
    g_test_add_func ("/zip/zip64-sizes", test_zip64_sizes);
    g_test_add_func ("/zip/many", test_many);
    g_test_add_func ("/zip/names", test_names);
    g_test_add_func ("/zip/duplicates", test_duplicates);
    g_test_add_func ("/zip/kinds", test_kinds);
    g_test_add_func ("/zip/lies", test_lies);
    g_test_add_func ("/zip/two-names", test_two_names);
    g_test_add_func ("/zip/lies-about-the-end", test_lies_about_the_end);
    g_test_add_func ("/zip/comment", test_comment);
    g_test_add_func ("/zip/truncated", test_truncated);
    g_test_add_func ("/zip/flipped", test_flipped);
    g_test_add_func ("/zip/deflated", test_deflated);
    g_test_add_func ("/zip/bomb", test_bomb);
    g_test_add_func ("/zip/overlap", test_overlap);
    g_test_add_func ("/zip/python-reads", test_python_reads);
    g_test_add_func ("/zip/python-reads-zip64", test_python_reads_zip64);
    g_test_add_func ("/zip/unzip-reads", test_unzip_reads);
    g_test_add_func ("/zip/python-writes", test_python_writes);
    g_test_add_func ("/zip/zip-writes", test_zip_writes);
    return g_test_run ();
}
