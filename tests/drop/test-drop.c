/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-drop-line-private.h"
#include "cw-drop-wire.h"
#include "drop-fixture.h"

static void
set_meta (const char *dir, const char *path, mode_t mode, gint64 seconds, long ns)
{
    g_autofree char *full = g_build_filename (dir, path, NULL);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { seconds, ns } };
    GStatBuf st;

    g_assert_cmpint (g_lstat (full, &st), ==, 0);
    if (!S_ISLNK (st.st_mode))
        g_assert_cmpint (g_chmod (full, mode), ==, 0);
    g_assert_cmpint (utimensat (AT_FDCWD, full, times, AT_SYMLINK_NOFOLLOW), ==, 0);
}

static void
make_link (const char *dir, const char *path, const char *target)
{
    g_autofree char *full = g_build_filename (dir, path, NULL);

    g_assert_cmpint (symlink (target, full), ==, 0);
}

static void
make_folder (const char *dir, const char *path)
{
    g_autofree char *full = g_build_filename (dir, path, NULL);

    g_assert_cmpint (g_mkdir_with_parents (full, 0755), ==, 0);
}

static void
test_tree (Fixture *f, gconstpointer data)
{
    CwTransferFigures figures[2];

    make_file (f->from, "film.mp4", 3000001, 1);
    make_file (f->from, "nothing", 0, 1);
    make_file (f->from, "album/a.jpg", 1, 2);
    make_file (f->from, "album/2024/b.jpg", 262144, 3);
    make_file (f->from, "album/2024/c.jpg", 262145, 4);
    make_file (f->from, "album/2024/bytes \xff%2f\n\x01 é.jpg", 100, 5);
    make_folder (f->from, "album/empty/deeper");
    make_folder (f->from, "hollow");
    make_link (f->from, "album/2024/up", "../a.jpg");
    make_link (f->from, "album/dangling", "nowhere");
    set_meta (f->from, "film.mp4", 0600, 1000000000, 123456789);
    set_meta (f->from, "album/a.jpg", 0755, -1, 500000000);
    set_meta (f->from, "album/dangling", 0, 7, 8);
    set_meta (f->from, "album/2024", 0700, 86400, 1);
    set_meta (f->from, "album", 0755, 86401, 2);
    set_meta (f->from, "hollow", 0700, 86402, 3);
    run (f);
    assert_both_ok (f);
    g_assert_true (f->was_accepted);
    g_assert_cmpuint (f->paths->len, ==, 4);
    g_assert_cmpuint (f->offer->n_files, ==, 8);
    g_assert_cmpuint (f->offer->n_folders, ==, 5);
    cw_transfer_get_figures (f->sent, &figures[0]);
    cw_transfer_get_figures (f->received, &figures[1]);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint (figures[i].bytes_done, ==, 3000001 + 1 + 262144 + 262145 + 100);
        g_assert_cmpuint (figures[i].bytes_total, ==, figures[i].bytes_done);
        g_assert_cmpuint (figures[i].files_done, ==, 8);
        g_assert_cmpuint (figures[i].files_total, ==, 8);
        g_assert_cmpuint (figures[i].files_failed, ==, 0);
        g_assert_cmpuint (figures[i].bytes_kept, ==, 0);
    }
}

/* The odd name is the inbox's to make safe; the rest is the same to the nanosecond. */
static void
test_same (Fixture *f, gconstpointer data)
{
    mode_t mask = umask (022);

    umask (mask);
    make_file (f->from, "film.mp4", 3000001, 1);
    make_file (f->from, "album/a.jpg", 1, 2);
    make_file (f->from, "album/2024/b.jpg", 262144, 3);
    make_folder (f->from, "album/empty/deeper");
    make_link (f->from, "album/2024/up", "../a.jpg");
    make_link (f->from, "album/dangling", "nowhere");
    set_meta (f->from, "film.mp4", 0600, 1000000000, 123456789);
    set_meta (f->from, "album/a.jpg", 0755, -1, 500000000);
    set_meta (f->from, "album/dangling", 0, 7, 8);
    set_meta (f->from, "album/2024/up", 0, 9, 10);
    set_meta (f->from, "album/empty/deeper", 0755, 86400, 1);
    set_meta (f->from, "album/empty", 0700, 86400, 1);
    set_meta (f->from, "album/2024", 0700, 86400, 1);
    set_meta (f->from, "album", 0755, 86401, 2);
    run (f);
    assert_both_ok (f);
    assert_arrived (f, TRUE);
}

