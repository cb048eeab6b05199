/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The stream over a pair of connected sockets. */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cw-transit-record.h"
#include "cw-transit-stream.h"

/* The receiver's end is a stream; the sender's end is a stream too, or a raw socket that says what
 * no stream of ours would. */
typedef struct {
    CwTransitKeys keys;
    GSocket *sockets[2]; /* sender, receiver */
    GIOStream *streams[2];
    CwTransitRecords raw; /* what the sender would seal */
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
    int fds[2];

    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    cw_transit_keys_derive (&f->keys, "123", 3);
    for (int i = 0; i < 2; i++) {
        f->sockets[i] = g_socket_new_from_fd (fds[i], NULL);
        f->streams[i] = cw_transit_stream_new (f->sockets[i], (CwTransitRole)i, &f->keys,
                                               i == 0 ? 64 << 10 : 0, NULL, 0);
    }
    cw_transit_records_init (&f->raw, &f->keys.record_sender);
}

static void
teardown (Fixture *f, gconstpointer data)
{
    cw_transit_keys_clear (&f->keys);
    cw_transit_records_clear (&f->raw);
    for (int i = 0; i < 2; i++) {
        if (f->streams[i] != NULL)
            g_object_add_weak_pointer (G_OBJECT (f->streams[i]), (gpointer *)&f->streams[i]);
        g_clear_object (&f->sockets[i]);
        if (f->streams[i] != NULL)
            g_object_unref (f->streams[i]);
        g_assert_null (f->streams[i]);
    }
}

static GInputStream *
input (Fixture *f, int i)
{
    return g_io_stream_get_input_stream (f->streams[i]);
}

static GOutputStream *
output (Fixture *f, int i)
{
    return g_io_stream_get_output_stream (f->streams[i]);
}

static void
send_raw (Fixture *f, const void *data, size_t len)
{
    g_assert_cmpint (send (g_socket_get_fd (f->sockets[0]), data, len, MSG_NOSIGNAL), ==, len);
}

static size_t
seal (Fixture *f, const char *text, guint8 *wire)
{
    return cw_transit_records_seal (&f->raw, (const guint8 *)text, strlen (text), wire);
}

/* A record with nothing in it, which our own sealing refuses to make. */
static size_t
seal_empty (Fixture *f, guint8 wire[CW_TRANSIT_RECORD_OVERHEAD])
{
    memset (wire, 0, CW_TRANSIT_RECORD_OVERHEAD);
    wire[3] = 40;
    wire[27] = (guint8)f->raw.next++;
    crypto_secretbox_easy (wire + 28, (const guint8 *)"", 0, wire + 4, f->raw.key.bytes);
    return CW_TRANSIT_RECORD_OVERHEAD;
}

static void
end_raw (Fixture *f)
{
    shutdown (g_socket_get_fd (f->sockets[0]), SHUT_WR);
}

static void
assert_reads (Fixture *f, const char *text)
{
    g_autoptr (GError) error = NULL;
    char buffer[256];
    gssize n = g_input_stream_read (input (f, 1), buffer, sizeof buffer, NULL, &error);

    g_assert_no_error (error);
    g_assert_cmpmem (buffer, n, text, strlen (text));
}

static void
assert_read_fails (Fixture *f, GQuark domain, int code)
{
    g_autoptr (GError) error = NULL;
    char buffer[256];

    g_assert_cmpint (g_input_stream_read (input (f, 1), buffer, sizeof buffer, NULL, &error), ==,
                     -1);
    g_assert_error (error, domain, code);
}

static void
assert_write_fails (Fixture *f, int i, GQuark domain, int code)
{
    g_autoptr (GError) error = NULL;

    g_assert_cmpint (g_output_stream_write (output (f, i), "x", 1, NULL, &error), ==, -1);
    g_assert_error (error, domain, code);
}

static void
test_records (Fixture *f, gconstpointer data)
{
    char small[4];

    g_assert_true (g_output_stream_write_all (output (f, 0), "hello", 5, NULL, NULL, NULL));
    g_assert_true (g_output_stream_write_all (output (f, 0), "world", 5, NULL, NULL, NULL));
    g_assert_true (g_output_stream_write_all (output (f, 1), "yes", 3, NULL, NULL, NULL));
    /* One read gives bytes of one record only, in pieces if the buffer is small. */
    assert_reads (f, "hello");
    g_assert_cmpint (g_input_stream_read (input (f, 1), small, 4, NULL, NULL), ==, 4);
    g_assert_cmpmem (small, 4, "worl", 4);
    assert_reads (f, "d");
    g_assert_cmpint (g_input_stream_read (input (f, 0), small, 4, NULL, NULL), ==, 3);
    g_assert_true (g_io_stream_close (f->streams[0], NULL, NULL));
    assert_reads (f, "");
    assert_reads (f, "");
}

