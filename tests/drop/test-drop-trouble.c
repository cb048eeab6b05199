/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* What goes wrong, from every side: people who cancel, connections that break, disks and sources
 * that fail, peers that lie. */

#include <signal.h>
#include <sys/resource.h>

#include "cw-drop-line-private.h"
#include "cw-drop-wire.h"
#include "drop-fixture.h"

static gboolean
is_slow (void)
{
    return g_strcmp0 (g_getenv ("CW_TEST_SLOW"), "4") == 0;
}

static void
assert_one_failure (CwTransfer *transfer, const char *path, CwDropError code)
{
    g_autoptr (GPtrArray) failures = cw_transfer_dup_failures (transfer);
    const CwTransferFailure *failure;

    g_assert_cmpuint (failures->len, ==, 1);
    failure = g_ptr_array_index (failures, 0);
    g_assert_cmpstr (failure->path, ==, path);
    g_assert_error (failure->error, CW_DROP_ERROR, (int)code);
}

static void
assert_missing (const char *dir, const char *path)
{
    g_autofree char *full = g_build_filename (dir, path, NULL);

    g_assert_false (g_file_test (full, G_FILE_TEST_EXISTS));
}

/* --- Cancelling --- */

static void
cancel_sender (gpointer data)
{
    g_cancellable_cancel (((Fixture *)data)->cancel_sender);
}

static void
cancel_receiver (gpointer data)
{
    g_cancellable_cancel (((Fixture *)data)->cancel_receiver);
}

static void
test_cancel_undecided (Fixture *f, gconstpointer data)
{
    make_file (f->from, "film.mp4", 1000, 1);
    f->cancel_sender = g_cancellable_new ();
    f->on_offered = cancel_sender;
    run (f);
    g_assert_error (f->send_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_CANCELLED);

    f->cancel_receiver = g_cancellable_new ();
    f->on_offered = cancel_receiver;
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_CANCELLED);
    g_assert_error (f->receive_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_cmpuint (count_entries (f->to), ==, 0);
}

