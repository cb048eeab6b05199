/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-hash.h"
#include "cw-v1-private.h"
#include "cw-zip-write.h"

#define OLD_TIME 1000000000

typedef struct {
    char *dir;
    char *from; /* what is sent */
    char *to;   /* where it arrives */
    GIOStream *ours;
    GIOStream *theirs;
    CwTransfer *transfer; /* of the side under test */
} Fixture;

/* --- Fixture --- */

static GIOStream *
make_stream (int fd)
{
    g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);

    return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

static void
set_up (Fixture *f, gconstpointer data)
{
    int fds[2];

    f->dir = g_dir_make_tmp ("cw-v1-XXXXXX", NULL);
    f->from = g_build_filename (f->dir, "from", NULL);
    f->to = g_build_filename (f->dir, "to", NULL);
    g_assert_cmpint (g_mkdir (f->from, 0755) | g_mkdir (f->to, 0755), ==, 0);
    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->ours = make_stream (fds[0]);
    f->theirs = make_stream (fds[1]);
    f->transfer = cw_transfer_new ();
}

static void
remove_tree (const char *path)
{
    const char *const argv[] = { "rm", "-rf", "--", path, NULL };

    g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                  NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
    remove_tree (f->dir);
    g_object_unref (f->ours);
    g_object_unref (f->theirs);
    cw_transfer_unref (f->transfer);
    g_free (f->to);
    g_free (f->from);
    g_free (f->dir);
}

static char *
put_bytes (Fixture *f, const char *path, const void *data, gsize len)
{
    char *full = g_build_filename (f->from, path, NULL);
    g_autofree char *parent = g_path_get_dirname (full);

    g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
    g_assert_true (g_file_set_contents (full, data, (gssize)len, NULL));
    g_assert_cmpint (g_chmod (full, 0644), ==, 0);
    return full;
}

static void
put (Fixture *f, const char *path, const char *content)
{
    g_free (put_bytes (f, path, content, strlen (content)));
}

static void
assert_arrived (Fixture *f, const char *path, const char *content)
{
    g_autofree char *full = g_build_filename (f->to, path, NULL);
    g_autofree char *data = NULL;
    g_autoptr (GError) error = NULL;
    gsize len;

    g_file_get_contents (full, &data, &len, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (data, len, content, strlen (content));
}

static void
assert_nothing_in (const char *folder)
{
    g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);

    g_assert_cmpstr (g_dir_read_name (dir), ==, NULL);
}

/* Pseudo-random, different at every place. */
static guint8 *
make_noise (gsize len)
{
    guint8 *data = g_malloc (len);
    guint32 x = 2463534242u;

    for (gsize i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        data[i] = (guint8)x;
    }
    return data;
}

static CwOutgoing *
open_outgoing (Fixture *f, const char *const *names)
{
    g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
    g_autoptr (GError) error = NULL;
    CwOutgoing *outgoing;

    for (; *names != NULL; names++)
        g_ptr_array_add (paths, g_build_filename (f->from, *names, NULL));
    g_ptr_array_add (paths, NULL);
    outgoing = cw_outgoing_new ((const char *const *)paths->pdata, NULL, &error);
    g_assert_no_error (error);
    return outgoing;
}

static CwV1Source *
open_source (CwOutgoing *outgoing)
{
    g_autoptr (GError) error = NULL;
    CwV1Source *source = cw_v1_source_new (outgoing, "bundle", NULL, &error);

    g_assert_no_error (error);
    return source;
}

static CwV1Message *
parse_offer (CwV1Source *source)
{
    g_autoptr (GBytes) bytes = cw_v1_source_make_offer (source);
    g_autoptr (GError) error = NULL;
    gsize len;
    const char *data = g_bytes_get_data (bytes, &len);
    CwV1Message *message = cw_v1_message_parse (data, len, &error);

    g_assert_no_error (error);
    return message;
}

/* --- The other side, in a thread --- */

typedef struct {
    Fixture *f;
    CwV1Source *source;
    CwTransfer *transfer;
    GError *error;
    gboolean ok;
} Sending;

static gpointer
send_in_thread (gpointer data)
{
    Sending *sending = data;

    sending->ok = cw_v1_send (sending->f->theirs, sending->source, sending->transfer, NULL,
                              &sending->error);
    return NULL;
}

/* Both engines against each other. *@ret_paths below the target; the sender's failures. */
static void
transfer_outgoing (Fixture *f,
                   CwOutgoing *outgoing,
                   GPtrArray **ret_paths,
                   int sender_code,
                   GPtrArray **ret_failures)
{
    g_autoptr (CwV1Source) source = open_source (outgoing);
    g_autoptr (CwV1Message) offer = parse_offer (source);
    g_autoptr (CwTransfer) sender = cw_transfer_new ();
    g_autoptr (CwInbox) inbox = cw_inbox_open (f->to, NULL, NULL);
    Sending sending = { .f = f, .source = source, .transfer = sender };
    GThread *thread = g_thread_new ("send", send_in_thread, &sending);
    g_autoptr (GError) error = NULL;
    CwTransferFigures sent, received;

    cw_v1_receive (f->ours, offer, inbox, -1, f->transfer, NULL, ret_paths, &error);
    g_assert_no_error (error);
    g_thread_join (thread);
    if (sender_code < 0)
        g_assert_no_error (sending.error);
    else
        g_assert_error (sending.error, CW_DROP_ERROR, sender_code);
    g_clear_error (&sending.error);

    cw_transfer_get_figures (sender, &sent);
    cw_transfer_get_figures (f->transfer, &received);
    g_assert_cmpuint (sent.bytes_total, ==, offer->offer_wire_size);
    g_assert_cmpuint (sent.bytes_done, ==, sent.bytes_total);
    g_assert_cmpuint (received.bytes_total, ==, offer->offer_wire_size);
    g_assert_cmpuint (received.bytes_done, ==, received.bytes_total);
    g_assert_cmpuint (received.files_total, ==, offer->offer->n_files);
    g_assert_cmpuint (received.files_done, ==, received.files_total);
    g_assert_cmpuint (sent.files_total, ==, received.files_total);
    if (ret_failures != NULL)
        *ret_failures = cw_transfer_dup_failures (sender);
}

