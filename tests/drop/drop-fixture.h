/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Two engines of drop/1 in one process, each on a thread, over a socket pair or through a proxy
 * that damages what passes; folders to send from and to receive into; comparing them. */

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-drop.h"

/* --- Folders --- */

G_GNUC_UNUSED static void
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

/* A file of @size bytes that differ from those of every other @seed. */
G_GNUC_UNUSED static void
make_file (const char *dir, const char *path, gsize size, guint32 seed)
{
    g_autofree char *full = g_build_filename (dir, path, NULL);
    g_autofree char *parent = g_path_get_dirname (full);
    g_autofree guint8 *content = g_malloc (size + 4);
    guint32 state = seed * 2654435761u + 1;

    for (gsize i = 0; i < size; i += 4) {
        state = state * 1664525u + 1013904223u;
        memcpy (content + i, &state, 4);
    }
    g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
    g_assert_true (g_file_set_contents_full (full, (char *)content, (gssize)size,
                                             G_FILE_SET_CONTENTS_NONE, 0644, NULL));
}

typedef struct {
    gboolean metadata; /* compare modes and times too */
    guint64 n_items;
} Compare;

G_GNUC_UNUSED static void
assert_same_content (const char *a, const char *b, gint64 size)
{
    int fds[2] = { open (a, O_RDONLY), open (b, O_RDONLY) };
    g_autofree char *blocks = g_malloc (2 << 20);
    off_t at = 0;

    g_assert_cmpint (fds[0], >=, 0);
    g_assert_cmpint (fds[1], >=, 0);
    while (at < size) {
        /* Holes of both are skipped: sparse files of terabytes are compared at once. */
        off_t data_a = lseek (fds[0], at, SEEK_DATA), data_b = lseek (fds[1], at, SEEK_DATA);
        ssize_t n, m;
        if (data_a < 0)
            data_a = size;
        if (data_b < 0)
            data_b = size;
        at = MIN (data_a, data_b);
        n = pread (fds[0], blocks, 1 << 20, at);
        m = pread (fds[1], blocks + (1 << 20), 1 << 20, at);
        g_assert_cmpint (n, ==, m);
        if (memcmp (blocks, blocks + (1 << 20), (size_t)n) != 0)
            g_error ("%s and %s differ within %zd bytes at %" G_GINT64_FORMAT, a, b, n, (gint64)at);
        at += n;
        if (n == 0)
            break;
    }
    close (fds[0]);
    close (fds[1]);
}

G_GNUC_UNUSED static void
assert_same (const char *a, const char *b, Compare *compare)
{
    g_autoptr (GDir) dir = NULL;
    struct stat sa, sb;
    const char *name;
    guint n = 0;

    g_assert_cmpint (lstat (a, &sa), ==, 0);
    if (lstat (b, &sb) != 0)
        g_error ("%s is missing", b);
    compare->n_items++;
    g_assert_cmpuint (sa.st_mode & S_IFMT, ==, sb.st_mode & S_IFMT);
    if (compare->metadata) {
        g_assert_cmpuint (sa.st_mode, ==, sb.st_mode);
        g_assert_cmpint (sa.st_mtim.tv_sec, ==, sb.st_mtim.tv_sec);
        g_assert_cmpint (sa.st_mtim.tv_nsec, ==, sb.st_mtim.tv_nsec);
    }
    if (S_ISLNK (sa.st_mode)) {
        g_autofree char *ta = g_file_read_link (a, NULL);
        g_autofree char *tb = g_file_read_link (b, NULL);
        g_assert_cmpstr (ta, ==, tb);
    } else if (S_ISREG (sa.st_mode)) {
        g_assert_cmpint (sa.st_size, ==, sb.st_size);
        assert_same_content (a, b, sa.st_size);
    } else {
        g_autoptr (GDir) other = g_dir_open (b, 0, NULL);
        dir = g_dir_open (a, 0, NULL);
        while ((name = g_dir_read_name (dir)) != NULL) {
            g_autofree char *ca = g_build_filename (a, name, NULL);
            g_autofree char *cb = g_build_filename (b, name, NULL);
            assert_same (ca, cb, compare);
            n++;
        }
        while (g_dir_read_name (other) != NULL)
            n--;
        g_assert_cmpuint (n, ==, 0);
    }
}

G_GNUC_UNUSED static guint
count_entries (const char *path)
{
    g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
    guint n = 0;

    while (g_dir_read_name (dir) != NULL)
        n++;
    return n;
}

/* --- Streams --- */

static GIOStream *
wrap_socket (int fd)
{
    g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);

    return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