/* Before anything: no peer answers, nothing hangs. */
static void
test_cancelled_before (Fixture *f, gconstpointer data)
{
    make_file (f->from, "film.mp4", 1000, 1);
    f->cancel_sender = g_cancellable_new ();
    f->cancel_receiver = g_cancellable_new ();
    g_cancellable_cancel (f->cancel_sender);
    g_cancellable_cancel (f->cancel_receiver);
    run (f);
    g_assert_error (f->send_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_error (f->receive_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

typedef struct {
    Fixture *f;
    GCancellable *cancellable;
    int fd;        /* a pipe's end that is filled first, or -1 */
    guint64 bytes; /* cancel when so many have arrived */
    int over;      /* atomic: too late */
} Canceller;

static gpointer
cancel_later (gpointer data)
{
    Canceller *c = data;
    CwTransferFigures figures = { 0 };

    while (c->fd >= 0 && figures.bytes_done < c->bytes) {
        char bytes[1000] = "";
        if (write (c->fd, bytes, sizeof bytes) < 0)
            break;
        cw_transfer_get_figures (c->f->received, &figures);
    }
    while (figures.bytes_done < c->bytes && !g_atomic_int_get (&c->over)) {
        cw_transfer_get_figures (c->f->received, &figures);
        g_thread_yield ();
    }
    g_cancellable_cancel (c->cancellable);
    return NULL;
}

static GThread *canceller_thread;

static void
start_canceller (gpointer data)
{
    canceller_thread = g_thread_new ("canceller", cancel_later, ((Fixture *)data)->user);
}

/* In the middle of a pipe that has no end. */
static void
cancel_pipe (Fixture *f, gboolean by_sender)
{
    Canceller c = { .f = f, .bytes = 300000 };
    CwOutgoing *outgoing;
    int fds[2];

    g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
    c.fd = fds[1];
    f->outgoing = outgoing = cw_outgoing_new_stream (fds[0], "endless");
    c.cancellable = g_cancellable_new ();
    f->cancel_sender = by_sender ? g_object_ref (c.cancellable) : NULL;
    f->cancel_receiver = by_sender ? NULL : g_object_ref (c.cancellable);
    f->user = &c;
    f->on_accepted = start_canceller;
    run (f);
    g_thread_join (canceller_thread);
    close (fds[1]);
    cw_outgoing_free (outgoing);
    g_object_unref (c.cancellable);
    if (by_sender) {
        g_assert_error (f->send_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_CANCELLED);
    } else {
        g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_CANCELLED);
        g_assert_error (f->receive_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
    assert_missing (f->to, "endless");
}

static void
test_cancel_pipe (Fixture *f, gconstpointer data)
{
    cancel_pipe (f, TRUE);
    cancel_pipe (f, FALSE);
}

static void
make_mixture (Fixture *f)
{
    make_file (f->from, "film.mp4", 5000000, 1);
    for (guint i = 0; i < 300; i++) {
        g_autofree char *path = g_strdup_printf ("album/%u/%03u", i % 7, i);
        make_file (f->from, path, i * 40, i);
    }
    make_file (f->from, "tail", 3000000, 2);
}

/* Whoever cancels, whenever: both end, and the same again completes without what is there already
 * being sent. */
static void
test_cancel_random (Fixture *f, gconstpointer data)
{
    guint rounds = is_slow () ? 6 : 30;

    make_mixture (f);
    for (guint i = 0; i < rounds; i++) {
        Canceller c = { .f = f, .fd = -1 };
        gboolean by_sender = g_test_rand_bit ();
        c.bytes = (guint64)g_test_rand_int_range (0, 9700000);
        c.cancellable = g_cancellable_new ();
        f->cancel_sender = by_sender ? g_object_ref (c.cancellable) : NULL;
        f->cancel_receiver = by_sender ? NULL : g_object_ref (c.cancellable);
        f->user = &c;
        f->on_accepted = start_canceller;
        run (f);
        g_atomic_int_set (&c.over, 1);
        g_thread_join (canceller_thread);
        g_object_unref (c.cancellable);
        if (!f->send_ok || !f->receive_ok) {
            GError *ours = by_sender ? f->send_error : f->receive_error;
            GError *theirs = by_sender ? f->receive_error : f->send_error;
            if (ours != NULL)
                g_assert_error (ours, G_IO_ERROR, G_IO_ERROR_CANCELLED);
            if (theirs != NULL)
                g_assert_error (theirs, CW_DROP_ERROR, CW_DROP_ERROR_PEER_CANCELLED);
        }
        if (!f->receive_ok) {
            run (f);
            assert_both_ok (f);
        }
        assert_arrived (f, FALSE);
        remove_tree (f->to);
        g_mkdir (f->to, 0755);
    }
}

/* --- Breaking and going on --- */

static void
test_cut (Fixture *f, gconstpointer data)
{
    guint rounds = is_slow () ? 8 : 40;
    guint64 all;

    make_mixture (f);
    f->cut_at = -2;
    run (f);
    assert_both_ok (f);
    all = f->passed;
    g_assert_cmpuint (all, >, 9700000);
    for (guint i = 0; i < rounds; i++) {
        CwTransferFigures first, second;
        remove_tree (f->to);
        g_mkdir (f->to, 0755);
        f->cut_at = i == 0 ? (gint64)all - 3 : g_test_rand_int_range (0, (gint32)all - 1);
        g_test_message ("cut at %" G_GINT64_FORMAT, f->cut_at);
        run (f);
        g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
        g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
        cw_transfer_get_figures (f->received, &first);
        f->cut_at = -2;
        run (f);
        assert_both_ok (f);
        assert_arrived (f, FALSE);
        cw_transfer_get_figures (f->received, &second);
        /* All that arrived is kept, and so were not sent again. */
        g_assert_cmpuint (second.bytes_kept, ==, first.bytes_done);
        g_assert_cmpuint (f->passed, <, all - second.bytes_kept + 100000);
        cw_transfer_get_figures (f->sent, &second);
        g_assert_cmpuint (second.bytes_kept, ==, first.bytes_done);
        g_assert_cmpuint (second.bytes_done, ==, second.bytes_total);
    }
}

/* Several breaks in one transfer. */
static void
test_cut_often (Fixture *f, gconstpointer data)
{
    guint64 passed = 0;
    guint n = 0;

    make_mixture (f);
    do {
        f->cut_at = 1000000;
        run (f);
        passed += f->passed;
        g_assert_cmpuint (++n, <, 20);
    } while (!f->send_ok);
    assert_both_ok (f);
    assert_arrived (f, FALSE);
    g_assert_cmpuint (n, >, 9);
    g_assert_cmpuint (passed, <, 11000000);
}

/* What is there is from an older state of the file: the same length, but other bytes. */
static void
test_cut_then_changed (Fixture *f, gconstpointer data)
{
    CwTransferFigures figures;

    make_file (f->from, "film.mp4", 3000000, 1);
    f->cut_at = 2000000;
    run (f);
    g_assert_false (f->receive_ok);
    make_file (f->from, "film.mp4", 3000000, 2);
    run (f);
    assert_both_ok (f);
    assert_arrived (f, FALSE);
    cw_transfer_get_figures (f->received, &figures);
    g_assert_cmpuint (figures.bytes_kept, ==, 0);

    /* Somebody else's is not ours to go on with. */
    remove_tree (f->to);
    g_mkdir (f->to, 0755);
    f->cut_at = 2000000;
    run (f);
    f->sender_id = "somebody else";
    run (f);
    assert_both_ok (f);
    cw_transfer_get_figures (f->received, &figures);
    g_assert_cmpuint (figures.bytes_kept, ==, 0);
}

static void
test_sparse_resume (Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename (f->from, "holes", NULL);
    gint64 all;
    int fd;

    make_file (f->from, "holes", 1000000, 1);
    fd = open (path, O_WRONLY);
    for (int i = 1; i < 20; i++)
        g_assert_cmpint (pwrite (fd, path, 20, i * 1000000), ==, 20);
    g_assert_cmpint (ftruncate (fd, 50000000), ==, 0);
    close (fd);
    f->cut_at = -2;
    run (f);
    all = (gint64) f->passed;
    g_assert_cmpint (all, <, 2000000);
    for (gint64 cut = all - 90000; cut < all; cut += 20000) {
        remove_tree (f->to);
        g_mkdir (f->to, 0755);
        f->cut_at = cut;
        run (f);
        g_assert_false (f->receive_ok);
        f->cut_at = -2;
        run (f);
        assert_both_ok (f);
        assert_arrived (f, FALSE);
        g_assert_cmpuint (f->passed, <, 200000);
    }
}

/* --- Sources --- */

static void
accept_offer (Fixture *f)
{
    cw_decision_accept (f->decision, f->to, f->output_fd);
}

static void
spoil_sources (gpointer data)
{
    Fixture *f = data;
    g_autofree char *gone = g_build_filename (f->from, "in/gone", NULL);
    g_autofree char *link = g_build_filename (f->from, "in/link", NULL);

    g_unlink (gone);
    g_unlink (link);
    make_file (f->from, "in/grown", 2000, 2);
    accept_offer (f);
}

static void
test_source_spoiled (Fixture *f, gconstpointer data)
{
    g_autofree char *link = g_build_filename (f->from, "in/link", NULL);
    g_autofree char *good = g_build_filename (f->from, "in/good", NULL);
    g_autofree char *got = g_build_filename (f->to, "in/good", NULL);
    CwTransfer *transfers[2];
    Compare compare = { 0 };

    make_file (f->from, "in/gone", 1000, 1);
    make_file (f->from, "in/good", 1000, 2);
    make_file (f->from, "in/grown", 1000, 3);
    g_assert_cmpint (symlink ("good", link), ==, 0);
    f->on_offered = spoil_sources;
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    assert_same (good, got, &compare);
    assert_missing (f->to, "in/gone");
    assert_missing (f->to, "in/grown");
    assert_missing (f->to, "in/link");
    g_assert_cmpuint (count_entries (f->to), ==, 1);
    transfers[0] = f->sent;
    transfers[1] = f->received;
    for (int i = 0; i < 2; i++) {
        g_autoptr (GPtrArray) failures = cw_transfer_dup_failures (transfers[i]);
        const CwTransferFailure *const *all = (const CwTransferFailure *const *)failures->pdata;
        g_assert_cmpuint (failures->len, ==, 3);
        g_assert_cmpstr (all[0]->path, ==, "in/gone");
        g_assert_error (all[0]->error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE);
        g_assert_cmpstr (all[1]->path, ==, "in/grown");
        g_assert_error (all[1]->error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
        g_assert_cmpstr (all[2]->path, ==, "in/link");
        g_assert_error (all[2]->error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE);
    }
}

typedef struct {
    Fixture *f;
    int fd;
    gboolean shorten;
} Changer;

static gpointer
change_then_drain (gpointer data)
{
    Changer *c = data;
    g_autofree char *path = g_build_filename (c->f->from, "film.mp4", NULL);
    CwTransferFigures figures = { 0 };
    char bytes[65536];

    /* The receiver is stuck on the full pipe, the sender in the middle of the file. */
    while (figures.bytes_done == 0) {
        cw_transfer_get_figures (c->f->sent, &figures);
        g_thread_yield ();
    }
    g_assert_cmpint (truncate (path, c->shorten ? 19000000 : 20000001), ==, 0);
    while (read (c->fd, bytes, sizeof bytes) > 0)
        ;
    return NULL;
}

static void
start_changer (gpointer data)
{
    canceller_thread = g_thread_new ("changer", change_then_drain, ((Fixture *)data)->user);
}

/* While it is read: it grows, or it shrinks. */
static void
test_source_changes (Fixture *f, gconstpointer data)
{
    for (int i = 0; i < 2; i++) {
        Changer c = { .f = f, .shorten = i > 0 };
        int fds[2];
        make_file (f->from, "film.mp4", 20000000, 1);
        g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
        c.fd = fds[0];
        f->output_fd = fds[1];
        f->user = &c;
        f->on_accepted = start_changer;
        run (f);
        close (fds[1]);
        g_thread_join (canceller_thread);
        close (fds[0]);
        g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
        g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED);
        assert_one_failure (f->sent, "film.mp4", CW_DROP_ERROR_SOURCE_CHANGED);
    }
}

static void
test_left_out (Fixture *f, gconstpointer data)
{
    g_autofree char *fifo = g_build_filename (f->from, "in/fifo", NULL);

    make_file (f->from, "in/good", 1000, 2);
    g_assert_cmpint (mkfifo (fifo, 0644), ==, 0);
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    g_assert_no_error (f->receive_error);
    assert_one_failure (f->sent, "in/fifo", CW_DROP_ERROR_SOURCE_UNREADABLE);
}

/* --- The receiver's disk --- */

/* Too large for it: the sender hears at once and does not send the rest; what follows arrives. */
static void
test_disk_refuses (Fixture *f, gconstpointer data)
{
    g_autofree char *small = g_build_filename (f->from, "z-small", NULL);
    g_autofree char *got = g_build_filename (f->to, "z-small", NULL);
    struct rlimit limit, unlimited;
    Compare compare = { 0 };

    make_file (f->from, "film.mp4", 60000000, 1);
    make_file (f->from, "z-small", 1000, 2);
    g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &unlimited), ==, 0);
    limit = unlimited;
    limit.rlim_cur = 1000000;
    g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
    f->cut_at = -2;
    run (f);
    setrlimit (RLIMIT_FSIZE, &unlimited);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    assert_one_failure (f->sent, "film.mp4", CW_DROP_ERROR_TOO_LARGE);
    assert_one_failure (f->received, "film.mp4", CW_DROP_ERROR_TOO_LARGE);
    assert_same (small, got, &compare);
    assert_missing (f->to, "film.mp4");
    g_assert_cmpuint (f->passed, <, 20000000);
}

static void
test_output_fails (Fixture *f, gconstpointer data)
{
    int fd = open ("/dev/full", O_WRONLY | O_CLOEXEC);

    make_file (f->from, "film.mp4", 1000, 1);
    f->output_fd = fd;
    run (f);
    close (fd);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE);
}

static void
test_target_gone (Fixture *f, gconstpointer data)
{
    make_file (f->from, "film.mp4", 1000, 1);
    g_rmdir (f->to);
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_TARGET_GONE);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_TARGET_GONE);
}