static void
transfer (Fixture *f,
          const char *const *names,
          GPtrArray **ret_paths,
          int sender_code,
          GPtrArray **ret_failures)
{
    g_autoptr (CwOutgoing) outgoing = open_outgoing (f, names);

    transfer_outgoing (f, outgoing, ret_paths, sender_code, ret_failures);
}

static void
assert_one_path (Fixture *f, GPtrArray *paths, const char *name)
{
    g_autofree char *full = g_build_filename (f->to, name, NULL);

    g_assert_cmpuint (paths->len, ==, 1);
    g_assert_cmpstr (g_ptr_array_index (paths, 0), ==, full);
}

/* --- Both ends --- */

static void
test_file (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "big.bin", NULL };
    /* Not a whole number of blocks, a whole number, one less, one more. */
    static const gsize sizes[]
        = { 3000001, 2 * CW_V1_BLOCK_SIZE, CW_V1_BLOCK_SIZE - 1, CW_V1_BLOCK_SIZE + 1, 1 };

    for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++) {
        g_autofree guint8 *noise = make_noise (sizes[i]);
        g_autofree char *path = put_bytes (f, "big.bin", noise, sizes[i]);
        g_autoptr (GPtrArray) paths = NULL;
        g_autofree char *arrived = NULL;
        gsize len;

        cw_transfer_unref (f->transfer);
        f->transfer = cw_transfer_new ();
        transfer (f, names, &paths, -1, NULL);
        assert_one_path (f, paths, "big.bin");
        g_assert_true (g_file_get_contents (g_ptr_array_index (paths, 0), &arrived, &len, NULL));
        g_assert_cmpmem (arrived, len, noise, sizes[i]);
        g_unlink (g_ptr_array_index (paths, 0));
        assert_nothing_in (f->to);
    }
}

static void
test_empty_file (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "nothing", NULL };
    g_autoptr (GPtrArray) paths = NULL;

    put (f, "nothing", "");
    transfer (f, names, &paths, -1, NULL);
    assert_one_path (f, paths, "nothing");
    assert_arrived (f, "nothing", "");
}

static void
test_folder (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "photos", NULL };
    const struct timespec times[2] = { { OLD_TIME, 0 }, { OLD_TIME, 0 } };
    g_autofree char *script = g_build_filename (f->from, "photos/2024/run.sh", NULL);
    g_autofree char *empty = g_build_filename (f->from, "photos/empty", NULL);
    g_autofree char *arrived = g_build_filename (f->to, "photos/2024/run.sh", NULL);
    g_autofree char *arrived_empty = g_build_filename (f->to, "photos/empty", NULL);
    g_autoptr (GPtrArray) paths = NULL;
    struct stat st;

    put (f, "photos/a.txt", "a");
    put (f, "photos/2024/run.sh", "#!/bin/sh\n");
    put (f, "photos/2024/zero", "");
    put (f, "photos/gr\u00fc\u00dfe", "utf-8");
    g_assert_cmpint (g_mkdir (empty, 0755), ==, 0);
    g_assert_cmpint (g_chmod (script, 0750), ==, 0);
    g_assert_cmpint (utimensat (AT_FDCWD, script, times, 0), ==, 0);

    transfer (f, names, &paths, -1, NULL);
    assert_one_path (f, paths, "photos");
    assert_arrived (f, "photos/a.txt", "a");
    assert_arrived (f, "photos/2024/run.sh", "#!/bin/sh\n");
    assert_arrived (f, "photos/2024/zero", "");
    assert_arrived (f, "photos/gr\u00fc\u00dfe", "utf-8");
    g_assert_cmpint (stat (arrived, &st), ==, 0);
    g_assert_cmpuint (st.st_mode & 0111, ==, 0110);
    g_assert_cmpint (st.st_mtime, ==, OLD_TIME);
    /* As with every v1 client. */
    g_assert_cmpint (stat (arrived_empty, &st), ==, -1);
}

static void
test_empty_folder (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "hollow", NULL };
    g_autofree char *folder = g_build_filename (f->from, "hollow", NULL);
    g_autofree char *arrived = g_build_filename (f->to, "hollow", NULL);
    g_autoptr (GPtrArray) paths = NULL;

    g_assert_cmpint (g_mkdir (folder, 0755), ==, 0);
    transfer (f, names, &paths, -1, NULL);
    assert_one_path (f, paths, "hollow");
    assert_nothing_in (arrived);
}

static void
test_bundle (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "one.txt", "dir", "two.txt", NULL };
    g_autoptr (GPtrArray) paths = NULL;

    put (f, "one.txt", "1");
    put (f, "two.txt", "2");
    put (f, "dir/three.txt", "3");
    transfer (f, names, &paths, -1, NULL);
    assert_one_path (f, paths, "bundle");
    assert_arrived (f, "bundle/one.txt", "1");
    assert_arrived (f, "bundle/two.txt", "2");
    assert_arrived (f, "bundle/dir/three.txt", "3");
}

