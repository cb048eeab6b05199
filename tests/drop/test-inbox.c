/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cw-hash.h"
#include "cw-inbox.h"

#define TAG "abc123"
#define STAGING ".causeway-" TAG ".part"
#define MTIME_NS (G_GINT64_CONSTANT (1234567890) * 1000000000 + 123456789)

static const CwInboxMeta meta = { .mode = 0640, .mtime_ns = MTIME_NS };

typedef struct {
    char *folder;
    CwInbox *inbox;
} Fixture;

static void
open_inbox (Fixture *f)
{
    g_autoptr (GError) error = NULL;

    f->inbox = cw_inbox_open (f->folder, TAG, &error);
    g_assert_no_error (error);
    g_assert_nonnull (f->inbox);
}

static void
set_up (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;

    f->folder = g_dir_make_tmp ("cw-inbox-XXXXXX", &error);
    g_assert_no_error (error);
    open_inbox (f);
}

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

static void
tear_down (Fixture *f, gconstpointer data)
{
    g_clear_pointer (&f->inbox, cw_inbox_free);
    remove_tree (f->folder);
    g_free (f->folder);
}

static void
reopen (Fixture *f)
{
    g_clear_pointer (&f->inbox, cw_inbox_free);
    open_inbox (f);
}

static CwInboxFile *
begin (Fixture *f, const char *path, guint64 keep, gint64 size)
{
    g_autoptr (GError) error = NULL;
    CwInboxFile *file = cw_inbox_begin_file (f->inbox, path, keep, size, FALSE, &error);

    g_assert_no_error (error);
    g_assert_nonnull (file);
    return file;
}

static void
write_text (CwInboxFile *file, guint64 offset, const char *text)
{
    g_autoptr (GError) error = NULL;

    cw_inbox_file_write (file, offset, text, strlen (text), &error);
    g_assert_no_error (error);
}

static void
finish (CwInboxFile *file, guint64 size)
{
    g_autoptr (GError) error = NULL;

    cw_inbox_file_finish (file, size, &meta, &error);
    g_assert_no_error (error);
}

static void
put (Fixture *f, const char *path, const char *text)
{
    CwInboxFile *file = begin (f, path, 0, (gint64)strlen (text));

    write_text (file, 0, text);
    finish (file, strlen (text));
}

static void
make_folder (Fixture *f, const char *path)
{
    g_autoptr (GError) error = NULL;

    cw_inbox_make_folder (f->inbox, path, &error);
    g_assert_no_error (error);
}

/* The final names, without the folder, one a line. */
static char *
deliver (Fixture *f)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) paths = NULL;
    GString *names = g_string_new (NULL);

    cw_inbox_deliver (f->inbox, &paths, &error);
    g_assert_no_error (error);
    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index (paths, i);
        g_assert_true (g_str_has_prefix (path, f->folder));
        g_string_append_printf (names, "%s%s", i > 0 ? "|" : "", path + strlen (f->folder) + 1);
    }
    g_clear_pointer (&f->inbox, cw_inbox_free);
    return g_string_free (names, FALSE);
}

static void
assert_delivers (Fixture *f, const char *expected)
{
    g_autofree char *names = deliver (f);

    g_assert_cmpstr (names, ==, expected);
}