/* What leads out of its top-level item is refused, and all else arrives. */
static void
test_bad_link (Fixture *f, gconstpointer data)
{
    g_autoptr (GPtrArray) sent = NULL;
    g_autoptr (GPtrArray) received = NULL;
    CwTransferFigures figures;

    make_file (f->from, "album/a.jpg", 1, 2);
    make_link (f->from, "album/out", "/etc/passwd");
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    g_assert_cmpuint (f->paths->len, ==, 1);
    sent = cw_transfer_dup_failures (f->sent);
    received = cw_transfer_dup_failures (f->received);
    g_assert_cmpuint (sent->len, ==, 1);
    g_assert_cmpuint (received->len, ==, 1);
    g_assert_error (((CwTransferFailure *)sent->pdata[0])->error, CW_DROP_ERROR,
                    CW_DROP_ERROR_BAD_LINK);
    g_assert_cmpstr (((CwTransferFailure *)sent->pdata[0])->path, ==, "album/out");
    g_assert_error (((CwTransferFailure *)received->pdata[0])->error, CW_DROP_ERROR,
                    CW_DROP_ERROR_BAD_LINK);
    cw_transfer_get_figures (f->sent, &figures);
    g_assert_cmpuint (figures.files_done, ==, 1);
    g_assert_cmpuint (figures.files_failed, ==, 1);
}

static void
test_text (Fixture *f, gconstpointer data)
{
    g_autofree char *text = g_strnfill (1048576, 'x');

    text[1000] = '\n';
    text[1001] = '"';
    f->text = text;
    run (f);
    assert_both_ok (f);
    g_assert_cmpstr (f->received_text, ==, text);
    g_assert_true (f->was_accepted);
    g_assert_null (f->paths);
    g_assert_cmpuint (count_entries (f->to), ==, 0);
}

static void
test_too_long_text (Fixture *f, gconstpointer data)
{
    g_autofree char *text = g_strnfill (1048577, 'x');
    CwDropSendArgs args = { .text = text };
    g_autoptr (GError) error = NULL;
    int fds[2];

    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->sender_stream = wrap_socket (fds[0]);
    args.transfer = f->sent = cw_transfer_new ();
    g_assert_false (cw_drop_send (f->sender_stream, &args, NULL, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE);
    close (fds[1]);
}

static void
test_declined (Fixture *f, gconstpointer data)
{
    make_file (f->from, "film.mp4", 10, 1);
    f->decline = TRUE;
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_DECLINED);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_DECLINED);
    g_assert_false (f->was_accepted);
    g_assert_cmpuint (count_entries (f->to), ==, 0);
}

static void
set_pipe (Fixture *f, int ret_write_end[1])
{
    int fds[2];

    g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
    f->outgoing = cw_outgoing_new_stream (fds[0], "input");
    ret_write_end[0] = fds[1];
}

static gpointer
fill_pipe (gpointer data)
{
    int fd = GPOINTER_TO_INT (data);
    g_autofree guint8 *bytes = g_malloc (1000000);

    for (int i = 0; i < 1000000; i++)
        bytes[i] = (guint8)(i % 251);
    for (ssize_t at = 0, n; at < 1000000; at += n) {
        n = write (fd, bytes + at, (size_t)(1000000 - at));
        g_assert_cmpint (n, >, 0);
    }
    close (fd);
    return NULL;
}