static void
make_link (Fixture *f, const char *path, const char *target)
{
    g_autofree char *full = g_build_filename (f->from, path, NULL);
    g_autofree char *parent = g_path_get_dirname (full);

    g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
    g_assert_cmpint (symlink (target, full), ==, 0);
}

static void
test_symlinks (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "d", NULL };
    static const char *const inside[][2] = {
        { "d/sub/up", "../file" },    { "d/here", "./file" },
        { "d/chain", "sub/up" },      { "d/via-dir", "to-sub/deep" },
        { "d/round", "sub/../file" }, { "d/sub/far", "../../d/file" },
    };
    static const char *const lost[][2] = {
        { "d/to-sub", "sub" },     { "d/out", "../secret" },
        { "d/absolute", "/file" }, { "d/nowhere", "gone" },
        { "d/loop", "loop" },      { "d/self", "." },
        { "d/through", "file/x" }, { "d/back", "sub/../../secret" },
    };
    g_autoptr (GPtrArray) paths = NULL;
    g_autoptr (GPtrArray) failures = NULL;

    put (f, "secret", "not for you");
    put (f, "d/file", "content");
    put (f, "d/sub/deep", "deeper");
    for (gsize i = 0; i < G_N_ELEMENTS (inside); i++)
        make_link (f, inside[i][0], inside[i][1]);
    for (gsize i = 0; i < G_N_ELEMENTS (lost); i++)
        make_link (f, lost[i][0], lost[i][1]);
    /* "../../d/file" leaves d on its way, though it comes back. */
    transfer (f, names, &paths, CW_DROP_ERROR_INCOMPLETE, &failures);
    assert_arrived (f, "d/file", "content");
    for (gsize i = 0; i < G_N_ELEMENTS (inside) - 1; i++)
        assert_arrived (f, inside[i][0], i == 3 ? "deeper" : "content");
    g_assert_cmpuint (failures->len, ==, G_N_ELEMENTS (lost) + 1);
    for (guint i = 0; i < failures->len; i++) {
        CwTransferFailure *failure = g_ptr_array_index (failures, i);
        g_autofree char *arrived = g_build_filename (f->to, failure->path, NULL);
        g_assert_error (failure->error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_LINK);
        g_assert_false (g_file_test (arrived, G_FILE_TEST_EXISTS));
    }
}

static void
test_odd_names (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "d", NULL };
    g_autoptr (GPtrArray) paths = NULL;

    put (f, "d/back\\slash", "1");
    put (f, "d/back_slash", "2");
    put (f, "d/s/latin-\xfc.txt", "3");
    put (f, "d/s/latin-\xf6.txt", "4");
    transfer (f, names, &paths, -1, NULL);
    assert_arrived (f, "d/back_slash", "2");
    assert_arrived (f, "d/back_slash (2)", "1");
    assert_arrived (f, "d/s/latin-_.txt", "4");
    assert_arrived (f, "d/s/latin-_ (2).txt", "3");
}

static gpointer
fill_pipe (gpointer data)
{
    int fd = GPOINTER_TO_INT (data);
    g_autofree guint8 *noise = make_noise (300000);

    for (gsize at = 0; at < 300000; at += 1000)
        g_assert_cmpint (write (fd, noise + at, 1000), ==, 1000);
    close (fd);
    return NULL;
}

static void
test_pipe (Fixture *f, gconstpointer data)
{
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autoptr (GPtrArray) paths = NULL;
    g_autofree guint8 *noise = make_noise (300000);
    g_autofree char *arrived = NULL;
    GThread *thread;
    int fds[2];
    gsize len;

    g_assert_cmpint (pipe (fds), ==, 0);
    thread = g_thread_new ("fill", fill_pipe, GINT_TO_POINTER (fds[1]));
    outgoing = cw_outgoing_new_stream (fds[0], "stdin.txt");
    transfer_outgoing (f, outgoing, &paths, -1, NULL);
    g_thread_join (thread);
    assert_one_path (f, paths, "stdin.txt");
    g_assert_true (g_file_get_contents (g_ptr_array_index (paths, 0), &arrived, &len, NULL));
    g_assert_cmpmem (arrived, len, noise, 300000);
}