/* The wire is what the codec makes: records of at most the size asked for, numbered from 0. */
static void
test_wire (Fixture *f, gconstpointer data)
{
    g_autofree guint8 *plain = g_malloc0 (40000), *wire = g_malloc (50000), *ret = g_malloc (20000);
    static const size_t lengths[] = { 16384, 16384, 7232 };
    CwTransitRecords records;
    size_t at = 0, total = 40000 + 3 * CW_TRANSIT_RECORD_OVERHEAD, size;

    cw_transit_records_init (&records, &f->keys.record_receiver);
    g_assert_true (g_output_stream_write_all (output (f, 1), plain, 40000, NULL, NULL, NULL));
    while (at < total) {
        ssize_t n = recv (g_socket_get_fd (f->sockets[0]), wire + at, 50000 - at, 0);
        if (n < 0 && errno == EAGAIN)
            g_assert_true (g_socket_condition_wait (f->sockets[0], G_IO_IN, NULL, NULL));
        else
            at += (size_t)n;
    }
    g_assert_cmpuint (at, ==, total);
    at = 0;
    for (size_t i = 0; i < G_N_ELEMENTS (lengths); i++) {
        g_assert_cmpint (cw_transit_record_peek (wire + at, total - at, &size), ==,
                         CW_TRANSIT_RECORD_WHOLE);
        g_assert_cmpuint (size, ==, lengths[i] + CW_TRANSIT_RECORD_OVERHEAD);
        g_assert_true (cw_transit_records_open (&records, wire + at, size, ret));
        at += size;
    }
    cw_transit_records_clear (&records);
}

/* A record that came byte by byte, an empty one, and one of the largest size. */
static void
test_odd_records (Fixture *f, gconstpointer data)
{
    g_autofree char *text = g_strnfill (CW_TRANSIT_RECORD_MAX, 'x');
    g_autofree guint8 *wire = g_malloc (CW_TRANSIT_RECORD_MAX + CW_TRANSIT_RECORD_OVERHEAD);
    g_autoptr (GByteArray) got = g_byte_array_new ();
    size_t size = seal (f, "bytes", wire);

    for (size_t i = 0; i < size; i++)
        send_raw (f, wire + i, 1);
    assert_reads (f, "bytes");
    send_raw (f, wire, seal_empty (f, wire));
    send_raw (f, wire, seal (f, "after", wire));
    assert_reads (f, "after");

    size = seal (f, text, wire);
    for (size_t at = 0; got->len < CW_TRANSIT_RECORD_MAX;) {
        guint8 buffer[60000];
        gssize n;
        if (at < size) {
            n = send (g_socket_get_fd (f->sockets[0]), wire + at, size - at, MSG_DONTWAIT);
            at += n > 0 ? (size_t)n : 0;
        }
        n = at < size ? g_pollable_input_stream_read_nonblocking (
                G_POLLABLE_INPUT_STREAM (input (f, 1)), buffer, sizeof buffer, NULL, NULL)
                      : g_input_stream_read (input (f, 1), buffer, sizeof buffer, NULL, NULL);
        if (n > 0)
            g_byte_array_append (got, buffer, (guint)n);
    }
    g_assert_cmpmem (got->data, got->len, text, CW_TRANSIT_RECORD_MAX);
}