static void
test_pipe (Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename (f->to, "input", NULL);
    g_autofree char *content = NULL;
    CwOutgoing *outgoing;
    GThread *filler;
    gsize len;
    int fd;

    set_pipe (f, &fd);
    outgoing = f->outgoing;
    filler = g_thread_new ("fill", fill_pipe, GINT_TO_POINTER (fd));
    run (f);
    g_thread_join (filler);
    assert_both_ok (f);
    g_assert_cmpint (f->offer->size, ==, -1);
    g_assert_true (g_file_get_contents (path, &content, &len, NULL));
    g_assert_cmpuint (len, ==, 1000000);
    for (gsize i = 0; i < len; i++)
        g_assert_cmpuint ((guint8)content[i], ==, i % 251);
    cw_outgoing_free (outgoing);
}

static gpointer
drain_pipe (gpointer data)
{
    GByteArray *all = g_byte_array_new ();
    int fd = GPOINTER_TO_INT (data);
    guint8 bytes[5000];
    ssize_t n;

    while ((n = read (fd, bytes, sizeof bytes)) > 0)
        g_byte_array_append (all, bytes, (guint)n);
    close (fd);
    return all;
}

static void
test_output (Fixture *f, gconstpointer data)
{
    g_autoptr (GByteArray) all = NULL;
    g_autofree char *path = g_build_filename (f->from, "film.mp4", NULL);
    g_autofree char *content = NULL;
    GThread *drainer;
    gsize len;
    int fds[2];

    make_file (f->from, "film.mp4", 1000003, 1);
    g_assert_cmpint (truncate (path, 1500000), ==, 0); /* a hole at its end */
    g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
    drainer = g_thread_new ("drain", drain_pipe, GINT_TO_POINTER (fds[0]));
    f->output_fd = fds[1];
    run (f);
    close (fds[1]);
    all = g_thread_join (drainer);
    assert_both_ok (f);
    g_assert_cmpuint (f->paths->len, ==, 0);
    g_assert_true (g_file_get_contents (path, &content, &len, NULL));
    g_assert_cmpmem (all->data, all->len, content, len);
    g_assert_cmpuint (count_entries (f->to), ==, 0);

    /* A folder has no place in a stream. */
    make_folder (f->from, "hollow");
    f->output_fd = 1;
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED);
}

static void
write_at (const char *path, off_t at, const char *text)
{
    int fd = open (path, O_WRONLY | O_CREAT, 0644);

    g_assert_cmpint (pwrite (fd, text, strlen (text), at), ==, (ssize_t)strlen (text));
    close (fd);
}

/* Beyond 4 GiB, at both ends and in the middle of holes; and holes are not sent. */
static void
test_sparse (Fixture *f, gconstpointer data)
{
    g_autofree char *big = g_build_filename (f->from, "big", NULL);
    g_autofree char *got = g_build_filename (f->to, "big", NULL);
    g_autofree char *hole = g_build_filename (f->from, "hole", NULL);
    CwTransferFigures figures;
    struct stat st;
    gint64 size = G_GINT64_CONSTANT (6) << 30;

    write_at (big, 0, "start");
    write_at (big, (G_GINT64_CONSTANT (1) << 32) + 12345, "middle");
    write_at (big, size - 100000, "tail");
    write_at (hole, 0, "");
    if (truncate (big, size) != 0 || truncate (hole, size) != 0) {
        g_test_skip ("this file system takes no files of 6 GiB");
        return;
    }
    f->cut_at = -2;
    run (f);
    assert_both_ok (f);
    assert_arrived (f, TRUE);
    g_assert_cmpuint (f->passed, <, 1 << 20);
    g_assert_cmpint (stat (got, &st), ==, 0);
    g_assert_cmpint (st.st_size, ==, size);
    g_assert_cmpint (st.st_blocks, <, 4096);
    cw_transfer_get_figures (f->received, &figures);
    g_assert_cmpuint (figures.bytes_done, ==, 2 * size);
    cw_transfer_get_figures (f->sent, &figures);
    g_assert_cmpuint (figures.bytes_done, ==, 2 * size);
}