static void
test_pipe_cancelled (Fixture *f, gconstpointer data)
{
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autoptr (GError) error = NULL;
    int fds[2];

    /* Nobody writes and nobody closes. */
    g_assert_cmpint (pipe (fds), ==, 0);
    outgoing = cw_outgoing_new_stream (fds[0], "stdin.txt");
    g_cancellable_cancel (cancellable);
    g_assert_null (cw_v1_source_new (outgoing, "bundle", cancellable, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    close (fds[1]);
}

/* --- The source alone --- */

static void
test_large_sizes (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "d", NULL };
    g_autofree char *path = put_bytes (f, "d/large", "", 0);
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autoptr (CwV1Source) source = NULL;
    g_autoptr (CwV1Message) offer = NULL;
    const guint64 size = G_GUINT64_CONSTANT (5) << 30;

    put (f, "d/small", "x");
    if (truncate (path, (off_t)size) != 0) {
        g_test_skip ("the file system has no files of 5 GiB");
        return;
    }
    outgoing = open_outgoing (f, names);
    source = open_source (outgoing);
    offer = parse_offer (source);
    g_assert_cmpint (offer->offer->size, ==, (gint64)size + 1);
    /* "large": 30 + 5 + 9 + 20, descriptor 24, central 46 + 5 + 9 + 20; "small" after 4 GiB:
     * 30 + 5 + 9, 16, 46 + 5 + 9 + 12; the ends. */
    g_assert_cmpuint (offer->offer_wire_size, ==,
                      size + 1 + (64 + 24 + 80) + (44 + 16 + 72) + (56 + 20 + 22));
}

/* @error and the bytes it gave. */
static guint64
drain (CwV1Source *source, CwTransfer *transfer, GError **error)
{
    g_autofree guint8 *buffer = g_malloc (10000);
    guint64 total = 0;
    size_t n;

    while (cw_v1_source_read (source, buffer, 10000, transfer, &n, error) && n > 0)
        total += n;
    return total;
}

typedef void (*Change) (const char *path);

static void
grow (const char *path)
{
    int fd = g_open (path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);

    g_assert_cmpint (write (fd, "more", 4), ==, 4);
    close (fd);
}

static void
shrink (const char *path)
{
    g_assert_cmpint (truncate (path, 50000), ==, 0);
}

static void
vanish (const char *path)
{
    g_assert_cmpint (g_unlink (path), ==, 0);
}

static void
rewrite (const char *path)
{
    int fd = g_open (path, O_WRONLY | O_CLOEXEC, 0);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
    struct stat st;

    g_assert_cmpint (fstat (fd, &st), ==, 0);
    g_assert_cmpint (pwrite (fd, "other", 5, 90000), ==, 5);
    /* As little later as can be, whatever the clock's step is. */
    times[1] = st.st_mtim;
    times[1].tv_nsec ^= 1;
    g_assert_cmpint (futimens (fd, times), ==, 0);
    close (fd);
}

/* Changes "d/x" of 100,000 bytes before or while it is read. */
static void
assert_change (Fixture *f, const char *name, gboolean early, Change change, int code, int failure)
{
    const char *const names[] = { name, NULL };
    g_autofree guint8 *noise = make_noise (100000);
    g_autofree char *path = put_bytes (f, "d/x", noise, 100000);
    g_autoptr (CwOutgoing) outgoing = open_outgoing (f, names);
    g_autoptr (CwV1Source) source = open_source (outgoing);
    g_autoptr (CwTransfer) transfer = cw_transfer_new ();
    g_autoptr (GPtrArray) failures = NULL;
    g_autoptr (GError) error = NULL;
    guint64 given = 0;
    guint8 some[1000];
    size_t n = 0;

    if (!early)
        g_assert_true (cw_v1_source_read (source, some, sizeof some, transfer, &n, NULL));
    change (path);
    given = n + drain (source, transfer, &error);
    if (code >= 0)
        g_assert_error (error, CW_DROP_ERROR, code);
    else
        g_assert_no_error (error);
    g_assert_true ((given == cw_v1_source_get_wire_size (source)) == (code < 0));
    failures = cw_transfer_dup_failures (transfer);
    g_assert_cmpuint (failures->len, ==, failure >= 0);
    if (failure >= 0)
        g_assert_error (((CwTransferFailure *)g_ptr_array_index (failures, 0))->error,
                        CW_DROP_ERROR, failure);
}

static void
test_changes (Fixture *f, gconstpointer data)
{
    const int changed = CW_DROP_ERROR_SOURCE_CHANGED;

    assert_change (f, "d/x", TRUE, grow, changed, -1);
    assert_change (f, "d/x", FALSE, grow, changed, -1);
    assert_change (f, "d/x", TRUE, shrink, changed, -1);
    assert_change (f, "d/x", FALSE, shrink, changed, -1);
    assert_change (f, "d/x", FALSE, rewrite, changed, -1);
    assert_change (f, "d/x", TRUE, vanish, CW_DROP_ERROR_SOURCE_UNREADABLE, -1);
    assert_change (f, "d/x", FALSE, vanish, -1, -1);
    assert_change (f, "d/x", TRUE, rewrite, -1, -1);

    assert_change (f, "d", TRUE, grow, -1, changed);
    assert_change (f, "d", FALSE, grow, -1, changed);
    assert_change (f, "d", TRUE, shrink, changed, -1);
    assert_change (f, "d", FALSE, shrink, changed, -1);
    assert_change (f, "d", FALSE, rewrite, -1, changed);
    assert_change (f, "d", TRUE, vanish, CW_DROP_ERROR_SOURCE_UNREADABLE, -1);
}

static void
test_source_changes_the_peer_sees_no_end (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "x", NULL };
    g_autofree guint8 *noise = make_noise (3000000);
    g_autofree char *path = put_bytes (f, "x", noise, 3000000);
    g_autoptr (CwOutgoing) outgoing = open_outgoing (f, names);
    g_autoptr (CwV1Source) source = open_source (outgoing);
    g_autoptr (CwV1Message) offer = parse_offer (source);
    g_autoptr (CwInbox) inbox = cw_inbox_open (f->to, NULL, NULL);
    g_autoptr (CwTransfer) sender = cw_transfer_new ();
    g_autoptr (GPtrArray) paths = NULL;
    g_autoptr (GError) error = NULL;
    Sending sending = { .f = f, .source = source, .transfer = sender };

    g_assert_cmpint (truncate (path, 2500000), ==, 0);
    send_in_thread (&sending);
    g_assert_error (sending.error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
    g_clear_error (&sending.error);
    g_io_stream_close (f->theirs, NULL, NULL);
    g_assert_false (cw_v1_receive (f->ours, offer, inbox, -1, f->transfer, NULL, &paths, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
    g_clear_pointer (&inbox, cw_inbox_free);
    assert_nothing_in (f->to);
}

/* --- Receivers that are not ours --- */

typedef struct {
    GIOStream *stream;
    gsize n_read;    /* so many, then... */
    const char *ack; /* this, NULL: nothing */
    gboolean close;
    GCancellable *cancel;
} Receiver;

static gpointer
receive_in_thread (gpointer data)
{
    Receiver *receiver = data;
    g_autofree char *buffer = g_malloc (receiver->n_read + 1);

    g_input_stream_read_all (g_io_stream_get_input_stream (receiver->stream), buffer,
                             receiver->n_read, NULL, NULL, NULL);
    if (receiver->ack != NULL)
        g_output_stream_write_all (g_io_stream_get_output_stream (receiver->stream), receiver->ack,
                                   strlen (receiver->ack), NULL, NULL, NULL);
    if (receiver->close)
        g_io_stream_close (receiver->stream, NULL, NULL);
    if (receiver->cancel != NULL)
        g_cancellable_cancel (receiver->cancel);
    return NULL;
}

static void
assert_sending (Fixture *f, gsize size, Receiver *receiver, GQuark domain, int code)
{
    const char *const names[] = { "x", NULL };
    g_autofree guint8 *noise = make_noise (size);
    g_autofree char *path = put_bytes (f, "x", noise, size);
    g_autoptr (CwOutgoing) outgoing = open_outgoing (f, names);
    g_autoptr (CwV1Source) source = open_source (outgoing);
    g_autoptr (GError) error = NULL;
    GThread *thread;

    receiver->stream = f->theirs;
    thread = g_thread_new ("receive", receive_in_thread, receiver);
    cw_v1_send (f->ours, source, f->transfer, receiver->cancel, &error);
    g_thread_join (thread);
    if (domain != 0)
        g_assert_error (error, domain, code);
    else
        g_assert_no_error (error);
}

static void
test_ack_without_hash (Fixture *f, gconstpointer data)
{
    assert_sending (f, 100000, &(Receiver){ .n_read = 100000, .ack = "{\"ack\": \"ok\"}" }, 0, 0);
}

static void
test_wrong_hash (Fixture *f, gconstpointer data)
{
    assert_sending (f, 100000,
                    &(Receiver){ .n_read = 100000, .ack = "{\"ack\": \"ok\", \"sha256\": \"00\"}" },
                    CW_DROP_ERROR, CW_DROP_ERROR_VERIFY);
}

static void
test_nack (Fixture *f, gconstpointer data)
{
    assert_sending (f, 100000, &(Receiver){ .n_read = 100000, .ack = "{\"ack\": \"disk full\"}" },
                    CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED);
}

static void
test_strange_ack (Fixture *f, gconstpointer data)
{
    assert_sending (f, 10, &(Receiver){ .n_read = 10, .ack = "thanks" }, CW_DROP_ERROR,
                    CW_DROP_ERROR_PROTOCOL);
}

static void
test_end_before_ack (Fixture *f, gconstpointer data)
{
    assert_sending (f, 100000, &(Receiver){ .n_read = 100000, .close = TRUE }, CW_DROP_ERROR,
                    CW_DROP_ERROR_PEER_LOST);
}

/* What wormhole-william does with an empty file. */
static void
test_end_before_ack_of_nothing (Fixture *f, gconstpointer data)
{
    assert_sending (f, 0, &(Receiver){ .close = TRUE }, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
}

static void
test_end_while_sending (Fixture *f, gconstpointer data)
{
    assert_sending (f, 8000000, &(Receiver){ .n_read = 1000, .close = TRUE }, CW_DROP_ERROR,
                    CW_DROP_ERROR_PEER_LOST);
}

static void
test_cancel_while_sending (Fixture *f, gconstpointer data)
{
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();

    assert_sending (f, 8000000, &(Receiver){ .n_read = 1000, .cancel = cancellable }, G_IO_ERROR,
                    G_IO_ERROR_CANCELLED);
}

static void
test_cancel_while_waiting (Fixture *f, gconstpointer data)
{
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();

    assert_sending (f, 1000, &(Receiver){ .n_read = 1000, .cancel = cancellable }, G_IO_ERROR,
                    G_IO_ERROR_CANCELLED);
}

/* --- A receiver that is silent: a stream whose reads time out at once --- */

typedef struct {
    GInputStream parent;
    int n_timeouts;
} SilentInput;
typedef GInputStreamClass SilentInputClass;

static GType silent_input_get_type (void);
G_DEFINE_TYPE (SilentInput, silent_input, G_TYPE_INPUT_STREAM)

static gssize
silent_input_read (
    GInputStream *stream, void *buffer, gsize len, GCancellable *cancellable, GError **error)
{
    SilentInput *self = (SilentInput *)stream;
    const char *ack = "{\"ack\":\"ok\"}";

    if (self->n_timeouts-- > 0) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "nothing came");
        return -1;
    }
    g_assert_cmpuint (len, >=, 65536);
    memcpy (buffer, ack, strlen (ack));
    return (gssize)strlen (ack);
}

static void
silent_input_class_init (SilentInputClass *class)
{
    class->read_fn = silent_input_read;
}

static void
silent_input_init (SilentInput *self)
{
}

static void
assert_silence (Fixture *f, const char *name, int n_timeouts, int code)
{
    const char *const names[] = { name, NULL };
    g_autoptr (CwOutgoing) outgoing = open_outgoing (f, names);
    g_autoptr (CwV1Source) source = open_source (outgoing);
    g_autoptr (GInputStream) input = g_object_new (silent_input_get_type (), NULL);
    g_autoptr (GOutputStream) output = g_memory_output_stream_new_resizable ();
    g_autoptr (GIOStream) stream = g_simple_io_stream_new (input, output);
    g_autoptr (GError) error = NULL;

    ((SilentInput *)input)->n_timeouts = n_timeouts;
    cw_v1_send (stream, source, f->transfer, NULL, &error);
    if (code >= 0)
        g_assert_error (error, CW_DROP_ERROR, code);
    else
        g_assert_no_error (error);
    g_assert_cmpuint (g_memory_output_stream_get_data_size (G_MEMORY_OUTPUT_STREAM (output)), ==,
                      cw_v1_source_get_wire_size (source));
}

static void
test_silence (Fixture *f, gconstpointer data)
{
    put (f, "x", "x");
    for (int i = 0; i < 6000; i++) {
        g_autofree char *name = g_strdup_printf ("many/%d", i);
        put (f, name, "");
    }
    /* One file: the stream's limit is the limit. Many: they have to be unpacked there. */
    assert_silence (f, "x", 0, -1);
    assert_silence (f, "x", 1, CW_DROP_ERROR_PEER_LOST);
    assert_silence (f, "many", 3, -1);

    g_assert_cmpuint (cw_v1_ack_patience_s (FALSE, 1000, 1), ==, 0);
    g_assert_cmpuint (cw_v1_ack_patience_s (FALSE, 1000000000, 1), ==, 100);
    g_assert_cmpuint (cw_v1_ack_patience_s (TRUE, 1000000000, 100000), ==, 1100);
    g_assert_cmpuint (cw_v1_ack_patience_s (TRUE, G_MAXUINT64, G_MAXUINT64), ==, 3600);
}

/* --- Senders that are not ours --- */

typedef struct {
    GIOStream *stream;
    const guint8 *data;
    gsize len;
    gboolean close; /* else what comes back is read */
    char back[1000];
    GCancellable *cancel;
} Sender;

static gpointer
write_in_thread (gpointer data)
{
    Sender *sender = data;

    g_output_stream_write_all (g_io_stream_get_output_stream (sender->stream), sender->data,
                               sender->len, NULL, NULL, NULL);
    if (sender->cancel != NULL)
        g_cancellable_cancel (sender->cancel);
    if (sender->close)
        g_io_stream_close (sender->stream, NULL, NULL);
    else if (sender->cancel == NULL)
        g_input_stream_read (g_io_stream_get_input_stream (sender->stream), sender->back,
                             sizeof sender->back - 1, NULL, NULL);
    return NULL;
}

static CwV1Message *
make_offer (CwV1Kind kind, guint64 wire_size, guint64 n_bytes)
{
    g_autoptr (GBytes) bytes = kind == CW_V1_FILE
                                   ? cw_v1_make_file_offer ("x", wire_size)
                                   : cw_v1_make_directory_offer ("x", wire_size, n_bytes, 1);
    gsize len;
    const char *data = g_bytes_get_data (bytes, &len);

    return cw_v1_message_parse (data, len, NULL);
}

/* What our receiver makes of @sender; nothing is left when it fails. */
static void
assert_receiving (Fixture *f, CwV1Message *offer, Sender *sender, GQuark domain, int code)
{
    g_autoptr (CwInbox) inbox = cw_inbox_open (f->to, NULL, NULL);
    g_autoptr (GPtrArray) paths = NULL;
    g_autoptr (GError) error = NULL;
    GThread *thread;

    sender->stream = f->theirs;
    thread = g_thread_new ("send", write_in_thread, sender);
    cw_v1_receive (f->ours, offer, inbox, -1, f->transfer, sender->cancel, &paths, &error);
    /* As the session does; ends a write that nobody reads any more. */
    if (error != NULL)
        g_io_stream_close (f->ours, NULL, NULL);
    g_thread_join (thread);
    g_clear_pointer (&inbox, cw_inbox_free);
    if (domain == 0) {
        g_assert_no_error (error);
        return;
    }
    g_assert_error (error, domain, code);
    g_assert_null (paths);
    assert_nothing_in (f->to);
}

static void
test_receive_early_end (Fixture *f, gconstpointer data)
{
    g_autofree guint8 *noise = make_noise (1000000);
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_FILE, 1000001, 0);

    assert_receiving (f, offer, &(Sender){ .data = noise, .len = 1000000, .close = TRUE },
                      CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
}

static void
test_receive_too_much (Fixture *f, gconstpointer data)
{
    g_autofree guint8 *noise = make_noise (2 * CW_V1_BLOCK_SIZE);
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_FILE, CW_V1_BLOCK_SIZE, 0);

    assert_receiving (f, offer, &(Sender){ .data = noise, .len = 2 * CW_V1_BLOCK_SIZE },
                      CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE);
}

static void
test_receive_acks (Fixture *f, gconstpointer data)
{
    g_autofree guint8 *noise = make_noise (1000000);
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_FILE, 1000000, 0);
    Sender sender = { .data = noise, .len = 1000000 };
    g_autoptr (GError) error = NULL;
    guint8 sha256[32];

    assert_receiving (f, offer, &sender, 0, 0);
    cw_sha256 (noise, 1000000, sha256);
    cw_v1_check_ack (sender.back, strlen (sender.back), sha256, &error);
    g_assert_no_error (error);
}