/* Forwards between the engines; changes what the sender sends. */
typedef struct {
    int sender_fd, receiver_fd;
    gint64 cut_at;         /* bytes after which everything is closed; -1: never */
    gint64 flip_at;        /* byte to damage; -1: none */
    guint64 passed;        /* from the sender to the receiver */
    GByteArray *record[2]; /* what passed, forth and back, or NULL */
    GThread *threads[2];
} Proxy;

static gpointer
proxy_forth (gpointer data)
{
    Proxy *proxy = data;
    guint8 bytes[65536];
    ssize_t n;

    while ((n = read (proxy->sender_fd, bytes, sizeof bytes)) > 0) {
        gint64 at = (gint64)proxy->passed;
        if (proxy->flip_at >= at && proxy->flip_at < at + n)
            bytes[proxy->flip_at - at] ^= 0x10;
        if (proxy->cut_at >= 0)
            n = MIN (n, proxy->cut_at - at);
        if (send (proxy->receiver_fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
            break;
        if (proxy->record[0] != NULL)
            g_byte_array_append (proxy->record[0], bytes, (guint)n);
        proxy->passed += (guint64)n;
        if ((gint64)proxy->passed == proxy->cut_at)
            break;
    }
    if (proxy->cut_at >= 0 && (gint64)proxy->passed == proxy->cut_at) {
        shutdown (proxy->sender_fd, SHUT_RDWR);
        shutdown (proxy->receiver_fd, SHUT_RDWR);
    }
    shutdown (proxy->receiver_fd, SHUT_WR);
    return NULL;
}

static gpointer
proxy_back (gpointer data)
{
    Proxy *proxy = data;
    guint8 bytes[65536];
    ssize_t n;

    while ((n = read (proxy->receiver_fd, bytes, sizeof bytes)) > 0) {
        if (send (proxy->sender_fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
            break;
        if (proxy->record[1] != NULL)
            g_byte_array_append (proxy->record[1], bytes, (guint)n);
    }
    shutdown (proxy->sender_fd, SHUT_WR);
    return NULL;
}

/* --- Engines --- */

typedef struct {
    char *dir, *from, *to;

    /* What the next run() does; it resets them. */
    const char *text;
    CwOutgoing *outgoing; /* else what is in "from" */
    gboolean decline;
    int output_fd;
    const char *sender_id;
    GCancellable *cancel_sender, *cancel_receiver;
    gint64 cut_at, flip_at;
    void (*on_offered) (gpointer fixture); /* instead of deciding */
    void (*on_accepted) (gpointer fixture);
    gpointer user;

    /* What it gave. */
    GIOStream *sender_stream, *receiver_stream;
    CwTransfer *sent, *received;
    gboolean send_ok, receive_ok, was_accepted;
    GError *send_error, *receive_error;
    GPtrArray *paths;
    char *received_text;
    guint64 passed; /* bytes from the sender, when there was a proxy */
    GByteArray *record[2];
    CwDecision *decision;
    CwOffer *offer;
} Fixture;

G_GNUC_UNUSED static void
reset_wishes (Fixture *f)
{
    f->text = NULL;
    f->outgoing = NULL;
    f->decline = FALSE;
    f->output_fd = -1;
    f->sender_id = "test";
    f->cut_at = f->flip_at = -1;
    f->on_offered = f->on_accepted = NULL;
    g_clear_object (&f->cancel_sender);
    g_clear_object (&f->cancel_receiver);
}

G_GNUC_UNUSED static void
forget_results (Fixture *f)
{
    g_clear_object (&f->sender_stream);
    g_clear_object (&f->receiver_stream);
    g_clear_pointer (&f->sent, cw_transfer_unref);
    g_clear_pointer (&f->received, cw_transfer_unref);
    g_clear_error (&f->send_error);
    g_clear_error (&f->receive_error);
    g_clear_pointer (&f->paths, g_ptr_array_unref);
    g_clear_pointer (&f->received_text, g_free);
    g_clear_pointer (&f->decision, cw_decision_unref);
    g_clear_pointer (&f->offer, cw_offer_free);
    f->was_accepted = FALSE;
    f->passed = 0;
}

G_GNUC_UNUSED static void
set_up (Fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp ("cw-drop-XXXXXX", NULL);
    f->from = g_build_filename (f->dir, "from", NULL);
    f->to = g_build_filename (f->dir, "to", NULL);
    g_mkdir (f->from, 0755);
    g_mkdir (f->to, 0755);
    reset_wishes (f);
}

G_GNUC_UNUSED static void
tear_down (Fixture *f, gconstpointer data)
{
    reset_wishes (f);
    forget_results (f);
    remove_tree (f->dir);
    g_free (f->from);
    g_free (f->to);
    g_free (f->dir);
}

static void
offered (const CwOffer *offer, gpointer data)
{
    Fixture *f = data;

    f->offer = cw_offer_copy (offer);
    if (f->on_offered != NULL)
        f->on_offered (f);
    else if (f->decline)
        cw_decision_decline (f->decision);
    else
        cw_decision_accept (f->decision, f->to, f->output_fd);
}

static void
accepted (gpointer data)
{
    Fixture *f = data;

    f->was_accepted = TRUE;
    if (f->on_accepted != NULL)
        f->on_accepted (f);
}

static gpointer
run_receiver (gpointer data)
{
    Fixture *f = data;
    CwDropReceiveArgs args = {
        .sender_id = f->sender_id,
        .transfer = f->received,
        .decision = f->decision,
        .offered = offered,
        .user_data = f,
    };

    f->receive_ok = cw_drop_receive (f->receiver_stream, &args, f->cancel_receiver, &f->paths,
                                     &f->received_text, &f->receive_error);
    return NULL;
}

static gpointer
run_sender (gpointer data)
{
    Fixture *f = data;
    CwDropSendArgs args = {
        .text = f->text,
        .outgoing = f->outgoing,
        .transfer = f->sent,
        .accepted = accepted,
        .user_data = f,
    };

    f->send_ok = cw_drop_send (f->sender_stream, &args, f->cancel_sender, &f->send_error);
    return NULL;
}

/* What is in @dir, by name. */
G_GNUC_UNUSED static CwOutgoing *
walk (const char *path)
{
    g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
    g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
    g_autoptr (GError) error = NULL;
    CwOutgoing *outgoing;
    const char *name;

    while ((name = g_dir_read_name (dir)) != NULL)
        g_ptr_array_add (paths, g_build_filename (path, name, NULL));
    g_ptr_array_add (paths, NULL);
    outgoing = cw_outgoing_new ((const char *const *)paths->pdata, NULL, &error);
    g_assert_no_error (error);
    return outgoing;
}

G_GNUC_UNUSED static void
prepare (Fixture *f)
{
    forget_results (f);
    f->sent = cw_transfer_new ();
    f->received = cw_transfer_new ();
    f->decision = cw_decision_new ();
}

G_GNUC_UNUSED static void
run (Fixture *f)
{
    g_autoptr (CwOutgoing) walked = f->text == NULL && f->outgoing == NULL ? walk (f->from) : NULL;
    Proxy proxy = {
        .cut_at = f->cut_at,
        .flip_at = f->flip_at,
        .record = { f->record[0], f->record[1] },
    };
    gboolean proxied = f->cut_at >= 0 || f->flip_at >= 0 || f->cut_at == -2;
    GThread *threads[2];
    int fds[4];

    prepare (f);
    if (walked != NULL)
        f->outgoing = walked;
    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->sender_stream = wrap_socket (fds[0]);
    if (proxied) {
        g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds + 2), ==, 0);
        proxy.sender_fd = fds[1];
        proxy.receiver_fd = fds[2];
        proxy.threads[0] = g_thread_new ("forth", proxy_forth, &proxy);
        proxy.threads[1] = g_thread_new ("back", proxy_back, &proxy);
    }
    f->receiver_stream = wrap_socket (proxied ? fds[3] : fds[1]);
    threads[0] = g_thread_new ("sender", run_sender, f);
    threads[1] = g_thread_new ("receiver", run_receiver, f);
    g_thread_join (threads[0]);
    g_thread_join (threads[1]);
    if (proxied) {
        g_thread_join (proxy.threads[0]);
        g_thread_join (proxy.threads[1]);
        close (proxy.sender_fd);
        close (proxy.receiver_fd);
        f->passed = proxy.passed;
    }
    reset_wishes (f);
}

G_GNUC_UNUSED static void
assert_both_ok (Fixture *f)
{
    g_assert_no_error (f->send_error);
    g_assert_no_error (f->receive_error);
    g_assert_true (f->send_ok);
    g_assert_true (f->receive_ok);
}

/* "to" has just what "from" has, and nothing is left over. */
G_GNUC_UNUSED static void
assert_arrived (Fixture *f, gboolean metadata)
{
    g_autoptr (GDir) dir = g_dir_open (f->from, 0, NULL);
    Compare compare = { .metadata = metadata };
    const char *name;

    while ((name = g_dir_read_name (dir)) != NULL) {
        g_autofree char *a = g_build_filename (f->from, name, NULL);
        g_autofree char *b = g_build_filename (f->to, name, NULL);
        assert_same (a, b, &compare);
    }
    g_assert_cmpuint (count_entries (f->from), ==, count_entries (f->to));
}
