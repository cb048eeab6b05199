/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-outgoing.h"
#include "cw-transfer.h"

typedef struct {
    char *dir;
} Fixture;

static void
remove_tree (const char *path)
{
    g_autoptr (GDir) dir = NULL;
    const char *name;
    GStatBuf st;

    if (g_lstat (path, &st) == 0 && S_ISDIR (st.st_mode)) {
        g_chmod (path, 0700);
        dir = g_dir_open (path, 0, NULL);
        while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
            g_autofree char *child = g_build_filename (path, name, NULL);
            remove_tree (child);
        }
    }
    g_remove (path);
}

static void
set_up (Fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp ("cw-outgoing-XXXXXX", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
    remove_tree (f->dir);
    g_free (f->dir);
}

static char *
make_file (Fixture *f, const char *path, const char *content)
{
    char *full = g_build_filename (f->dir, path, NULL);
    g_autofree char *parent = g_path_get_dirname (full);

    g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
    g_assert_true (g_file_set_contents (full, content, -1, NULL));
    return full;
}

static CwOutgoing *
walk (const char *first, const char *second)
{
    const char *paths[] = { first, second, NULL };
    g_autoptr (GError) error = NULL;
    CwOutgoing *outgoing = cw_outgoing_new (paths, NULL, &error);

    g_assert_no_error (error);
    return outgoing;
}

/* All paths in order, with "/" after folders and "@" after symlinks. */
static char *
dup_list (CwOutgoing *outgoing)
{
    GString *list = g_string_new (NULL);

    for (guint i = 0; i < cw_outgoing_get_n_items (outgoing); i++) {
        const CwOutgoingItem *item = cw_outgoing_get_item (outgoing, i);
        g_string_append_printf (list, "%s%s%s", i > 0 ? " " : "", item->path,
                                item->kind == CW_ITEM_FOLDER    ? "/"
                                : item->kind == CW_ITEM_SYMLINK ? "@"
                                                                : "");
    }
    return g_string_free (list, FALSE);
}

static void
assert_content (CwOutgoing *outgoing, guint index, const char *expected)
{
    g_autoptr (GError) error = NULL;
    char content[64];
    int fd = cw_outgoing_open (outgoing, index, &error);
    ssize_t len;

    g_assert_no_error (error);
    len = read (fd, content, sizeof content);
    g_assert_cmpmem (content, (size_t)len, expected, strlen (expected));
    close (fd);
}

static void
test_order (Fixture *f, gconstpointer data)
{
    g_autofree char *one = make_file (f, "album/b.jpg", "bee");
    g_autofree char *two = make_file (f, "album/2024/z", "z");
    g_autofree char *three = make_file (f, "album/2023/y", "yy");
    g_autofree char *four = make_file (f, "album/a.jpg", "a");
    g_autofree char *five = make_file (f, "note.txt", "note");
    g_autofree char *empty = g_build_filename (f->dir, "album/2023/empty", NULL);
    g_autofree char *album = g_build_filename (f->dir, "album/", NULL);
    g_autofree char *link = g_build_filename (f->dir, "album/link", NULL);
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autoptr (CwOffer) offer = NULL;
    g_autofree char *list = NULL;
    g_autofree char *target = NULL;
    const CwOfferItem *item;
    struct timespec times[2] = { { 5, 6 }, { 1234567890, 123456789 } };

    g_mkdir (empty, 0755);
    g_chmod (four, 0640);
    g_assert_cmpint (utimensat (AT_FDCWD, four, times, 0), ==, 0);
    g_assert_cmpint (symlink ("2024/z", link), ==, 0);
    outgoing = walk (album, five);
    list = dup_list (outgoing);
    g_assert_cmpstr (list, ==,
                     "album/ album/a.jpg album/b.jpg album/link@ album/2023/ album/2023/y "
                     "album/2023/empty/ album/2024/ album/2024/z note.txt");
    g_assert_cmpuint (cw_outgoing_get_item (outgoing, 1)->mode, ==, 0640);
    g_assert_cmpint (cw_outgoing_get_item (outgoing, 1)->mtime_ns, ==,
                     G_GINT64_CONSTANT (1234567890123456789));
    g_assert_cmpuint (cw_outgoing_get_item (outgoing, 2)->size, ==, 3);

    offer = cw_outgoing_dup_offer (outgoing);
    g_assert_cmpuint (offer->items->len, ==, 2);
    g_assert_cmpint (offer->size, ==, 3 + 1 + 2 + 1 + 4);
    g_assert_cmpuint (offer->n_files, ==, 6);
    g_assert_cmpuint (offer->n_folders, ==, 4);
    item = g_ptr_array_index (offer->items, 0);
    g_assert_cmpstr (item->name, ==, "album");
    g_assert_cmpint (item->kind, ==, CW_ITEM_FOLDER);
    g_assert_cmpint (item->size, ==, 7);
    g_assert_cmpuint (item->n_files, ==, 5);

    assert_content (outgoing, 9, "note");
    assert_content (outgoing, 2, "bee");
    assert_content (outgoing, 8, "z");
    assert_content (outgoing, 1, "a");
    target = cw_outgoing_read_link (outgoing, 3, NULL);
    g_assert_cmpstr (target, ==, "2024/z");
}

static void
test_same_names (Fixture *f, gconstpointer data)
{
    g_autofree char *one = make_file (f, "x/a.txt", "1");
    g_autofree char *two = make_file (f, "y/a.txt", "2");
    g_autoptr (CwOutgoing) outgoing = walk (one, two);
    g_autofree char *list = dup_list (outgoing);

    g_assert_cmpstr (list, ==, "a.txt a (2).txt");
    assert_content (outgoing, 0, "1");
    assert_content (outgoing, 1, "2");
}

static void
test_top_names (Fixture *f, gconstpointer data)
{
    g_autofree char *file = make_file (f, "odd/\xff\xfe.txt", "1");
    g_autofree char *folder = g_path_get_dirname (file);
    g_autofree char *dotted = g_build_filename (f->dir, "odd/.", NULL);
    g_autofree char *linked = g_build_filename (f->dir, "linked", NULL);
    g_autoptr (CwOutgoing) one = NULL;
    g_autoptr (CwOutgoing) two = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    /* What is named is followed; below, bytes stay what they are. */
    g_assert_cmpint (symlink (folder, linked), ==, 0);
    one = walk (file, linked);
    first = dup_list (one);
    g_assert_cmpstr (first, ==, "__.txt linked/ linked/\xff\xfe.txt");
    assert_content (one, 2, "1");
    two = walk (dotted, NULL);
    second = dup_list (two);
    g_assert_cmpstr (second, ==, "odd/ odd/\xff\xfe.txt");
}

static void
test_left_out (Fixture *f, gconstpointer data)
{
    g_autofree char *file = make_file (f, "in/a", "1");
    g_autofree char *folder = g_path_get_dirname (file);
    g_autofree char *fifo = g_build_filename (folder, "fifo", NULL);
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autofree char *list = NULL;
    const CwTransferFailure *failure;
    const char *missing[] = { file, "/nonexistent/x", NULL };
    const char *none[] = { NULL };
    const char *pipe_path[] = { fifo, NULL };
    g_autoptr (GError) error = NULL;

    g_assert_cmpint (mkfifo (fifo, 0644), ==, 0);
    outgoing = walk (folder, NULL);
    list = dup_list (outgoing);
    g_assert_cmpstr (list, ==, "in/ in/a");
    g_assert_cmpuint (cw_outgoing_get_left_out (outgoing)->len, ==, 1);
    failure = g_ptr_array_index (cw_outgoing_get_left_out (outgoing), 0);
    g_assert_cmpstr (failure->path, ==, "in/fifo");
    g_assert_error (failure->error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE);

    g_assert_null (cw_outgoing_new (missing, NULL, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE);
    g_clear_error (&error);
    g_assert_null (cw_outgoing_new (pipe_path, NULL, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE);
    g_clear_error (&error);
    g_assert_null (cw_outgoing_new (none, NULL, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NOTHING);
}

/* Between the walk and the reading somebody puts links where files and folders were. */
static void
test_swapped (Fixture *f, gconstpointer data)
{
    g_autofree char *file = make_file (f, "in/sub/a", "1");
    g_autofree char *secret = make_file (f, "secret/a", "secret");
    g_autofree char *folder = g_build_filename (f->dir, "in", NULL);
    g_autofree char *sub = g_path_get_dirname (file);
    g_autofree char *away = g_path_get_dirname (secret);
    g_autoptr (CwOutgoing) outgoing = walk (folder, NULL);
    g_autoptr (GError) error = NULL;

    g_unlink (file);
    g_assert_cmpint (cw_outgoing_open (outgoing, 2, &error), ==, -1);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE);
    g_clear_error (&error);
    g_assert_cmpint (symlink (secret, file), ==, 0);
    g_assert_cmpint (cw_outgoing_open (outgoing, 2, &error), ==, -1);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
    g_clear_error (&error);
    g_unlink (file);
    g_mkdir (file, 0755);
    g_assert_cmpint (cw_outgoing_open (outgoing, 2, &error), ==, -1);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
    g_clear_error (&error);
    g_clear_pointer (&outgoing, cw_outgoing_free);

    g_rmdir (file);
    g_assert_true (g_file_set_contents (file, "1", -1, NULL));
    outgoing = walk (folder, NULL);
    remove_tree (sub);
    g_assert_cmpint (symlink (away, sub), ==, 0);
    g_assert_cmpint (cw_outgoing_open (outgoing, 2, &error), ==, -1);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
}

static void
test_deep (Fixture *f, gconstpointer data)
{
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autofree char *top = g_build_filename (f->dir, "deep", NULL);
    int fd;

    g_mkdir (top, 0755);
    fd = open (top, O_RDONLY | O_DIRECTORY);
    for (int i = 1; i < 210; i++) {
        int child;
        g_assert_cmpint (mkdirat (fd, "d", 0755), ==, 0);
        child = openat (fd, "d", O_RDONLY | O_DIRECTORY);
        close (fd);
        fd = child;
    }
    close (fd);
    outgoing = walk (top, NULL);
    g_assert_cmpuint (cw_outgoing_get_n_items (outgoing), ==, 200);
    g_assert_cmpuint (cw_outgoing_get_left_out (outgoing)->len, ==, 1);
}

static void
test_cancelled (Fixture *f, gconstpointer data)
{
    g_autofree char *file = make_file (f, "in/a", "1");
    const char *paths[] = { f->dir, NULL };
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GError) error = NULL;

    g_cancellable_cancel (cancellable);
    g_assert_null (cw_outgoing_new (paths, cancellable, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_stream (Fixture *f, gconstpointer data)
{
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autoptr (CwOffer) offer = NULL;
    g_autoptr (GError) error = NULL;
    int fds[2];

    g_assert_cmpint (pipe (fds), ==, 0);
    g_assert_cmpint ((int)write (fds[1], "piped", 5), ==, 5);
    close (fds[1]);
    outgoing = cw_outgoing_new_stream (fds[0], "input");
    g_assert_true (cw_outgoing_is_stream (outgoing));
    offer = cw_outgoing_dup_offer (outgoing);
    g_assert_cmpint (offer->size, ==, -1);
    g_assert_cmpuint (offer->n_files, ==, 1);
    assert_content (outgoing, 0, "piped");
    g_assert_cmpint (cw_outgoing_open (outgoing, 0, &error), ==, -1);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    ADD ("/outgoing/order", test_order);
    ADD ("/outgoing/same-names", test_same_names);
    ADD ("/outgoing/top-names", test_top_names);
    ADD ("/outgoing/left-out", test_left_out);
    ADD ("/outgoing/swapped", test_swapped);
    ADD ("/outgoing/deep", test_deep);
    ADD ("/outgoing/cancelled", test_cancelled);
    ADD ("/outgoing/stream", test_stream);
    return g_test_run ();
}