static void
test_receive_cancelled (Fixture *f, gconstpointer data)
{
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_FILE, 1000000, 0);

    assert_receiving (f, offer,
                      &(Sender){ .data = (const guint8 *)"some", .len = 4, .cancel = cancellable },
                      G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_receive_to_output (Fixture *f, gconstpointer data)
{
    g_autofree guint8 *noise = make_noise (1000000);
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_FILE, 1000000, 0);
    g_autoptr (CwV1Message) directory = make_offer (CW_V1_DIRECTORY, 1000, 1000);
    g_autofree char *path = g_build_filename (f->dir, "output", NULL);
    int fd = g_open (path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    Sender sender = { .stream = f->theirs, .data = noise, .len = 1000000 };
    GThread *thread = g_thread_new ("send", write_in_thread, &sender);
    g_autoptr (GPtrArray) paths = NULL;
    g_autofree char *arrived = NULL;
    g_autoptr (GError) error = NULL;
    gsize len;

    cw_v1_receive (f->ours, offer, NULL, fd, f->transfer, NULL, &paths, &error);
    g_assert_no_error (error);
    g_thread_join (thread);
    g_assert_nonnull (strstr (sender.back, "\"ok\""));
    g_assert_cmpuint (paths->len, ==, 0);
    g_assert_true (g_file_get_contents (path, &arrived, &len, NULL));
    g_assert_cmpmem (arrived, len, noise, 1000000);

    g_assert_false (
        cw_v1_receive (f->ours, directory, NULL, fd, f->transfer, NULL, &paths, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED);
    close (fd);
}

static void
test_receive_to_full_output (Fixture *f, gconstpointer data)
{
    g_autofree guint8 *noise = make_noise (10000000);
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_FILE, 10000000, 0);
    int fd = g_open ("/dev/full", O_WRONLY | O_CLOEXEC, 0);
    Sender sender = { .stream = f->theirs, .data = noise, .len = 10000000 };
    GThread *thread = g_thread_new ("send", write_in_thread, &sender);
    g_autoptr (GPtrArray) paths = NULL;
    g_autoptr (GError) error = NULL;

    cw_v1_receive (f->ours, offer, NULL, fd, f->transfer, NULL, &paths, &error);
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE);
    g_io_stream_close (f->ours, NULL, NULL);
    g_thread_join (thread);
    close (fd);
}