static void
test_many (Fixture *f, gconstpointer data)
{
    guint n = g_str_equal (g_getenv ("CW_TEST_SLOW") != NULL ? g_getenv ("CW_TEST_SLOW") : "1", "1")
                  ? 20000
                  : 2000;
    CwTransferFigures figures;

    for (guint i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf ("many/%02u/%05u", i % 40, i);
        make_file (f->from, path, i % 3000, i);
    }
    run (f);
    assert_both_ok (f);
    assert_arrived (f, FALSE);
    cw_transfer_get_figures (f->received, &figures);
    g_assert_cmpuint (figures.files_done, ==, n);
}

/* The same names again: nothing is overwritten. */
static void
test_twice (Fixture *f, gconstpointer data)
{
    g_autofree char *first = g_build_filename (f->to, "film.mp4", NULL);
    g_autofree char *second = g_build_filename (f->to, "film (2).mp4", NULL);
    g_autofree char *source = g_build_filename (f->from, "film.mp4", NULL);
    Compare compare = { 0 };

    make_file (f->from, "film.mp4", 1000, 1);
    run (f);
    assert_both_ok (f);
    run (f);
    assert_both_ok (f);
    g_assert_cmpstr (f->paths->pdata[0], ==, second);
    assert_same (source, first, &compare);
    assert_same (source, second, &compare);
}

/* --- Senders that are not ours --- */

#define FOLDER_OFFER                                                                               \
    "drop/1\r\nPOST /offer HTTP/1.1\r\nContent-Length: 84\r\n\r\n"                                 \
    "{\"version\":1,\"folders\":1,\"items\":[{\"kind\":\"folder\",\"name\":\"hi\",\"size\":6,"     \
    "\"files\":1}]}"

/* A receiver on a thread; *@ret_fd is the other end of its stream. */
static GThread *
start_receiver (Fixture *f, int *ret_fd)
{
    int fds[2];

    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->receiver_stream = wrap_socket (fds[1]);
    f->received = cw_transfer_new ();
    f->decision = cw_decision_new ();
    *ret_fd = fds[0];
    return g_thread_new ("receiver", run_receiver, f);
}

/* The receiver's answers to the offer and, once it said yes, to @said. */
static char *
converse (Fixture *f, const char *said)
{
    GString *answers = g_string_new (NULL);
    GThread *receiver;
    char bytes[4096];
    ssize_t n;
    int fd;

    receiver = start_receiver (f, &fd);
    g_assert_cmpint (write (fd, FOLDER_OFFER, strlen (FOLDER_OFFER)), >, 0);
    n = read (fd, bytes, sizeof bytes);
    g_assert_cmpint (n, >, 0);
    g_string_append_len (answers, bytes, n);
    g_assert_cmpint (write (fd, said, strlen (said)), >, 0);
    shutdown (fd, SHUT_WR);
    while ((n = read (fd, bytes, sizeof bytes)) > 0)
        g_string_append_len (answers, bytes, n);
    g_thread_join (receiver);
    close (fd);
    return g_string_free (answers, FALSE);
}

/* The example of DROP-PROTOCOL.md, byte for byte. */
static void
test_document (Fixture *f, gconstpointer data)
{
    static const char said[] = "PUT /items/hi HTTP/1.1\r\n"
                               "Host:\r\n"
                               "Content-Type: inode/directory\r\n"
                               "Content-Length: 0\r\n"
                               "\r\n"
                               "PUT /items/hi/%C3%A4.txt HTTP/1.1\r\n"
                               "Host:\r\n"
                               "Content-Type: application/octet-stream\r\n"
                               "Drop-Mode: 644\r\n"
                               "Drop-Mtime: 1700000000.250000000\r\n"
                               "Drop-Size: 6\r\n"
                               "Transfer-Encoding: chunked\r\n"
                               "\r\n"
                               "00000006\r\nhello\n\r\n"
                               "0\r\n"
                               "Drop-End: complete\r\n"
                               "Drop-Size: 6\r\n"
                               "Drop-Digest: xxh3-128=:BDCvrTkELmZUKGi7TBlpkQ==:\r\n"
                               "\r\n"
                               "PUT /items/hi HTTP/1.1\r\n"
                               "Host:\r\n"
                               "Content-Type: inode/directory\r\n"
                               "Drop-Mode: 755\r\n"
                               "Drop-Mtime: 1700000000.000000000\r\n"
                               "Content-Length: 0\r\n"
                               "\r\n"
                               "POST /done HTTP/1.1\r\n"
                               "Host:\r\n"
                               "Content-Length: 0\r\n"
                               "\r\n";
    g_autofree char *answers = converse (f, said);
    g_autofree char *path = g_build_filename (f->to, "hi", "\u00e4.txt", NULL);
    g_autofree char *content = NULL;

    g_assert_cmpstr (answers, ==,
                     "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n"
                     "{\"decision\":\"accept\",\"resume\":false}"
                     "HTTP/1.1 204 No Content\r\n\r\n"
                     "HTTP/1.1 204 No Content\r\n\r\n"
                     "HTTP/1.1 204 No Content\r\n\r\n"
                     "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n"
                     "{\"delivered\":1,\"failed\":0}");
    g_assert_no_error (f->receive_error);
    g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
    g_assert_cmpstr (content, ==, "hello\n");
}