typedef struct {
    Fixture other;
    Fixture *f;
} Rival;

static void
run_rival (gpointer data)
{
    Rival *rival = ((Fixture *)data)->user;

    /* The same offer into the same folder, while the first one is under way. */
    rival->other.from = rival->f->from;
    run (&rival->other);
}

static void
test_busy (Fixture *f, gconstpointer data)
{
    Rival rival = { .f = f };

    make_file (f->from, "film.mp4", 1000, 1);
    reset_wishes (&rival.other);
    rival.other.to = f->to;
    f->user = &rival;
    f->on_accepted = run_rival;
    run (f);
    assert_both_ok (f);
    g_assert_error (rival.other.send_error, CW_DROP_ERROR, CW_DROP_ERROR_BUSY);
    g_assert_error (rival.other.receive_error, CW_DROP_ERROR, CW_DROP_ERROR_BUSY);
    forget_results (&rival.other);
}

/* --- Damage --- */

static void
test_damaged (Fixture *f, gconstpointer data)
{
    make_file (f->from, "a-film.mp4", 3000000, 1);
    make_file (f->from, "b", 1000, 2);
    f->flip_at = 2000000;
    run (f);
    g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE);
    assert_one_failure (f->sent, "a-film.mp4", CW_DROP_ERROR_VERIFY);
    assert_one_failure (f->received, "a-film.mp4", CW_DROP_ERROR_VERIFY);
    assert_missing (f->to, "a-film.mp4");
    g_assert_cmpuint (count_entries (f->to), ==, 1);
}