/* A zip of one stored entry; its Unix type may be changed. */
static GByteArray *
make_zip (const char *name, const char *content, guint type)
{
    GByteArray *zip = g_byte_array_new ();
    CwZipFile file = { .name = name, .mode = 0644, .mtime_ns = 0, .size = strlen (content) };
    guint central;

    file.crc32 = cw_zip_crc32 (0, (const guint8 *)content, file.size);
    cw_zip_append_local (zip, &file);
    g_byte_array_append (zip, (const guint8 *)content, (guint)file.size);
    cw_zip_append_descriptor (zip, &file);
    central = zip->len;
    cw_zip_append_central (zip, &file);
    zip->data[central + 41] = (guint8)(type >> 8) | (zip->data[central + 41] & 0x0f);
    cw_zip_append_end (zip, 1, central, zip->len - central);
    return zip;
}

static void
renew_streams (Fixture *f)
{
    int fds[2];

    g_object_unref (f->ours);
    g_object_unref (f->theirs);
    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->ours = make_stream (fds[0]);
    f->theirs = make_stream (fds[1]);
}

/* Takes @zip. The peer is told in an acknowledgement that is not "ok". */
static void
assert_zip_refused (Fixture *f, GByteArray *zip, guint64 n_bytes, int code)
{
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_DIRECTORY, zip->len, n_bytes);
    Sender sender = { .data = zip->data, .len = zip->len };

    assert_receiving (f, offer, &sender, CW_DROP_ERROR, code);
    g_assert_nonnull (strstr (sender.back, "\"failed\""));
    g_assert_nonnull (strstr (sender.back, code == CW_DROP_ERROR_BAD_ARCHIVE
                                               ? "the folder's zip is damaged or not safe"
                                               : "the folder has more in it than was offered"));
    g_byte_array_unref (zip);
    renew_streams (f);
}