/* Finishing a folder makes it if need be: that has the same limit as making one. */
static void
test_too_many_folders (Fixture *f, gconstpointer data)
{
    static const char said[]
        = "PUT /items/hi HTTP/1.1\r\nContent-Type: inode/directory\r\nDrop-Mode: 755\r\n\r\n"
          "PUT /items/hi/more HTTP/1.1\r\nContent-Type: inode/directory\r\nDrop-Mode: 755\r\n\r\n"
          "POST /done HTTP/1.1\r\n\r\n";
    g_autofree char *answers = converse (f, said);
    g_autofree char *more = g_build_filename (f->to, "hi", "more", NULL);

    g_assert_nonnull (strstr (answers, "HTTP/1.1 204"));
    g_assert_nonnull (strstr (answers, "HTTP/1.1 413"));
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    g_assert_false (g_file_test (more, G_FILE_TEST_EXISTS));
}

/* A sender that reads no answers holds the receiver in a write, but not against its own person. */
static void
test_deaf_sender (Fixture *f, gconstpointer data)
{
    static const char ask[] = "HEAD /items/hi/x HTTP/1.1\r\n\r\n";
    GPollFD poll = { .events = G_IO_OUT };
    size_t at = 0;
    GThread *receiver;
    char byte;
    int fd;

    cw_drop_line_set_alive_ms (20);
    f->cancel_receiver = g_cancellable_new ();
    receiver = start_receiver (f, &fd);
    g_assert_cmpint (write (fd, FOLDER_OFFER, strlen (FOLDER_OFFER)), >, 0);
    /* It says yes, and so has no more than a ring of blocks and a socket's buffer to fill. */
    g_assert_cmpint (read (fd, &byte, 1), ==, 1);
    poll.fd = fd;
    while (g_poll (&poll, 1, 500) > 0) {
        ssize_t n = send (fd, ask + at, sizeof ask - 1 - at, MSG_DONTWAIT);
        if (n > 0)
            at = (at + (size_t)n) % (sizeof ask - 1);
    }
    g_cancellable_cancel (f->cancel_receiver);
    g_thread_join (receiver);
    close (fd);
    cw_drop_line_set_alive_ms (CW_DROP_ALIVE_SECONDS * 1000);
    g_assert_error (f->receive_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    ADD ("/drop/tree", test_tree);
    ADD ("/drop/same", test_same);
    ADD ("/drop/bad-link", test_bad_link);
    ADD ("/drop/text", test_text);
    ADD ("/drop/too-long-text", test_too_long_text);
    ADD ("/drop/declined", test_declined);
    ADD ("/drop/pipe", test_pipe);
    ADD ("/drop/output", test_output);
    ADD ("/drop/sparse", test_sparse);
    ADD ("/drop/many", test_many);
    ADD ("/drop/twice", test_twice);
    ADD ("/drop/document", test_document);
    ADD ("/drop/too-many-folders", test_too_many_folders);
    ADD ("/drop/deaf-sender", test_deaf_sender);
    return g_test_run ();
}