/* What came in behind the handshake is the beginning. */
static void
test_early (Fixture *f, gconstpointer data)
{
    guint8 wire[200];
    size_t size = seal (f, "early", wire);

    size += seal (f, "bird", wire + size);
    g_object_unref (f->streams[1]);
    f->streams[1]
        = cw_transit_stream_new (f->sockets[1], CW_TRANSIT_RECEIVER, &f->keys, 0, wire, size - 3);
    /* The old one closed its socket when it went. */
    assert_reads (f, "early");
    assert_read_fails (f, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

static void
test_truncated (Fixture *f, gconstpointer data)
{
    guint8 wire[100];
    size_t size = seal (f, "hello", wire);

    for (size_t len = 0; len < size; len++) {
        Fixture g;
        setup (&g, NULL);
        send_raw (&g, wire, len);
        end_raw (&g);
        if (len == 0)
            assert_reads (&g, "");
        else
            assert_read_fails (&g, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
        teardown (&g, NULL);
    }
}

/* One bad record, and nothing goes any more in either direction. */
static void
assert_dead (Fixture *f)
{
    guint8 wire[100];

    assert_read_fails (f, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_RECORD);
    /* The other end sees it at once, and no signal kills it. */
    g_assert_cmpint (
        send (g_socket_get_fd (f->sockets[0]), wire, seal (f, "good", wire), MSG_NOSIGNAL), ==, -1);
    assert_read_fails (f, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_RECORD);
    assert_write_fails (f, 1, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_RECORD);
}

static void
test_forged (Fixture *f, gconstpointer data)
{
    guint8 wire[100];
    size_t size = seal (f, "good", wire);

    send_raw (f, wire, size);
    assert_reads (f, "good");
    size = seal (f, "forged", wire);
    wire[size - 1] ^= 1;
    send_raw (f, wire, size);
    assert_dead (f);
}

static void
test_replayed (Fixture *f, gconstpointer data)
{
    guint8 wire[100];
    size_t size = seal (f, "good", wire);

    send_raw (f, wire, size);
    send_raw (f, wire, size);
    assert_reads (f, "good");
    assert_dead (f);
}

static void
test_too_large (Fixture *f, gconstpointer data)
{
    static const guint8 head[] = { 0, 0x40, 0, 41 };

    send_raw (f, head, sizeof head);
    assert_dead (f);
}

static void
test_timeout (Fixture *f, gconstpointer data)
{
    cw_transit_stream_set_timeout (f->streams[1], 1);
    assert_read_fails (f, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    /* It is a pause, not the end. */
    g_assert_true (g_output_stream_write_all (output (f, 0), "late", 4, NULL, NULL, NULL));
    assert_reads (f, "late");
}

/* --- Other threads --- */

/* Lets a thread tell that it is about to block. */
typedef struct {
    Fixture *f;
    GCancellable *cancellable;
    GError *error;
} Blocked;

static gpointer
read_in_thread (gpointer data)
{
    Blocked *b = data;
    char buffer[10];

    g_assert_cmpint (
        g_input_stream_read (input (b->f, 1), buffer, sizeof buffer, b->cancellable, &b->error), ==,
        -1);
    return NULL;
}

static gpointer
write_in_thread (gpointer data)
{
    Blocked *b = data;
    static const guint8 zeros[1 << 16];

    while (g_output_stream_write (output (b->f, 1), zeros, sizeof zeros, b->cancellable, &b->error)
           > 0)
        ;
    return NULL;
}

/* Reads to the end; gives the last bytes if it was a clean one. */
static gpointer
drain_in_thread (gpointer data)
{
    Fixture *f = data;
    g_autoptr (GError) error = NULL;
    g_autofree char *buffer = g_malloc0 (1 << 16);
    char *last = NULL;
    gssize n;

    while ((n = g_input_stream_read (input (f, 0), buffer, 1 << 16, NULL, &error)) > 0) {
        g_free (last);
        last = g_strndup (buffer, (gsize)n);
    }
    if (error == NULL)
        return last;
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
    g_free (last);
    return NULL;
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    Blocked reading = { f, cancellable, NULL }, writing = { f, cancellable, NULL };
    GThread *threads[2] = { g_thread_new ("read", read_in_thread, &reading),
                            g_thread_new ("write", write_in_thread, &writing) };
    gboolean written;

    /* The writer fills the socket; then it waits, or is about to. */
    while (g_socket_condition_check (f->sockets[1], G_IO_OUT) != 0)
        g_thread_yield ();
    g_cancellable_cancel (cancellable);
    g_thread_join (threads[0]);
    g_thread_join (threads[1]);
    g_assert_error (reading.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_error (writing.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error (&reading.error);
    g_clear_error (&writing.error);
    /* Most likely half a record is on its way. If so nothing follows it: what is written now fails,
     * or it arrives. */
    threads[0] = g_thread_new ("drain", drain_in_thread, f);
    written = g_output_stream_write_all (output (f, 1), "behind", 6, NULL, NULL, NULL);
    g_output_stream_close (output (f, 1), NULL, NULL);
    g_autofree char *last = g_thread_join (threads[0]);
    if (written)
        g_assert_cmpstr (last, ==, "behind");
    else
        g_assert_null (last);
    /* Reading goes on. */
    g_assert_true (g_output_stream_write_all (output (f, 0), "more", 4, NULL, NULL, NULL));
    assert_reads (f, "more");
    /* Cancelled before it begins: nothing is half done. */
    g_assert_cmpint (g_output_stream_write (output (f, 0), "x", 1, cancellable, NULL), ==, -1);
    g_assert_true (g_output_stream_write_all (output (f, 0), "most", 4, NULL, NULL, NULL));
    assert_reads (f, "most");
}

static void
test_close_under_threads (Fixture *f, gconstpointer data)
{
    Blocked reading = { f, NULL, NULL }, writing = { f, NULL, NULL };
    GThread *threads[2] = { g_thread_new ("read", read_in_thread, &reading),
                            g_thread_new ("write", write_in_thread, &writing) };

    while (g_socket_condition_check (f->sockets[1], G_IO_OUT) != 0)
        g_thread_yield ();
    g_assert_true (g_io_stream_close (f->streams[1], NULL, NULL));
    g_thread_join (threads[0]);
    g_thread_join (threads[1]);
    g_assert_error (reading.error, G_IO_ERROR, G_IO_ERROR_CLOSED);
    g_assert_error (writing.error, G_IO_ERROR, G_IO_ERROR_CLOSED);
    g_clear_error (&reading.error);
    g_clear_error (&writing.error);
}

/* The other end going away is an error, not a signal. */
static void
test_peer_gone (Fixture *f, gconstpointer data)
{
    g_autoptr (GError) error = NULL;
    static const guint8 zeros[1 << 16];

    g_assert_true (g_io_stream_close (f->streams[0], NULL, NULL));
    while (g_output_stream_write (output (f, 1), zeros, sizeof zeros, NULL, &error) > 0)
        ;
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
}

static void
test_half_close (Fixture *f, gconstpointer data)
{
    g_assert_true (g_output_stream_write_all (output (f, 0), "last", 4, NULL, NULL, NULL));
    g_assert_true (g_output_stream_close (output (f, 0), NULL, NULL));
    assert_reads (f, "last");
    assert_reads (f, "");
    g_assert_true (g_output_stream_write_all (output (f, 1), "ack", 3, NULL, NULL, NULL));
    g_autofree char *buffer = g_malloc (3);
    g_assert_cmpint (g_input_stream_read (input (f, 0), buffer, 3, NULL, NULL), ==, 3);
}

/* --- 64 MiB each way, four threads --- */

#define BULK (64u << 20)

typedef struct {
    GIOStream *stream;
    guint32 seed;
} Bulk;

/* Both sides know the bytes: a counter through a mixer, in pieces of odd sizes. */
static void
fill (guint8 *buffer, size_t len, guint32 *state)
{
    for (size_t i = 0; i < len; i++) {
        *state = *state * 1664525u + 1013904223u;
        buffer[i] = (guint8)(*state >> 24);
    }
}

static gpointer
send_bulk (gpointer data)
{
    Bulk *b = data;
    g_autofree guint8 *buffer = g_malloc (1 << 20);
    guint32 state = b->seed, sizes = b->seed;
    g_autoptr (GError) error = NULL;

    for (size_t done = 0; done < BULK;) {
        size_t n;
        sizes = sizes * 1664525u + 1013904223u;
        n = MIN (1 + (sizes >> 12) % (1 << (4 + (sizes >> 8) % 17)), BULK - done);
        fill (buffer, n, &state);
        g_output_stream_write_all (g_io_stream_get_output_stream (b->stream), buffer, n, NULL, NULL,
                                   &error);
        g_assert_no_error (error);
        done += n;
    }
    return NULL;
}

static gpointer
receive_bulk (gpointer data)
{
    Bulk *b = data;
    g_autofree guint8 *buffer = g_malloc (128 << 10), *expected = g_malloc (128 << 10);
    guint32 state = b->seed;
    g_autoptr (GError) error = NULL;

    for (size_t done = 0; done < BULK;) {
        /* Larger and smaller than a record in turn. */
        size_t want = (done & 1) != 0 ? 128 << 10 : 9999;
        gssize n = g_input_stream_read (g_io_stream_get_input_stream (b->stream), buffer, want,
                                        NULL, &error);
        g_assert_no_error (error);
        g_assert_cmpint (n, >, 0);
        fill (expected, (size_t)n, &state);
        g_assert_true (memcmp (buffer, expected, (size_t)n) == 0);
        done += (size_t)n;
    }
    return NULL;
}

static void
test_bulk (Fixture *f, gconstpointer data)
{
    Bulk bulk[4] = {
        { f->streams[0], 7 }, { f->streams[1], 7 }, { f->streams[1], 8 }, { f->streams[0], 8 }
    };
    GThread *threads[4];

    for (int i = 0; i < 4; i++)
        threads[i] = g_thread_new ("bulk", i % 2 == 0 ? send_bulk : receive_bulk, &bulk[i]);
    for (int i = 0; i < 4; i++)
        g_thread_join (threads[i]);
}

/* --- In a main loop --- */

static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
    gssize *n = user_data;

    *n = g_input_stream_read_finish (G_INPUT_STREAM (source), result, NULL);
}

static void
test_pollable_read (Fixture *f, gconstpointer data)
{
    GPollableInputStream *in = G_POLLABLE_INPUT_STREAM (input (f, 1));
    g_autoptr (GError) error = NULL;
    char buffer[10];
    gssize n = -2;
    guint8 wire[100];
    size_t size = seal (f, "hello", wire);

    g_assert_false (g_pollable_input_stream_is_readable (in));
    g_assert_cmpint (g_pollable_input_stream_read_nonblocking (in, buffer, 10, NULL, &error), ==,
                     -1);
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
    send_raw (f, wire, 20);
    g_input_stream_read_async (input (f, 1), buffer, 2, 0, NULL, on_read, &n);
    while (g_main_context_iteration (NULL, FALSE))
        ;
    g_assert_cmpint (n, ==, -2);
    send_raw (f, wire + 20, size - 20);
    while (n == -2)
        g_main_context_iteration (NULL, TRUE);
    g_assert_cmpint (n, ==, 2);
    /* The rest is ours already; the socket has nothing. */
    g_assert_true (g_pollable_input_stream_is_readable (in));
    n = -2;
    g_input_stream_read_async (input (f, 1), buffer + 2, 8, 0, NULL, on_read, &n);
    while (n == -2)
        g_main_context_iteration (NULL, TRUE);
    g_assert_cmpint (n, ==, 3);
    g_assert_cmpmem (buffer, 5, "hello", 5);
}

static void
test_pollable_write (Fixture *f, gconstpointer data)
{
    GPollableOutputStream *out = G_POLLABLE_OUTPUT_STREAM (output (f, 0));
    g_autofree guint8 *plain = g_malloc (200000), *got = g_malloc (200000);
    size_t sent = 0, received = 0;
    unsigned blocked = 0;
    guint32 state = 1;

    fill (plain, 200000, &state);
    while (received < 4 * 200000) {
        g_autoptr (GError) error = NULL;
        gssize n = -1;
        if (sent < 4 * 200000) {
            size_t at = sent % 200000;
            n = g_pollable_output_stream_write_nonblocking (out, plain + at, 200000 - at, NULL,
                                                            &error);
            if (n < 0)
                g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
            else
                sent += (size_t)n;
            blocked += n < 0;
        }
        if (n > 0)
            continue;
        n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input (f, 1)), got,
                                                      200000 - received % 200000, NULL, NULL);
        if (n > 0) {
            g_assert_cmpmem (got, n, plain + received % 200000, n);
            received += (size_t)n;
        }
    }
    g_assert_cmpuint (blocked, >, 0);
    g_assert_cmpuint (sent, ==, received);
    g_assert_true (g_pollable_output_stream_is_writable (out));
}

#define ADD(path, func) g_test_add ("/transit/stream/" path, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
    cw_crypto_init ();
    g_test_init (&argc, &argv, NULL);
    ADD ("records", test_records);
    ADD ("wire", test_wire);
    ADD ("odd-records", test_odd_records);
    ADD ("early", test_early);
    ADD ("truncated", test_truncated);
    ADD ("forged", test_forged);
    ADD ("replayed", test_replayed);
    ADD ("too-large", test_too_large);
    ADD ("timeout", test_timeout);
    ADD ("cancel", test_cancel);
    ADD ("close-under-threads", test_close_under_threads);
    ADD ("peer-gone", test_peer_gone);
    ADD ("half-close", test_half_close);
    ADD ("bulk", test_bulk);
    ADD ("pollable/read", test_pollable_read);
    ADD ("pollable/write", test_pollable_write);
    return g_test_run ();
}