static void
test_hostile_zips (Fixture *f, gconstpointer data)
{
    const int bad = CW_DROP_ERROR_BAD_ARCHIVE;
    g_autofree char *many = g_strnfill (3000000, 'm');
    g_autoptr (GByteArray) good = make_zip ("a", "content", S_IFREG);
    GByteArray *damaged = make_zip ("a", "content", S_IFREG);

    assert_zip_refused (f, make_zip ("../a", "x", S_IFREG), 1, bad);
    assert_zip_refused (f, make_zip ("/a", "x", S_IFREG), 1, bad);
    assert_zip_refused (f, make_zip ("a\\..\\b", "x", S_IFREG), 1, bad);
    assert_zip_refused (f, make_zip ("a", "/etc/passwd", S_IFLNK), 11, bad);
    assert_zip_refused (f, make_zip ("a", "", S_IFIFO), 0, bad);
    assert_zip_refused (f, make_zip ("a", many, S_IFREG), 1000000, CW_DROP_ERROR_TOO_LARGE);
    damaged->data[30 + 1 + 9] ^= 1; /* behind header, name and time */
    assert_zip_refused (f, damaged, 7, bad);
    for (guint len = 0; len < good->len; len += 5) {
        GByteArray *cut = g_byte_array_new ();
        g_byte_array_append (cut, good->data, len);
        assert_zip_refused (f, cut, 7, bad);
    }
}