/* Anywhere: no wrong content under a right name, and an end. */
static void
test_damaged_anywhere (Fixture *f, gconstpointer data)
{
    guint rounds = is_slow () ? 30 : 150;

    for (guint i = 0; i < 20; i++) {
        g_autofree char *path = g_strdup_printf ("in/%u", i);
        make_file (f->from, path, i * 10, i);
    }
    for (guint i = 0; i < rounds; i++) {
        f->flip_at = g_test_rand_int_range (0, 6000);
        run (f);
        for (guint k = 0; k < 20; k++) {
            g_autofree char *name = g_strdup_printf ("in/%u", k);
            g_autofree char *a = g_build_filename (f->from, name, NULL);
            g_autofree char *b = g_build_filename (f->to, name, NULL);
            struct stat sa, sb;
            g_assert_cmpint (stat (a, &sa), ==, 0);
            /* A damaged name may be another file's; the link is authentic, this is not a lie. */
            if (stat (b, &sb) == 0 && sb.st_size == sa.st_size)
                assert_same_content (a, b, sa.st_size);
        }
        remove_tree (f->to);
        g_mkdir (f->to, 0755);
    }
}

/* --- Raw peers --- */

typedef struct {
    int fd;
    const char *bytes;
    gsize len;
    gboolean keep_open; /* until the engine closes */
    GString *got;
} Raw;