static void
assert_file (Fixture *f, const char *path, const char *text)
{
    g_autofree char *full = g_build_filename (f->folder, path, NULL);
    g_autofree char *content = NULL;
    g_autoptr (GError) error = NULL;
    gsize len;

    g_file_get_contents (full, &content, &len, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (content, len, text, strlen (text));
}

static gboolean
exists (Fixture *f, const char *path)
{
    g_autofree char *full = g_build_filename (f->folder, path, NULL);
    GStatBuf st;

    return g_lstat (full, &st) == 0;
}

static struct stat
get_stat (Fixture *f, const char *path)
{
    g_autofree char *full = g_build_filename (f->folder, path, NULL);
    struct stat st;

    g_assert_cmpint (lstat (full, &st), ==, 0);
    return st;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
    return strcmp (*(char *const *)a, *(char *const *)b);
}

/* Sorted, hidden ones too, one a "|". */
static char *
list (Fixture *f, const char *path)
{
    g_autofree char *full = g_build_filename (f->folder, path, NULL);
    g_autoptr (GDir) dir = g_dir_open (full, 0, NULL);
    g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
    const char *name;

    g_assert_nonnull (dir);
    while ((name = g_dir_read_name (dir)) != NULL)
        g_ptr_array_add (names, g_strdup (name));
    g_ptr_array_sort (names, compare_names);
    g_ptr_array_add (names, NULL);
    return g_strjoinv ("|", (char **)names->pdata);
}

static void
assert_list (Fixture *f, const char *path, const char *expected)
{
    g_autofree char *names = list (f, path);

    g_assert_cmpstr (names, ==, expected);
}

static gboolean
look_up (Fixture *f, const char *path, guint64 *ret_length, guint8 ret_sha256[32])
{
    g_autoptr (GError) error = NULL;
    gboolean found = cw_inbox_look_up (f->inbox, path, NULL, ret_length, ret_sha256, &error);

    g_assert_no_error (error);
    return found;
}

static void
assert_left (Fixture *f, const char *path, const char *text)
{
    guint8 found[32], expected[32];
    guint64 length;

    g_assert_true (look_up (f, path, &length, found));
    g_assert_cmpuint (length, ==, strlen (text));
    cw_sha256 (text, strlen (text), expected);
    g_assert_cmpmem (found, 32, expected, 32);
}

static void
assert_nothing_left (Fixture *f, const char *path)
{
    guint8 sha256[32];
    guint64 length;

    g_assert_false (look_up (f, path, &length, sha256));
}

/* --- What is usual --- */

static void
test_deliver (Fixture *f, gconstpointer data)
{
    CwInboxMeta folder_meta = { .mode = 02555, .mtime_ns = -1500000000 };
    g_autoptr (GError) error = NULL;
    struct stat st;

    g_assert_false (cw_inbox_is_resumed (f->inbox));
    put (f, "b.txt", "second");
    make_folder (f, "a");
    put (f, "a/x/one.txt", "one");
    g_assert_true (cw_inbox_make_symlink (f->inbox, "a/x/link", "../y", &meta, &error));
    make_folder (f, "a/empty");
    g_assert_true (cw_inbox_finish_folder (f->inbox, "a", &folder_meta, &error));
    assert_list (f, "", STAGING);
    st = get_stat (f, STAGING);
    g_assert_cmpuint (st.st_mode & 0777, ==, 0700);

    assert_delivers (f, "b.txt|a");
    assert_list (f, "", "a|b.txt");
    assert_list (f, "a", "empty|x");
    assert_file (f, "b.txt", "second");
    assert_file (f, "a/x/one.txt", "one");
    st = get_stat (f, "b.txt");
    g_assert_cmpuint (st.st_mode & 07777, ==, 0640);
    g_assert_cmpint (st.st_mtim.tv_sec, ==, 1234567890);
    g_assert_cmpint (st.st_mtim.tv_nsec, ==, 123456789);
    st = get_stat (f, "a");
    g_assert_cmpuint (st.st_mode & 07777, ==, 0755);
    g_assert_cmpint (st.st_mtim.tv_sec, ==, -2);
    g_assert_cmpint (st.st_mtim.tv_nsec, ==, 500000000);
    st = get_stat (f, "a/x/link");
    g_assert_true (S_ISLNK (st.st_mode));
    g_assert_cmpint (st.st_mtim.tv_sec, ==, 1234567890);
}

static void
test_modes (Fixture *f, gconstpointer data)
{
    static const struct {
        mode_t umask, mode, expected;
    } cases[] = {
        { 022, 0666, 0644 },  { 077, 0755, 0700 }, { 022, 0, 0600 },
        { 022, 07777, 0755 }, { 027, 0444, 0640 }, { 0, 0666, 0666 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
        CwInboxMeta m = { .mode = cases[i].mode, .mtime_ns = G_MININT64 };
        mode_t before = umask (cases[i].umask);
        g_autoptr (GError) error = NULL;
        CwInboxFile *file;
        reopen (f);
        file = begin (f, "file", 0, 0);
        g_assert_cmpuint (get_stat (f, STAGING "/items/file").st_mode & 07777, ==, 0600);
        g_assert_true (cw_inbox_file_finish (file, 0, &m, &error));
        g_assert_cmpuint (get_stat (f, STAGING "/items/file").st_mode & 07777, ==,
                          cases[i].expected);
        umask (before);
    }
}

/* An attempt that was killed while it asked for the umask leaves its question behind. */
static void
test_modes_after_kill (Fixture *f, gconstpointer data)
{
    g_autofree char *probe = g_build_filename (f->folder, STAGING, "probe", NULL);

    put (f, "d/file", "x");
    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_true (g_file_set_contents (probe, "", 0, NULL));
    open_inbox (f);
    put (f, "file", "x");
    g_assert_cmpuint (get_stat (f, STAGING "/items/file").st_mode & 07777, ==, meta.mode);
}

static void
test_never_over (Fixture *f, gconstpointer data)
{
    g_autofree char *file = g_build_filename (f->folder, "a.tar.gz", NULL);
    g_autofree char *second = g_build_filename (f->folder, "a (2).tar.gz", NULL);
    g_autofree char *dangling = g_build_filename (f->folder, "link", NULL);
    g_autofree char *folder = g_build_filename (f->folder, "d.x", NULL);

    g_assert_true (g_file_set_contents (file, "mine", -1, NULL));
    g_assert_cmpint (g_mkdir (second, 0700), ==, 0);
    g_assert_cmpint (symlink ("nowhere", dangling), ==, 0);
    g_assert_cmpint (g_mkdir (folder, 0700), ==, 0); /* empty: a plain rename() would replace it */
    put (f, "a.tar.gz", "theirs");
    put (f, "link", "theirs");
    put (f, "d.x/file", "theirs");
    assert_delivers (f, "a (3).tar.gz|link (2)|d.x (2)");
    assert_file (f, "a.tar.gz", "mine");
    assert_file (f, "a (3).tar.gz", "theirs");
    assert_file (f, "d.x (2)/file", "theirs");
    assert_list (f, "d.x", "");
    assert_list (f, "a (2).tar.gz", "");
}

static void
test_once (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;

    cw_inbox_free (f->inbox);
    f->inbox = cw_inbox_open (f->folder, NULL, &error);
    g_assert_no_error (error);
    put (f, "a", "a");
    cw_inbox_file_abort (begin (f, "b", 0, -1), TRUE);
    g_clear_pointer (&f->inbox, cw_inbox_free);
    assert_list (f, "", "");
}

static void
test_nothing_came (Fixture *f, gconstpointer data)
{
    assert_list (f, "", STAGING);
    cw_inbox_file_abort (begin (f, "a", 0, 10), TRUE);
    g_clear_pointer (&f->inbox, cw_inbox_free);
    assert_list (f, "", "");
    open_inbox (f);
    assert_delivers (f, "");
    assert_list (f, "", "");
}

static void
test_sparse (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;
    CwInboxFile *file = cw_inbox_begin_file (f->inbox, "holes", 0, 5000000000, TRUE, &error);
    struct stat st;

    g_assert_no_error (error);
    write_text (file, 4500000000, "middle");
    g_assert_false (cw_inbox_file_write (file, 4499999999, "x", 1, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL);
    g_clear_error (&error);
    g_assert_false (cw_inbox_file_write (file, G_MAXUINT64, "x", 1, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL);
    finish (file, 5000000000);
    assert_delivers (f, "holes");
    st = get_stat (f, "holes");
    g_assert_cmpint (st.st_size, ==, 5000000000);
    g_assert_cmpint (st.st_blocks, <, 1000);
}

static void
test_reserved (Fixture *f, gconstpointer data)
{
    CwInboxFile *file = begin (f, "big", 0, 4 << 20);
    struct stat st = get_stat (f, STAGING "/items/big");

    g_assert_cmpint (st.st_size, ==, 0);
    if (st.st_blocks == 0)
        g_test_message ("this file system cannot reserve");
    write_text (file, 0, "short");
    finish (file, 5);
    st = get_stat (f, STAGING "/items/big");
    g_assert_cmpint (st.st_size, ==, 5);
    g_assert_cmpint (st.st_blocks, <=, 16);
}

/* More items than are remembered by name. */
static void
test_many (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) paths = NULL;
    g_autofree char *names = NULL;
    g_auto (GStrv) found = NULL;
    g_autofree char *last = g_build_filename (f->folder, "999", NULL);

    for (int i = 0; i < 2500; i++) {
        g_autofree char *name = g_strdup_printf ("%d", i);
        put (f, name, name);
    }
    g_assert_true (cw_inbox_deliver (f->inbox, &paths, &error));
    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_cmpuint (paths->len, ==, 1000);
    g_assert_cmpstr (g_ptr_array_index (paths, 999), ==, last);
    names = list (f, "");
    found = g_strsplit (names, "|", -1);
    g_assert_cmpuint (g_strv_length (found), ==, 2500);
}

/* --- Names --- */

static void
test_hostile_paths (Fixture *f, gconstpointer data)
{
    static const char *const cases[][2] = {
        { "../../up", "_/_/up" },
        { "/etc/passwd", "etc/passwd" },
        { "a//b/./c/", "a/_/b/_/c" },
        { "ctl\x01/\x1b[2J", "ctl_/_[2J" },
        { "\xff/\xc3", "_ (2)/_" }, /* "_" is the ".." from above */
        { ".causeway-" TAG ".part/items/x", "_causeway-" TAG ".part/items/x" },
        { "con/aux.txt", "_con/_aux.txt" },
        { ".hidden/.hidden", "_hidden/.hidden" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
        put (f, cases[i][0], "x");
    g_free (deliver (f));
    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
        assert_file (f, cases[i][1], "x");
}

static void
assert_refused (Fixture *f, const char *path, int code)
{
    g_autoptr (GError) error = NULL;

    g_assert_null (cw_inbox_begin_file (f->inbox, path, 0, 0, FALSE, &error));
    g_assert_error (error, CW_DROP_ERROR, code);
    g_assert_cmpuint (strlen (error->message), <, 1000);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
test_long_paths (Fixture *f, gconstpointer data)
{
    g_autofree char *component = g_strnfill (5000, 'x');
    g_autofree char *expected = g_strnfill (255, 'x');
    g_autoptr (GString) deep = g_string_new ("d");
    g_autofree char *endless = g_strnfill (1 << 20, '\xff');
    g_autofree char *slashes = g_strnfill (1 << 20, '/');

    put (f, component, "x");
    for (int i = 1; i < 199; i++)
        g_string_append (deep, "/d");
    g_string_append (deep, "/file");
    put (f, deep->str, "deep");
    g_string_prepend (deep, "d/");
    assert_refused (f, deep->str, CW_DROP_ERROR_BAD_NAME);
    assert_refused (f, endless, CW_DROP_ERROR_BAD_NAME);
    assert_refused (f, slashes, CW_DROP_ERROR_BAD_NAME);
    assert_refused (f, "", CW_DROP_ERROR_BAD_NAME);
    g_free (deliver (f));
    assert_file (f, expected, "x");
    assert_file (f, deep->str + 2, "deep");
}

static void
test_clashes (Fixture *f, gconstpointer data)
{
    put (f, "a\x01", "1");
    put (f, "a\x02", "2");
    put (f, "a_", "3");
    /* Two folders with one safe name, used in turn; each keeps its files. */
    put (f, "d\x01/x", "d1x");
    put (f, "d\x02/x", "d2x");
    put (f, "d\x01/y", "d1y");
    make_folder (f, "d\x02");
    put (f, "d\x02/y/z", "d2yz");
    /* The same folder again is no clash, the same file is. */
    make_folder (f, "d\x01");
    put (f, "d\x01/x", "again");
    /* Upper and lower case, and two normal forms, are different names. */
    put (f, "e/A", "A");
    put (f, "e/a", "a");
    put (f, "e/\xc3\xa4", "composed");
    put (f, "e/a\xcc\x88", "decomposed");
    /* File, then folder of the same name; and the other way round. */
    put (f, "g", "file");
    put (f, "g/x", "in folder");
    put (f, "g/y", "in folder");
    put (f, "h/x", "in folder");
    put (f, "h", "file");
    assert_delivers (f, "a_|a_ (2)|a_ (3)|d_|d_ (2)|e|g|g (2)|h|h (2)");
    assert_file (f, "a_ (3)", "3");
    assert_list (f, "d_", "x|x (2)|y");
    assert_file (f, "d_/x", "d1x");
    assert_file (f, "d_/x (2)", "again");
    assert_file (f, "d_ (2)/x", "d2x");
    assert_file (f, "d_ (2)/y/z", "d2yz");
    assert_list (f, "e", "A|a|a\xcc\x88|\xc3\xa4");
    assert_list (f, "g (2)", "x|y");
    assert_file (f, "h (2)", "file");
}

static void
test_clashes_end (Fixture *f, gconstpointer data)
{
    for (int i = 0; i < 1000; i++)
        put (f, "same", "x");
    assert_refused (f, "same", CW_DROP_ERROR_BAD_NAME);
}

static void
test_planted_symlinks (Fixture *f, gconstpointer data)
{
    g_autofree char *outside = g_dir_make_tmp ("cw-outside-XXXXXX", NULL);
    g_autofree char *planted = g_build_filename (f->folder, STAGING, "items", "t", "out", NULL);
    g_autofree char *planted_file = g_build_filename (f->folder, STAGING, "items", "t", "f", NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (GDir) dir = NULL;

    make_folder (f, "t/real");
    g_assert_true (cw_inbox_make_symlink (f->inbox, "t/in", "real", &meta, &error));
    put (f, "t/in/x", "not through the link");
    /* Worse than what a peer can make: links that do lead out. */
    g_assert_cmpint (symlink (outside, planted), ==, 0);
    g_assert_cmpint (symlink (outside, planted_file), ==, 0);
    put (f, "t/out/y", "y");
    put (f, "t/f", "z");
    g_free (deliver (f));
    assert_list (f, "t/real", "");
    assert_file (f, "t/in (2)/x", "not through the link");
    assert_file (f, "t/out (2)/y", "y");
    assert_file (f, "t/f (2)", "z");
    dir = g_dir_open (outside, 0, NULL);
    g_assert_null (g_dir_read_name (dir));
    g_rmdir (outside);
}

/* The same in what an earlier attempt left. */
static void
test_old_symlinks (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;
    CwInboxFile *file;

    put (f, "t/real/x", "x");
    g_assert_true (cw_inbox_make_symlink (f->inbox, "t/in", "real", &meta, &error));
    g_assert_true (cw_inbox_make_symlink (f->inbox, "t/x", "real/x", &meta, &error));
    reopen (f);
    assert_left (f, "t/real/x", "x");
    assert_nothing_left (f, "t/in/x");
    assert_nothing_left (f, "t/x");
    file = begin (f, "t/in/x", 0, -1);
    write_text (file, 0, "y");
    cw_inbox_file_abort (file, TRUE);
    assert_left (f, "t/real/x", "x");
}

static void
test_bad_links (Fixture *f, gconstpointer data)
{
    static const char *const cases[][2] = {
        { "l", "x" },           { "a/l", "/etc" },      { "a/l", ".." },
        { "a/b/l", "../../x" }, { "a/b/l", "x/../.." }, { "a/l", "" },
    };
    g_autofree char *long_target = g_strnfill (4096, 'x');
    g_autoptr (GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
        g_assert_false (cw_inbox_make_symlink (f->inbox, cases[i][0], cases[i][1], &meta, &error));
        g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_LINK);
        g_clear_error (&error);
    }
    g_assert_false (cw_inbox_make_symlink (f->inbox, "a/l", long_target, &meta, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_LINK);
    assert_list (f, STAGING "/items", "");
}

/* --- Going on --- */

static void
test_resume (Fixture *f, gconstpointer data)
{
    CwInboxFile *file;

    put (f, "d/whole", "all of it");
    put (f, "d/changed", "old content");
    put (f, "d/unmentioned", "gone at the sender");
    file = begin (f, "d/half", 0, 10);
    write_text (file, 0, "half");
    cw_inbox_file_abort (file, TRUE);
    file = begin (f, "d/dropped", 0, 10);
    write_text (file, 0, "half");
    cw_inbox_file_abort (file, FALSE);
    put (f, "top", "top");

    reopen (f);
    g_assert_true (cw_inbox_is_resumed (f->inbox));
    assert_list (f, STAGING "/items", "");
    assert_left (f, "d/whole", "all of it");
    assert_left (f, "d/half", "half");
    assert_left (f, "top", "top");
    assert_left (f, "d/changed", "old content");
    assert_nothing_left (f, "d/dropped");
    assert_nothing_left (f, "d");
    assert_nothing_left (f, "d/whole/x");
    assert_nothing_left (f, "x/whole");
    finish (begin (f, "d/whole", 9, 9), 9);
    put (f, "d/changed", "new");
    file = begin (f, "d/half", 3, 7);
    write_text (file, 3, "rest");
    finish (file, 7);

    /* And once more: both what was moved and what was not is found. */
    reopen (f);
    assert_left (f, "d/whole", "all of it");
    assert_left (f, "d/changed", "new");
    assert_left (f, "d/half", "halrest");
    assert_left (f, "d/unmentioned", "gone at the sender");
    assert_left (f, "top", "top");
    finish (begin (f, "d/half", 7, 7), 7);
    finish (begin (f, "d/whole", 9, 9), 9);
    finish (begin (f, "top", 3, 3), 3);
    assert_delivers (f, "d|top");
    assert_list (f, "", "d|top");
    assert_list (f, "d", "half|whole");
    assert_file (f, "d/half", "halrest");
}

static void
test_resume_same_attempt (Fixture *f, gconstpointer data)
{
    CwInboxFile *file = begin (f, "d/a", 0, 10);

    write_text (file, 0, "0123");
    cw_inbox_file_abort (file, TRUE);
    assert_list (f, STAGING "/items/d", "");
    assert_left (f, "d/a", "0123");
    file = begin (f, "d/a", 4, 10);
    write_text (file, 4, "456789");
    finish (file, 10);
    assert_delivers (f, "d");
    assert_file (f, "d/a", "0123456789");
}

/* A file is given up; the rest of its folder is delivered without it. */
static void
test_give_up (Fixture *f, gconstpointer data)
{
    CwInboxFile *file;

    put (f, "d/a", "a");
    file = begin (f, "d/b", 0, -1);
    write_text (file, 0, "half");
    cw_inbox_file_abort (file, TRUE);
    file = begin (f, "c", 0, -1);
    write_text (file, 0, "half");
    cw_inbox_file_abort (file, TRUE);
    assert_delivers (f, "d");
    assert_list (f, "", "d");
    assert_list (f, "d", "a");
}

static void
test_resume_clashes (Fixture *f, gconstpointer data)
{
    put (f, "a\x01", "first");
    put (f, "a\x02", "second");
    reopen (f);
    assert_left (f, "a\x01", "first");
    finish (begin (f, "a\x01", 5, 5), 5);
    assert_left (f, "a\x02", "second");
    finish (begin (f, "a\x02", 6, 6), 6);
    assert_nothing_left (f, "a\x02");
    assert_delivers (f, "a_|a_ (2)");
    assert_file (f, "a_ (2)", "second");
}

static void
test_kept_is_gone (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;

    put (f, "a", "1234");
    reopen (f);
    g_assert_null (cw_inbox_begin_file (f->inbox, "a", 5, 9, FALSE, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_STORE);
    g_clear_error (&error);
    g_assert_null (cw_inbox_begin_file (f->inbox, "b/c", 5, 9, FALSE, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_STORE);
    put (f, "a", "fresh");
    assert_delivers (f, "b|a");
    assert_file (f, "a", "fresh");
}

/* What was a file became a folder at the sender, and the other way round. */
static void
test_resume_other_kind (Fixture *f, gconstpointer data)
{
    put (f, "a", "file");
    put (f, "b/x", "in folder");
    reopen (f);
    assert_nothing_left (f, "a/x");
    put (f, "a/x", "now in a folder");
    put (f, "b", "now a file");
    reopen (f);
    assert_left (f, "a/x", "now in a folder");
    assert_left (f, "b", "now a file");
}

static void
test_look_up_cancelled (Fixture *f, gconstpointer data)
{
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GError) error = NULL;
    guint8 sha256[32];
    guint64 length;

    put (f, "a", "a");
    reopen (f);
    g_cancellable_cancel (cancellable);
    g_assert_false (cw_inbox_look_up (f->inbox, "a", cancellable, &length, sha256, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* A delivery that died after the rename of "a" and "d" and before that of "b": the journal says
 * what was under way. */
static void
fake_interrupted_delivery (Fixture *f)
{
    static const char *const moves[][2] = { { "a", "a (2)" }, { "d", "d" }, { "b", "b" } };
    g_autofree char *journal = g_build_filename (f->folder, STAGING, "journal", NULL);
    g_autofree char *taken = g_build_filename (f->folder, "a", NULL);
    g_autoptr (GString) lines = g_string_new (NULL);

    put (f, "a", "a");
    put (f, "b", "b");
    put (f, "d/e/f", "f");
    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_true (g_file_set_contents (taken, "somebody's", -1, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS (moves); i++) {
        g_autofree char *from = g_build_filename (f->folder, STAGING, "items", moves[i][0], NULL);
        g_autofree char *to = g_build_filename (f->folder, moves[i][1], NULL);
        struct stat st;
        g_assert_cmpint (lstat (from, &st), ==, 0);
        g_string_append_printf (lines, "%llu %llu %lld %lld %ld %s/%s\n",
                                (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
                                (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                                st.st_mtim.tv_nsec, moves[i][0], moves[i][1]);
        if (i == 2)
            break;
        g_assert_cmpint (rename (from, to), ==, 0);
    }
    /* A line that a crash has cut is no line. */
    g_string_append_printf (lines, "1 2 3 4 5 b");
    g_assert_true (g_file_set_contents (journal, lines->str, -1, NULL));
}

static void
test_interrupted_delivery (Fixture *f, gconstpointer data)
{
    fake_interrupted_delivery (f);
    open_inbox (f);
    assert_list (f, "", STAGING "|a");
    assert_left (f, "a", "a");
    assert_left (f, "b", "b");
    assert_left (f, "d/e/f", "f");
    finish (begin (f, "a", 1, 1), 1);
    finish (begin (f, "b", 1, 1), 1);
    finish (begin (f, "d/e/f", 1, 1), 1);
    assert_delivers (f, "a (2)|b|d");
    assert_list (f, "", "a|a (2)|b|d");
    assert_file (f, "a", "somebody's");
}

/* Somebody worked with what was delivered before the second attempt: it is theirs. */
static void
test_interrupted_and_touched (Fixture *f, gconstpointer data)
{
    g_autofree char *file = g_build_filename (f->folder, "a (2)", NULL);
    g_autofree char *deep = g_build_filename (f->folder, "d", "e", "f", NULL);
    g_autofree char *journal = g_build_filename (f->folder, STAGING, "journal", NULL);
    struct stat written, st;

    fake_interrupted_delivery (f);
    g_assert_true (g_file_set_contents (file, "A", -1, NULL));
    g_assert_cmpint (stat (journal, &written), ==, 0);
    do { /* until the file system's clock has ticked */
        FILE *stream = fopen (deep, "w");
        g_assert_cmpint (fputs ("F", stream), >=, 0);
        g_assert_cmpint (fclose (stream), ==, 0);
        g_assert_cmpint (stat (deep, &st), ==, 0);
    } while (st.st_ctim.tv_sec == written.st_mtim.tv_sec
             && st.st_ctim.tv_nsec == written.st_mtim.tv_nsec);
    open_inbox (f);
    assert_nothing_left (f, "a");
    assert_nothing_left (f, "d/e/f");
    assert_left (f, "b", "b");
    put (f, "a", "a");
    put (f, "d/e/f", "f");
    assert_delivers (f, "a (3)|d (2)");
    assert_file (f, "a (2)", "A");
    assert_file (f, "d/e/f", "F");
}

static void
test_bad_journal (Fixture *f, gconstpointer data)
{
    static const char *const lines[] = {
        "",
        "\n",
        "x\n",
        "1 2 3 4 5 ../../x\n",
        "1 2 3 4 5 /x\n",
        "1 2 3 4 5 x/\n",
        "1 2 3 4 5 ./x\n",
        "1 2 3 4 5 x/y/z\n",
        "1 2 3 4 5\n",
    };
    g_autofree char *journal = g_build_filename (f->folder, STAGING, "journal", NULL);

    put (f, "a", "a");
    for (gsize i = 0; i < G_N_ELEMENTS (lines); i++) {
        g_clear_pointer (&f->inbox, cw_inbox_free);
        g_assert_true (g_file_set_contents (journal, lines[i], -1, NULL));
        open_inbox (f);
        assert_left (f, "a", "a");
        g_assert_false (exists (f, STAGING "/journal"));
    }
}

/* --- Other processes --- */

static void
test_busy (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwInbox) other = NULL;

    g_assert_null (cw_inbox_open (f->folder, TAG, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BUSY);
    g_clear_error (&error);
    other = cw_inbox_open (f->folder, "other", &error);
    g_assert_no_error (error);
    g_clear_pointer (&f->inbox, cw_inbox_free);
    open_inbox (f);
}

static char *
make_staging (Fixture *f, const char *name, gboolean lock, int age_days)
{
    char *path = g_build_filename (f->folder, name, NULL);
    g_autofree char *items = g_build_filename (path, "items", "x", NULL);
    g_autofree char *lock_path = g_build_filename (path, "lock", NULL);
    struct timespec times[2] = { { .tv_sec = time (NULL) - age_days * 24 * 3600 }, { 0 } };

    times[1] = times[0];
    if (lock) {
        g_assert_cmpint (g_mkdir_with_parents (items, 0700), ==, 0);
        g_assert_true (g_file_set_contents (lock_path, "", 0, NULL));
        g_assert_cmpint (utimensat (AT_FDCWD, lock_path, times, 0), ==, 0);
    } else {
        g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
    }
    return path;
}

static void
test_stale (Fixture *f, gconstpointer data)
{
    g_autofree char *old = make_staging (f, ".causeway-old.part", TRUE, 31);
    g_autofree char *young = make_staging (f, ".causeway-young.part", TRUE, 29);
    g_autofree char *once = make_staging (f, ".causeway-once-12.part", TRUE, 0);
    g_autofree char *empty = make_staging (f, ".causeway-empty.part", FALSE, 0);
    g_autofree char *used = make_staging (f, ".causeway-once-34.part", TRUE, 31);
    g_autofree char *lock = g_build_filename (used, "lock", NULL);
    g_autofree char *link = g_build_filename (f->folder, ".causeway-link.part", NULL);
    int fd = open (lock, O_RDWR | O_CLOEXEC);

    g_assert_cmpint (flock (fd, LOCK_EX | LOCK_NB), ==, 0);
    g_assert_cmpint (symlink (young, link), ==, 0);
    reopen (f);
    assert_list (f, "",
                 ".causeway-" TAG ".part|.causeway-link.part|.causeway-once-34.part|"
                 ".causeway-young.part");
    close (fd);
}

/* Somebody else's folder, or no folder, under our name: receiving works, without resuming. */
static void
test_foreign_staging (Fixture *f, gconstpointer data)
{
    g_autofree char *staging = g_build_filename (f->folder, STAGING, NULL);

    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_true (g_file_set_contents (staging, "x", -1, NULL));
    open_inbox (f);
    put (f, "a", "a");
    assert_delivers (f, "a");
    assert_file (f, STAGING, "x");
    if (geteuid () != 0)
        return;
    g_assert_cmpint (g_unlink (staging), ==, 0);
    g_assert_cmpint (g_mkdir (staging, 0777), ==, 0);
    g_assert_cmpint (chown (staging, 12345, 12345), ==, 0);
    open_inbox (f);
    put (f, "b", "b");
    assert_delivers (f, "b");
    assert_list (f, STAGING, "");
}

/* --- When it goes wrong --- */

static void
assert_open_fails (const char *folder, int code)
{
    g_autoptr (GError) error = NULL;

    g_assert_null (cw_inbox_open (folder, TAG, &error));
    g_assert_error (error, CW_DROP_ERROR, code);
}

static void
test_no_target (Fixture *f, gconstpointer data)
{
    g_autofree char *missing = g_build_filename (f->folder, "missing", NULL);

    assert_open_fails (missing, CW_DROP_ERROR_TARGET_GONE);
    g_assert_true (g_file_set_contents (missing, "", 0, NULL));
    assert_open_fails (missing, CW_DROP_ERROR_TARGET_GONE);
}

static void
test_target_vanishes (Fixture *f, gconstpointer data)
{
    g_autofree char *moved = g_strconcat (f->folder, "-moved", NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) paths = NULL;

    put (f, "a", "a");
    g_assert_cmpint (rename (f->folder, moved), ==, 0);
    g_assert_false (cw_inbox_deliver (f->inbox, &paths, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TARGET_GONE);
    g_assert_null (paths);
    g_clear_error (&error);
    remove_tree (moved);
    g_assert_null (cw_inbox_begin_file (f->inbox, "d/b", 0, 0, FALSE, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TARGET_GONE);
}

/* --- File systems of our own --- */

static gboolean
write_proc (const char *path, const char *text)
{
    int fd = open (path, O_WRONLY | O_CLOEXEC);
    gboolean ok = fd >= 0 && write (fd, text, strlen (text)) == (ssize_t)strlen (text);

    if (fd >= 0)
        close (fd);
    return ok;
}

/* A mount namespace for this process; as an ordinary user, in a user namespace. */
static gboolean
enter_namespace (void)
{
    g_autofree char *uid_map = g_strdup_printf ("0 %u 1", (unsigned)geteuid ());
    g_autofree char *gid_map = g_strdup_printf ("0 %u 1", (unsigned)getegid ());

    if (geteuid () == 0)
        return unshare (CLONE_NEWNS) == 0;
    return unshare (CLONE_NEWNS | CLONE_NEWUSER) == 0 && write_proc ("/proc/self/setgroups", "deny")
           && write_proc ("/proc/self/uid_map", uid_map)
           && write_proc ("/proc/self/gid_map", gid_map);
}

static gboolean
may_mount (void)
{
    int status;
    pid_t pid = fork ();

    g_assert_cmpint (pid, >=, 0);
    if (pid == 0)
        _exit (enter_namespace () && mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
                       && mount ("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0
                   ? 0
                   : 1);
    g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
    return status == 0;
}

/* Runs @func in a process of its own, where the target is a fresh tmpfs. */
static void
in_tmpfs (Fixture *f, void (*func) (Fixture *f), const char *options)
{
    if (!g_test_subprocess ()) {
        if (!may_mount ()) {
            g_test_skip ("may not make a mount namespace");
            return;
        }
        g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
        g_test_trap_assert_passed ();
        return;
    }
    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_true (enter_namespace ());
    g_assert_cmpint (mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    g_assert_cmpint (mount ("tmpfs", f->folder, "tmpfs", 0, options), ==, 0);
    func (f);
    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_cmpint (umount2 (f->folder, MNT_DETACH), ==, 0);
}

static void
fill_up (Fixture *f)
{
    static char block[1 << 16];
    g_autoptr (GError) error = NULL;
    CwInboxFile *file;
    guint64 at = 0;

    open_inbox (f);
    put (f, "small", "fits");
    g_assert_cmpint (cw_inbox_free_space (f->folder), <=, 1 << 20);
    /* Refused at once when the size is known, */
    g_assert_null (cw_inbox_begin_file (f->inbox, "big", 0, 4 << 20, FALSE, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE);
    g_clear_error (&error);
    assert_list (f, STAGING "/items", "small");
    /* and when it is full if not. */
    file = begin (f, "d/pipe", 0, -1);
    while (cw_inbox_file_write (file, at, block, sizeof block, &error))
        at += sizeof block;
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE);
    g_assert_nonnull (strstr (error->message, "d/pipe"));
    g_assert_cmpuint (at, >, 1 << 19);
    cw_inbox_file_abort (file, FALSE);
    assert_delivers (f, "small|d");
    assert_list (f, "", "d|small");
    assert_file (f, "small", "fits");
}

static void
test_full (Fixture *f, gconstpointer data)
{
    in_tmpfs (f, fill_up, "size=1m");
}

static void
fill_up_and_keep (Fixture *f)
{
    g_autofree guint8 *block = g_malloc0 (700000);
    g_autoptr (GError) error = NULL;
    CwInboxFile *file;
    guint8 sha256[32];
    guint64 length;

    open_inbox (f);
    file = begin (f, "big", 0, -1);
    g_assert_true (cw_inbox_file_write (file, 0, block, 700000, &error));
    g_assert_false (cw_inbox_file_write (file, 700000, block, 700000, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE);
    cw_inbox_file_abort (file, TRUE);
    reopen (f);
    g_assert_true (look_up (f, "big", &length, sha256));
    g_assert_cmpuint (length, >=, 700000);
    /* Of no use after all: its space is there for what comes instead. */
    file = begin (f, "big", 0, -1);
    g_clear_error (&error);
    g_assert_true (cw_inbox_file_write (file, 0, block, 700000, &error));
    finish (file, 700000);
    assert_delivers (f, "big");
}

static void
test_full_and_keep (Fixture *f, gconstpointer data)
{
    in_tmpfs (f, fill_up_and_keep, "size=1m");
}

static void
turn_read_only (Fixture *f)
{
    open_inbox (f);
    put (f, "a", "a");
    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_cmpint (mount (NULL, f->folder, NULL, MS_REMOUNT | MS_RDONLY | MS_BIND, NULL), ==, 0);
    assert_open_fails (f->folder, CW_DROP_ERROR_NO_PERMISSION);
    /* It is kept, and delivered when that has been put right. */
    g_assert_cmpint (mount (NULL, f->folder, NULL, MS_REMOUNT | MS_BIND, NULL), ==, 0);
    open_inbox (f);
    assert_left (f, "a", "a");
    finish (begin (f, "a", 1, 1), 1);
    assert_delivers (f, "a");
}

static void
test_read_only (Fixture *f, gconstpointer data)
{
    in_tmpfs (f, turn_read_only, "size=1m");
}

static void
test_no_permission (Fixture *f, gconstpointer data)
{
    int status;
    pid_t pid;

    g_clear_pointer (&f->inbox, cw_inbox_free);
    g_assert_cmpint (g_chmod (f->folder, 0555), ==, 0);
    pid = fork ();
    if (pid == 0) {
        if (geteuid () == 0 && setresuid (12345, 12345, 12345) < 0)
            _exit (1);
        assert_open_fails (f->folder, CW_DROP_ERROR_NO_PERMISSION);
        _exit (0);
    }
    g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
    g_assert_cmpint (status, ==, 0);
    g_assert_cmpint (g_chmod (f->folder, 0755), ==, 0);
}

static void
test_free_space (Fixture *f, gconstpointer data)
{
    g_autofree char *missing = g_build_filename (f->folder, "missing", NULL);

    g_assert_cmpint (cw_inbox_free_space (f->folder), >, 0);
    g_assert_cmpint (cw_inbox_free_space (missing), ==, -1);
}

int
main (int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func) (Fixture *f, gconstpointer data);
    } tests[] = {
        { "/inbox/deliver", test_deliver },
        { "/inbox/modes", test_modes },
        { "/inbox/modes/after-kill", test_modes_after_kill },
        { "/inbox/never-over", test_never_over },
        { "/inbox/once", test_once },
        { "/inbox/nothing-came", test_nothing_came },
        { "/inbox/sparse", test_sparse },
        { "/inbox/reserved", test_reserved },
        { "/inbox/many", test_many },
        { "/inbox/names/hostile", test_hostile_paths },
        { "/inbox/names/long", test_long_paths },
        { "/inbox/names/clashes", test_clashes },
        { "/inbox/names/clashes-end", test_clashes_end },
        { "/inbox/names/planted-symlinks", test_planted_symlinks },
        { "/inbox/names/old-symlinks", test_old_symlinks },
        { "/inbox/names/bad-links", test_bad_links },
        { "/inbox/resume/again", test_resume },
        { "/inbox/resume/same-attempt", test_resume_same_attempt },
        { "/inbox/resume/give-up", test_give_up },
        { "/inbox/resume/clashes", test_resume_clashes },
        { "/inbox/resume/kept-is-gone", test_kept_is_gone },
        { "/inbox/resume/other-kind", test_resume_other_kind },
        { "/inbox/resume/cancelled", test_look_up_cancelled },
        { "/inbox/resume/delivery", test_interrupted_delivery },
        { "/inbox/resume/touched", test_interrupted_and_touched },
        { "/inbox/resume/bad-journal", test_bad_journal },
        { "/inbox/others/busy", test_busy },
        { "/inbox/others/stale", test_stale },
        { "/inbox/others/foreign", test_foreign_staging },
        { "/inbox/trouble/no-target", test_no_target },
        { "/inbox/trouble/target-vanishes", test_target_vanishes },
        { "/inbox/trouble/free-space", test_free_space },
        { "/inbox/trouble/full", test_full },
        { "/inbox/trouble/full-and-keep", test_full_and_keep },
        { "/inbox/trouble/read-only", test_read_only },
        { "/inbox/trouble/no-permission", test_no_permission },
    };

    umask (022);
    g_test_init (&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
        g_test_add (tests[i].path, Fixture, NULL, set_up, tests[i].func, tear_down);
    return g_test_run ();
}