/* Several good entries before the one that is damaged: none of them stays. */
static void
test_damaged_last (Fixture *f, gconstpointer data)
{
    const char *const names[] = { "d", NULL };
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autoptr (CwV1Source) source = NULL;
    g_autoptr (CwV1Message) offer = NULL;
    g_autofree guint8 *zip = NULL;
    guint64 len;
    size_t n;

    put (f, "d/a", "good");
    put (f, "d/sub/b", "better");
    put (f, "d/sub/c", "worst");
    outgoing = open_outgoing (f, names);
    source = open_source (outgoing);
    offer = parse_offer (source);
    len = cw_v1_source_get_wire_size (source);
    zip = g_malloc (len);
    g_assert_true (cw_v1_source_read (source, zip, len, f->transfer, &n, NULL));
    g_assert_cmpuint (n, ==, len);
    *(guint8 *)memmem (zip, len, "worst", 5) = 'W';
    assert_receiving (f, offer, &(Sender){ .data = zip, .len = len }, CW_DROP_ERROR,
                      CW_DROP_ERROR_BAD_ARCHIVE);
}

/* As the zip program and others write them: before what is in the folder. */
static void
test_folder_entries (Fixture *f, gconstpointer data)
{
    static const char *const names[] = { "sub/", "sub/empty/", "sub/file" };
    g_autoptr (GByteArray) zip = g_byte_array_new ();
    g_autoptr (GByteArray) list = g_byte_array_new ();
    g_autoptr (CwV1Message) offer = NULL;
    guint central;

    for (guint i = 0; i < 3; i++) {
        CwZipFile file = { .name = names[i],
                           .mode = 0750,
                           .mtime_ns = (OLD_TIME + i) * G_GINT64_CONSTANT (1000000000),
                           .offset = zip->len };
        cw_zip_append_local (zip, &file);
        cw_zip_append_central (list, &file);
    }
    central = zip->len;
    g_byte_array_append (zip, list->data, list->len);
    cw_zip_append_end (zip, 3, central, list->len);
    offer = make_offer (CW_V1_DIRECTORY, zip->len, 0);
    assert_receiving (f, offer, &(Sender){ .data = zip->data, .len = zip->len }, 0, 0);
    for (guint i = 0; i < 3; i++) {
        g_autofree char *path = g_build_filename (f->to, "x", names[i], NULL);
        struct stat st;
        g_assert_cmpint (stat (path, &st), ==, 0);
        g_assert_true (S_ISDIR (st.st_mode) == (i < 2));
        g_assert_cmpuint (st.st_mode & 0707, ==, 0700);
        g_assert_cmpint (st.st_mtime, ==, OLD_TIME + i);
    }
}

static void
test_receive_folder_early_end (Fixture *f, gconstpointer data)
{
    g_autoptr (GByteArray) zip = make_zip ("a", "content", S_IFREG);
    g_autoptr (CwV1Message) offer = make_offer (CW_V1_DIRECTORY, zip->len, 7);

    assert_receiving (f, offer, &(Sender){ .data = zip->data, .len = zip->len - 1, .close = TRUE },
                      CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
}

static void
test_receive_beyond_the_disk (Fixture *f, gconstpointer data)
{
    g_autoptr (CwV1Message) file = make_offer (CW_V1_FILE, G_MAXINT64, 0);
    g_autoptr (CwV1Message) directory = make_offer (CW_V1_DIRECTORY, G_MAXINT64, G_MAXINT64);
    CwV1Message *offers[] = { file, directory };

    for (int i = 0; i < 2; i++) {
        g_autoptr (CwInbox) inbox = cw_inbox_open (f->to, NULL, NULL);
        g_autoptr (GPtrArray) paths = NULL;
        g_autoptr (GError) error = NULL;
        g_io_stream_close (f->theirs, NULL, NULL);
        g_assert_false (
            cw_v1_receive (f->ours, offers[i], inbox, -1, f->transfer, NULL, &paths, &error));
        /* Or, where space cannot be reserved, the end of the stream. */
        g_assert_true (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE)
                       || g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE)
                       || g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST));
    }
    assert_nothing_in (f->to);
}

#define ADD(path, func) g_test_add ("/v1/" path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    ADD ("file", test_file);
    ADD ("empty-file", test_empty_file);
    ADD ("folder", test_folder);
    ADD ("empty-folder", test_empty_folder);
    ADD ("bundle", test_bundle);
    ADD ("symlinks", test_symlinks);
    ADD ("odd-names", test_odd_names);
    ADD ("pipe", test_pipe);
    ADD ("pipe-cancelled", test_pipe_cancelled);
    ADD ("large-sizes", test_large_sizes);
    ADD ("changes", test_changes);
    ADD ("source-changes", test_source_changes_the_peer_sees_no_end);
    ADD ("ack-without-hash", test_ack_without_hash);
    ADD ("wrong-hash", test_wrong_hash);
    ADD ("nack", test_nack);
    ADD ("strange-ack", test_strange_ack);
    ADD ("end-before-ack", test_end_before_ack);
    ADD ("end-before-ack-of-nothing", test_end_before_ack_of_nothing);
    ADD ("end-while-sending", test_end_while_sending);
    ADD ("cancel-while-sending", test_cancel_while_sending);
    ADD ("cancel-while-waiting", test_cancel_while_waiting);
    ADD ("silence", test_silence);
    ADD ("receive/early-end", test_receive_early_end);
    ADD ("receive/too-much", test_receive_too_much);
    ADD ("receive/acks", test_receive_acks);
    ADD ("receive/cancelled", test_receive_cancelled);
    ADD ("receive/to-output", test_receive_to_output);
    ADD ("receive/to-full-output", test_receive_to_full_output);
    ADD ("receive/hostile-zips", test_hostile_zips);
    ADD ("receive/damaged-last", test_damaged_last);
    ADD ("receive/folder-entries", test_folder_entries);
    ADD ("receive/folder-early-end", test_receive_folder_early_end);
    ADD ("receive/beyond-the-disk", test_receive_beyond_the_disk);
    return g_test_run ();
}