static gpointer
write_raw (gpointer data)
{
    Raw *raw = data;

    for (gsize at = 0; at < raw->len;) {
        ssize_t n = send (raw->fd, raw->bytes + at, raw->len - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (gsize)n;
    }
    if (!raw->keep_open)
        shutdown (raw->fd, SHUT_WR);
    return NULL;
}

static gpointer
read_raw (gpointer data)
{
    Raw *raw = data;
    char bytes[4096];
    ssize_t n;

    while ((n = read (raw->fd, bytes, sizeof bytes)) > 0)
        g_string_append_len (raw->got, bytes, n);
    return NULL;
}

/* Our receiver against @bytes; what it answered. */
static char *
feed_receiver (Fixture *f, const char *bytes, gsize len)
{
    Raw raw = { .bytes = bytes, .len = len, .got = g_string_new (NULL) };
    GThread *threads[3];
    int fds[2];

    prepare (f);
    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->receiver_stream = wrap_socket (fds[0]);
    raw.fd = fds[1];
    threads[0] = g_thread_new ("raw", write_raw, &raw);
    threads[1] = g_thread_new ("read", read_raw, &raw);
    threads[2] = g_thread_new ("receiver", run_receiver, f);
    for (int i = 0; i < 3; i++)
        g_thread_join (threads[i]);
    close (raw.fd);
    reset_wishes (f);
    return g_string_free (raw.got, FALSE);
}

/* Our sender against @bytes; what it sent. */
static char *
feed_sender (Fixture *f, const char *bytes, gsize len)
{
    Raw raw = { .bytes = bytes, .len = len, .got = g_string_new (NULL) };
    g_autoptr (CwOutgoing) outgoing = walk (f->from);
    GThread *threads[3];
    int fds[2];

    prepare (f);
    f->outgoing = outgoing;
    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->sender_stream = wrap_socket (fds[0]);
    raw.fd = fds[1];
    threads[0] = g_thread_new ("sender", run_sender, f);
    threads[1] = g_thread_new ("raw", write_raw, &raw);
    threads[2] = g_thread_new ("read", read_raw, &raw);
    for (int i = 0; i < 3; i++)
        g_thread_join (threads[i]);
    close (raw.fd);
    reset_wishes (f);
    return g_string_free (raw.got, FALSE);
}

static const char accept_answer[] = "HTTP/1.1 102 Processing\r\n\r\n"
                                    "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n"
                                    "{\"decision\":\"accept\",\"resume\":false}";

static void
make_little (Fixture *f)
{
    make_file (f->from, "in/a", 30, 1);
    make_file (f->from, "in/b", 0, 2);
}

/* Every truncation of a whole session, from either side. */
static void
test_truncated (Fixture *f, gconstpointer data)
{
    g_autoptr (GByteArray) requests = g_byte_array_new ();
    g_autoptr (GByteArray) answers = g_byte_array_new ();
    gsize step = is_slow () ? 13 : 1;

    make_little (f);
    f->record[0] = requests;
    f->record[1] = answers;
    f->cut_at = -2;
    run (f);
    assert_both_ok (f);
    for (gsize len = 0; len < answers->len; len += step) {
        g_free (feed_sender (f, (const char *)answers->data, len));
        g_assert_error (f->send_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
    }
    remove_tree (f->to);
    g_mkdir (f->to, 0755);
    for (gsize len = 0; len < requests->len; len += step) {
        g_free (feed_receiver (f, (const char *)requests->data, len));
        g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
    }
    g_free (feed_receiver (f, (const char *)requests->data, requests->len));
    g_assert_no_error (f->receive_error);
    assert_arrived (f, FALSE);
}

static void
assert_sender_fails (Fixture *f, const char *answers, CwDropError code)
{
    g_free (feed_sender (f, answers, strlen (answers)));
    if (!g_error_matches (f->send_error, CW_DROP_ERROR, (int)code))
        g_test_message ("answers: %s", answers);
    g_assert_error (f->send_error, CW_DROP_ERROR, (int)code);
}

static void
test_lying_receiver (Fixture *f, gconstpointer data)
{
    g_autofree char *twice = g_strconcat (accept_answer, accept_answer, NULL);
    g_autofree char *large
        = g_strconcat (accept_answer, "HTTP/1.1 500 No\r\nContent-Length: 65537\r\n\r\n", NULL);
    g_autofree char *many = g_strnfill (20000, 'x');

    make_little (f);
    assert_sender_fails (f, "\r\n", CW_DROP_ERROR_PEER_LOST);
    assert_sender_fails (f, "hello\r\n\r\n", CW_DROP_ERROR_PROTOCOL);
    assert_sender_fails (f, "HTTP/1.0 200 OK\r\n\r\n", CW_DROP_ERROR_PROTOCOL);
    assert_sender_fails (f, "HTTP/1.1 200 OK\r\n\r\n", CW_DROP_ERROR_PROTOCOL);
    assert_sender_fails (f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                         CW_DROP_ERROR_PROTOCOL);
    assert_sender_fails (f, "HTTP/1.1 404 No\r\n\r\n", CW_DROP_ERROR_PEER_FAILED);
    assert_sender_fails (f, many, CW_DROP_ERROR_PROTOCOL);
    assert_sender_fails (f, large, CW_DROP_ERROR_PROTOCOL);
    /* The second one answers the folder, and then nothing comes. */
    assert_sender_fails (f, twice, CW_DROP_ERROR_PEER_LOST);
    assert_sender_fails (f,
                         "HTTP/1.1 507 No\r\nContent-Length: 40\r\n\r\n"
                         "{\"error\":\"no-space\",\"message\":\"is full\"}",
                         CW_DROP_ERROR_NO_SPACE);
}

#define HELLO_OFFER(json) "drop/1\r\nPOST /offer HTTP/1.1\r\nContent-Length: " json

/* Offers file "a" of 10 bytes and folder "d" with one file of 10 and one folder inside. */
#define OFFER                                                                                      \
    HELLO_OFFER ("131\r\n\r\n")                                                                    \
    "{\"version\":1,\"folders\":2,\"items\":[{\"kind\":\"file\",\"name\":\"a\",\"size\":10,"       \
    "\"files\":1},{\"kind\":\"folder\",\"name\":\"d\",\"size\":10,\"files\":1}]}"
#define PUT_FILE(path, headers, content)                                                           \
    "PUT /items/" path " HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"                   \
    "Transfer-Encoding: chunked\r\n" headers "\r\n" content
#define STOPPED "0\r\nDrop-End: unreadable\r\n\r\n"
#define PUT_FOLDER(path)                                                                           \
    "PUT /items/" path " HTTP/1.1\r\nContent-Type: inode/directory\r\nContent-Length: 0\r\n\r\n"
#define DONE "POST /done HTTP/1.1\r\n\r\n"

static void
assert_receiver (Fixture *f, const char *session, CwDropError code, const char *answer)
{
    g_autofree char *answers = feed_receiver (f, session, strlen (session));

    g_assert_false (f->receive_ok);
    if (!g_error_matches (f->receive_error, CW_DROP_ERROR, (int)code)
        || (answer != NULL && strstr (answers, answer) == NULL))
        g_test_message ("%s\ngave: %s\n%s", session, f->receive_error->message, answers);
    g_assert_error (f->receive_error, CW_DROP_ERROR, (int)code);
    if (answer != NULL)
        g_assert_nonnull (strstr (answers, answer));
}

static void
test_lying_sender (Fixture *f, gconstpointer data)
{
    g_autofree char *long_head = g_strnfill (20000, 'x');
    g_autofree char *long_request = g_strconcat ("drop/1\r\nPUT ", long_head, NULL);

    /* Not our protocol, or not in its order. */
    assert_receiver (f, "share/1\r\n", CW_DROP_ERROR_PROTOCOL, NULL);
    assert_receiver (f, "drop/2\r\n", CW_DROP_ERROR_PROTOCOL, "400 ");
    assert_receiver (f, long_request, CW_DROP_ERROR_PROTOCOL, "Connection: close");
    assert_receiver (f, "drop/1\r\n" DONE, CW_DROP_ERROR_PROTOCOL, "\"protocol\"");
    assert_receiver (f, OFFER OFFER, CW_DROP_ERROR_PROTOCOL, NULL);
    assert_receiver (f, HELLO_OFFER ("5000000\r\n\r\n"), CW_DROP_ERROR_PROTOCOL, "400 ");
    assert_receiver (f, HELLO_OFFER ("2\r\n\r\n{}"), CW_DROP_ERROR_PROTOCOL, "400 ");
    assert_receiver (f, HELLO_OFFER ("13\r\n\r\n{\"version\":9}"), CW_DROP_ERROR_UNSUPPORTED,
                     "415 ");
}

static void
assert_items (Fixture *f, const char *items, CwDropError code, const char *answer)
{
    g_autofree char *session = g_strconcat (OFFER, items, NULL);

    remove_tree (f->to);
    g_mkdir (f->to, 0755);
    assert_receiver (f, session, code, answer);
}

static void
test_lying_items (Fixture *f, gconstpointer data)
{
    /* What was not offered. */
    assert_items (f, PUT_FILE ("b", "Drop-Size: 1\r\n", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE,
                  "413 ");
    assert_items (f, PUT_FILE ("d", "Drop-Size: 1\r\n", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE,
                  "422 ");
    assert_items (f, PUT_FILE ("a/b", "Drop-Size: 1\r\n", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE,
                  "422 ");
    assert_items (f, PUT_FOLDER ("a") DONE, CW_DROP_ERROR_INCOMPLETE, "422 ");
    assert_items (f, PUT_FILE ("a", "", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE, "413 ");
    assert_items (f, PUT_FILE ("a", "Drop-Size: 21\r\n", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE,
                  "413 ");
    assert_items (f, PUT_FOLDER ("d") PUT_FOLDER ("d/e") PUT_FOLDER ("d/f") DONE,
                  CW_DROP_ERROR_INCOMPLETE, "more folders");
    assert_items (f,
                  PUT_FILE ("a", "Drop-Size: 1\r\n", STOPPED)
                      PUT_FILE ("d/a", "Drop-Size: 1\r\n", STOPPED)
                          PUT_FILE ("d/b", "Drop-Size: 1\r\n", STOPPED) DONE,
                  CW_DROP_ERROR_INCOMPLETE, "more files");
    assert_items (f, PUT_FILE ("a", "Drop-Size: 3\r\n", "4\r\nabcd\r\n" STOPPED) DONE,
                  CW_DROP_ERROR_INCOMPLETE, "more bytes of a file");
    /* Names that are none; the rest goes on. */
    assert_items (f, PUT_FILE ("%00", "Drop-Size: 1\r\n", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE,
                  "bad-name");
    assert_items (f, PUT_FILE ("d%2fa", "Drop-Size: 1\r\n", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE,
                  "bad-name");
    assert_items (f, PUT_FILE ("d//a", "Drop-Size: 1\r\n", STOPPED) DONE, CW_DROP_ERROR_INCOMPLETE,
                  "bad-name");
    /* Content where it cannot be, kept where nothing is, verified against nothing. */
    assert_items (f,
                  PUT_FILE ("a", "Drop-Size: 10\r\n", "2\r\nab\r\n2;at=1\r\nab\r\n" STOPPED) DONE,
                  CW_DROP_ERROR_INCOMPLETE, "cannot be");
    assert_items (f, PUT_FILE ("a", "Drop-Size: 10\r\nDrop-Keep: 5\r\n", STOPPED) DONE,
                  CW_DROP_ERROR_INCOMPLETE, "500 ");
    assert_items (f,
                  PUT_FILE ("a", "Drop-Size: 2\r\n",
                            "2\r\nab\r\n0\r\nDrop-End: complete\r\nDrop-Size: 2\r\nDrop-Digest: "
                            "xxh3-128=:AAAAAAAAAAAAAAAAAAAAAA==:\r\n\r\n") DONE,
                  CW_DROP_ERROR_INCOMPLETE, "\"verify\"");
    /* Framing that cannot be trusted ends everything. */
    assert_items (f, PUT_FILE ("a", "Drop-Size: 10\r\n", "zz\r\n"), CW_DROP_ERROR_PROTOCOL, "400 ");
    assert_items (f, PUT_FILE ("a", "Drop-Size: 10\r\n", "2\r\nabc\r\n"), CW_DROP_ERROR_PROTOCOL,
                  "400 ");
    assert_items (f, PUT_FILE ("a", "Drop-Size: 10\r\n", "ffffffffffffffff\r\n"),
                  CW_DROP_ERROR_PROTOCOL, "400 ");
    assert_items (f, PUT_FILE ("a", "Content-Length: 10\r\n", STOPPED), CW_DROP_ERROR_PROTOCOL,
                  "400 ");
    assert_items (f, PUT_FILE ("a", "Drop-Size: 10\r\n", "0\r\n\r\n"), CW_DROP_ERROR_PROTOCOL,
                  "400 ");
    /* Done before all is there. */
    assert_items (f, PUT_FOLDER ("d") DONE, CW_DROP_ERROR_INCOMPLETE, "\"delivered\":0");
}

/* --- Silence --- */

static void
read_until (int fd, GString *got, const char *mark)
{
    char byte;

    while (strstr (got->str, mark) == NULL) {
        g_assert_cmpint (read (fd, &byte, 1), ==, 1);
        g_string_append_c (got, byte);
    }
}

static void
say (int fd, const char *text)
{
    g_assert_cmpint (send (fd, text, strlen (text), MSG_NOSIGNAL), ==, (ssize_t)strlen (text));
}

static void
never_decide (gpointer data)
{
}

/* Each side shows that it is alive while it owes nothing but time. */
static void
test_alive_receiver (Fixture *f, gconstpointer data)
{
    g_autoptr (GString) got = g_string_new (NULL);
    GThread *thread;
    int fds[2];

    cw_drop_line_set_alive_ms (20);
    prepare (f);
    f->on_offered = never_decide;
    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->receiver_stream = wrap_socket (fds[0]);
    thread = g_thread_new ("receiver", run_receiver, f);
    say (fds[1], OFFER);
    read_until (fds[1], got, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    say (fds[1], "\r\n\r\n");
    cw_decision_accept (f->decision, f->to, -1);
    read_until (fds[1], got, "HTTP/1.1 200 OK\r\n");
    close (fds[1]);
    g_thread_join (thread);
    g_assert_error (f->receive_error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST);
    cw_drop_line_set_alive_ms (CW_DROP_ALIVE_SECONDS * 1000);
}

static void
test_alive_sender (Fixture *f, gconstpointer data)
{
    g_autoptr (GString) got = g_string_new (NULL);
    g_autoptr (CwOutgoing) outgoing = NULL;
    GThread *thread;
    int fds[2], source[2];

    cw_drop_line_set_alive_ms (20);
    g_assert_cmpint (pipe2 (source, O_CLOEXEC), ==, 0);
    outgoing = cw_outgoing_new_stream (source[0], "input");
    prepare (f);
    f->outgoing = outgoing;
    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->sender_stream = wrap_socket (fds[0]);
    thread = g_thread_new ("sender", run_sender, f);
    read_until (fds[1], got, "}\r\n\r\n");
    say (fds[1], accept_answer);
    read_until (fds[1], got, "1;idle\r\n.\r\n1;idle\r\n.\r\n");
    g_assert_cmpint (write (source[1], "x", 1), ==, 1);
    read_until (fds[1], got, "00000001\r\nx\r\n");
    close (source[1]);
    read_until (fds[1], got, "Drop-End: complete");
    say (fds[1], "HTTP/1.1 204 No Content\r\n\r\n");
    read_until (fds[1], got, "POST /done HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n\r\n\r\n");
    say (fds[1], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    g_thread_join (thread);
    close (fds[1]);
    g_assert_no_error (f->send_error);
    cw_drop_line_set_alive_ms (CW_DROP_ALIVE_SECONDS * 1000);
    reset_wishes (f);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
    signal (SIGXFSZ, SIG_IGN);
    signal (SIGPIPE, SIG_IGN);
    g_test_init (&argc, &argv, NULL);
    ADD ("/drop-trouble/cancel/undecided", test_cancel_undecided);
    ADD ("/drop-trouble/cancel/before", test_cancelled_before);
    ADD ("/drop-trouble/cancel/pipe", test_cancel_pipe);
    ADD ("/drop-trouble/cancel/random", test_cancel_random);
    ADD ("/drop-trouble/cut", test_cut);
    ADD ("/drop-trouble/cut/often", test_cut_often);
    ADD ("/drop-trouble/cut/changed", test_cut_then_changed);
    ADD ("/drop-trouble/cut/sparse", test_sparse_resume);
    ADD ("/drop-trouble/source/spoiled", test_source_spoiled);
    ADD ("/drop-trouble/source/changes", test_source_changes);
    ADD ("/drop-trouble/source/left-out", test_left_out);
    ADD ("/drop-trouble/target/refuses", test_disk_refuses);
    ADD ("/drop-trouble/target/output", test_output_fails);
    ADD ("/drop-trouble/target/gone", test_target_gone);
    ADD ("/drop-trouble/target/busy", test_busy);
    ADD ("/drop-trouble/damaged", test_damaged);
    ADD ("/drop-trouble/damaged/anywhere", test_damaged_anywhere);
    ADD ("/drop-trouble/truncated", test_truncated);
    ADD ("/drop-trouble/lying/receiver", test_lying_receiver);
    ADD ("/drop-trouble/lying/sender", test_lying_sender);
    ADD ("/drop-trouble/lying/items", test_lying_items);
    ADD ("/drop-trouble/alive/receiver", test_alive_receiver);
    ADD ("/drop-trouble/alive/sender", test_alive_sender);
    return g_test_run ();
}
