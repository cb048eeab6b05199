/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The two streams and the GIOStream that holds them are thin; what they share is a CwTransitPipe,
 * which lives until the last of them is gone. Its `in` belongs to whoever reads, its `out` to
 * whoever writes, the rest is set once or atomic.
 *
 * Cost: each byte is copied by the kernel and by the cipher and by nothing else. Received bytes
 * are decrypted from the receive buffer into the reader's own buffer when a whole record fits there
 * (else in place, and copied out piece by piece); written bytes are encrypted from the writer's
 * buffer into the send buffer, several records to one send().
 *
 * The socket is shut down when the stream is closed, which wakes every thread that waits on it, but
 * its descriptor is closed only with the last reference: closing it under a thread that polls it
 * would hand the number to somebody else's file. */

#include "cw-transit-stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "cw-transit-record.h"

#define DEFAULT_RECORD (16u << 10)
#define DEFAULT_TIMEOUT_S 60
/* Both buffers stay within a core's second-level cache, where the cipher then finds the bytes. */
#define IN_SIZE (256u << 10)
#define OUT_SIZE (256u << 10)

#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_COUNT 4
#define USER_TIMEOUT_MS 60000

typedef struct {
    gatomicrefcount refs;
    GSocket *socket;
    int fd;
    int timeout_ms; /* atomic */
    int closed;     /* atomic */
    int dead;       /* atomic: a record was wrong */

    struct {
        CwTransitRecords records;
        guint8 *buf;
        size_t cap;
        size_t start, end;        /* arrived, not opened yet */
        size_t plain, plain_left; /* opened in place, not read yet: lies before start */
    } in;

    struct {
        CwTransitRecords records;
        size_t max_record;
        guint8 *buf;
        size_t cap;
        size_t start, end; /* sealed, not sent yet */
        size_t owed;       /* plaintext in there whose write has not been reported as done */
        gboolean broken;
    } out;
} CwTransitPipe;

/* --- Pipe --- */

static CwTransitPipe *
pipe_ref (CwTransitPipe *p)
{
    g_atomic_ref_count_inc (&p->refs);
    return p;
}

static void
pipe_unref (CwTransitPipe *p)
{
    if (!g_atomic_ref_count_dec (&p->refs))
        return;
    cw_transit_records_clear (&p->in.records);
    cw_transit_records_clear (&p->out.records);
    g_free (p->in.buf);
    g_free (p->out.buf);
    g_object_unref (p->socket);
    g_free (p);
}

static void
pipe_close (CwTransitPipe *p)
{
    if (g_atomic_int_compare_and_exchange (&p->closed, FALSE, TRUE))
        shutdown (p->fd, SHUT_RDWR);
}

static gboolean
fail_dead (GError **error)
{
    g_set_error (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_RECORD,
                 "a record was forged, out of order or too large");
    return FALSE;
}

/* No more words with a peer, or somebody in between, that forges records. */
static gboolean
pipe_kill (CwTransitPipe *p, GError **error)
{
    g_atomic_int_set (&p->dead, TRUE);
    shutdown (p->fd, SHUT_RDWR);
    return fail_dead (error);
}

static gboolean
pipe_check (CwTransitPipe *p, GCancellable *cancellable, GError **error)
{
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
    if (g_atomic_int_get (&p->dead))
        return fail_dead (error);
    if (g_atomic_int_get (&p->closed)) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "the connection is closed");
        return FALSE;
    }
    return TRUE;
}

static gboolean
fail_errno (const char *what, int code, GError **error)
{
    g_set_error (error, G_IO_ERROR, (int)g_io_error_from_errno (code), "%s: %s", what,
                 g_strerror (code));
    return FALSE;
}

static gboolean
fail_would_block (GError **error)
{
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "the connection is not ready");
    return FALSE;
}

/* Waits until the socket is ready for @events, at most @timeout_ms (-1: for ever). */
static gboolean
pipe_wait (
    CwTransitPipe *p, short events, int timeout_ms, GCancellable *cancellable, GError **error)
{
    gint64 deadline_us = g_get_monotonic_time () + timeout_ms * G_GINT64_CONSTANT (1000);
    struct pollfd fds[2] = { { .fd = p->fd, .events = events }, { .fd = -1 } };
    GPollFD cancel_fd;
    int n;

    if (g_cancellable_make_pollfd (cancellable, &cancel_fd)) {
        fds[1].fd = cancel_fd.fd;
        fds[1].events = (short)cancel_fd.events;
    }
    do {
        gint64 left_us = deadline_us - g_get_monotonic_time ();
        n = poll (fds, 2, timeout_ms < 0 ? -1 : (int)MAX (0, (left_us + 999) / 1000));
    } while (n < 0 && errno == EINTR);
    if (fds[1].fd >= 0)
        g_cancellable_release_fd (cancellable);
    if (n < 0)
        return fail_errno ("cannot wait for the connection", errno, error);
    if (n == 0) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                     "nothing came from the other side for %d seconds", timeout_ms / 1000);
        return FALSE;
    }
    return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

/* --- Reading --- */

/* Room for at least one more byte of a record of @size (0: not known yet). The buffer grows with
 * what has really come, not with what a length field claims. */
static void
make_room (CwTransitPipe *p, size_t size)
{
    size_t have = p->in.end - p->in.start;

    if (have == 0)
        p->in.start = p->in.end = 0;
    if (p->in.start > 0 && p->in.cap - p->in.start < MAX (size, CW_TRANSIT_RECORD_OVERHEAD)) {
        memmove (p->in.buf, p->in.buf + p->in.start, have);
        p->in.start = 0;
        p->in.end = have;
    }
    if (p->in.end == p->in.cap) {
        p->in.cap = p->in.cap == 0 ? IN_SIZE : MIN (2 * p->in.cap, size);
        p->in.buf = g_realloc (p->in.buf, p->in.cap);
    }
}

/* 1: more has come, 0: the end, -1: @error. */
static int
receive_more (
    CwTransitPipe *p, size_t size, gboolean blocking, GCancellable *cancellable, GError **error)
{
    make_room (p, size);
    for (;;) {
        ssize_t n = recv (p->fd, p->in.buf + p->in.end, p->in.cap - p->in.end, MSG_DONTWAIT);
        int code = errno;
        if (n > 0) {
            p->in.end += (size_t)n;
            return 1;
        }
        /* What shutdown() in another thread looks like. */
        if (!pipe_check (p, cancellable, error))
            return -1;
        if (n == 0)
            return 0;
        if (code == EINTR)
            continue;
        if (code != EAGAIN && code != EWOULDBLOCK)
            return fail_errno ("the connection broke", code, error) - 1;
        if (!blocking)
            return fail_would_block (error) - 1;
        if (!pipe_wait (p, POLLIN, g_atomic_int_get (&p->timeout_ms), cancellable, error))
            return -1;
    }
}

static size_t
read_opened (CwTransitPipe *p, guint8 *buffer, size_t count)
{
    size_t n = MIN (count, p->in.plain_left);

    memcpy (buffer, p->in.buf + p->in.plain, n);
    p->in.plain += n;
    p->in.plain_left -= n;
    return n;
}

/* Opens the whole record of @size at in.start. The result is 0 for an empty record. */
static gssize
read_record (CwTransitPipe *p, size_t size, guint8 *buffer, size_t count, GError **error)
{
    guint8 *record = p->in.buf + p->in.start;
    size_t len = size - CW_TRANSIT_RECORD_OVERHEAD;
    gboolean fits = len <= count;
    guint8 *plain = fits ? buffer : record + CW_TRANSIT_RECORD_OVERHEAD;

    if (!cw_transit_records_open (&p->in.records, record, size, plain))
        return pipe_kill (p, error) - 1;
    p->in.start += size;
    if (fits)
        return (gssize)len;
    p->in.plain = p->in.start - len;
    p->in.plain_left = len;
    return (gssize)read_opened (p, buffer, count);
}

static gssize
pipe_read (CwTransitPipe *p,
           guint8 *buffer,
           size_t count,
           gboolean blocking,
           GCancellable *cancellable,
           GError **error)
{
    while (pipe_check (p, cancellable, error)) {
        size_t size;
        gssize n;
        int more;

        if (p->in.plain_left > 0)
            return (gssize)read_opened (p, buffer, count);
        switch (cw_transit_record_peek (p->in.buf + p->in.start, p->in.end - p->in.start, &size)) {
        case CW_TRANSIT_RECORD_WHOLE:
            n = read_record (p, size, buffer, count, error);
            /* An empty record would look like the end of the stream; there is nothing in it. */
            if (n != 0)
                return n;
            break;
        case CW_TRANSIT_RECORD_SHORT:
            more = receive_more (p, size, blocking, cancellable, error);
            if (more < 0)
                return -1;
            if (more == 0 && p->in.end == p->in.start)
                return 0;
            if (more == 0) {
                g_set_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED,
                             "the connection ended in the middle of a record");
                return -1;
            }
            break;
        case CW_TRANSIT_RECORD_BAD:
            pipe_kill (p, error);
            return -1;
        }
    }
    return -1;
}

/* Whether a read would find something without asking the socket. */
static gboolean
pipe_has_input (CwTransitPipe *p)
{
    size_t size;

    return p->in.plain_left > 0 || g_atomic_int_get (&p->dead) || g_atomic_int_get (&p->closed)
           || cw_transit_record_peek (p->in.buf + p->in.start, p->in.end - p->in.start, &size)
                  != CW_TRANSIT_RECORD_SHORT;
}

static gboolean
pipe_poll_now (CwTransitPipe *p, short events)
{
    struct pollfd fd = { .fd = p->fd, .events = events };

    return poll (&fd, 1, 0) > 0;
}

/* --- Writing --- */

/* As many bytes as one send is worth. */
static size_t
seal_batch (CwTransitPipe *p, const guint8 *buffer, size_t count)
{
    size_t batch = MIN (count, MAX (p->out.max_record, OUT_SIZE));
    size_t records = (batch + p->out.max_record - 1) / p->out.max_record;
    size_t need = batch + records * CW_TRANSIT_RECORD_OVERHEAD;

    if (p->out.cap < need) {
        g_free (p->out.buf);
        p->out.buf = g_malloc (need);
        p->out.cap = need;
    }
    p->out.start = p->out.end = 0;
    for (size_t done = 0; done < batch;) {
        size_t n = MIN (batch - done, p->out.max_record);
        p->out.end
            += cw_transit_records_seal (&p->out.records, buffer + done, n, p->out.buf + p->out.end);
        done += n;
    }
    return batch;
}

static gboolean
send_sealed (CwTransitPipe *p, gboolean blocking, GCancellable *cancellable, GError **error)
{
    while (p->out.start < p->out.end) {
        ssize_t n = send (p->fd, p->out.buf + p->out.start, p->out.end - p->out.start,
                          MSG_DONTWAIT | MSG_NOSIGNAL);
        int code = errno;
        if (n >= 0) {
            p->out.start += (size_t)n;
            continue;
        }
        if (!pipe_check (p, cancellable, error))
            return FALSE;
        if (code == EINTR)
            continue;
        if (code != EAGAIN && code != EWOULDBLOCK)
            return fail_errno ("the connection broke", code, error);
        if (!blocking)
            return fail_would_block (error);
        if (!pipe_wait (p, POLLOUT, -1, cancellable, error))
            return FALSE;
    }
    return TRUE;
}

static gssize
pipe_write (CwTransitPipe *p,
            const guint8 *buffer,
            size_t count,
            gboolean blocking,
            GCancellable *cancellable,
            GError **error)
{
    g_autoptr (GError) local_error = NULL;
    size_t done;

    if (!pipe_check (p, cancellable, error))
        return -1;
    if (p->out.broken) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "an earlier write was cut off");
        return -1;
    }
    if (count == 0)
        return 0;
    if (p->out.owed == 0)
        p->out.owed = seal_batch (p, buffer, count);
    if (!send_sealed (p, blocking, cancellable, &local_error)) {
        p->out.broken = !g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
        g_propagate_error (error, g_steal_pointer (&local_error));
        return -1;
    }
    done = MIN (p->out.owed, count);
    p->out.owed = 0;
    return (gssize)done;
}

/* --- Input stream --- */

#define CW_TYPE_TRANSIT_INPUT (cw_transit_input_get_type ())
G_DECLARE_FINAL_TYPE (CwTransitInput, cw_transit_input, CW, TRANSIT_INPUT, GInputStream)

struct _CwTransitInput {
    GInputStream parent;
    CwTransitPipe *pipe;
};

static void cw_transit_input_pollable_init (GPollableInputStreamInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (CwTransitInput,
                               cw_transit_input,
                               G_TYPE_INPUT_STREAM,
                               G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_INPUT_STREAM,
                                                      cw_transit_input_pollable_init))

static gssize
cw_transit_input_read (
    GInputStream *stream, void *buffer, gsize count, GCancellable *cancellable, GError **error)
{
    return pipe_read (CW_TRANSIT_INPUT (stream)->pipe, buffer, count, TRUE, cancellable, error);
}

static gssize
cw_transit_input_read_nonblocking (GPollableInputStream *stream,
                                   void *buffer,
                                   gsize count,
                                   GError **error)
{
    return pipe_read (CW_TRANSIT_INPUT (stream)->pipe, buffer, count, FALSE, NULL, error);
}

static gboolean
cw_transit_input_is_readable (GPollableInputStream *stream)
{
    CwTransitPipe *p = CW_TRANSIT_INPUT (stream)->pipe;

    return pipe_has_input (p) || pipe_poll_now (p, POLLIN);
}

static GSource *
cw_transit_input_create_source (GPollableInputStream *stream, GCancellable *cancellable)
{
    CwTransitPipe *p = CW_TRANSIT_INPUT (stream)->pipe;
    g_autoptr (GSource) child = pipe_has_input (p)
                                    ? g_timeout_source_new (0)
                                    : g_socket_create_source (p->socket, G_IO_IN, NULL);

    return g_pollable_source_new_full (stream, child, cancellable);
}

static void
cw_transit_input_finalize (GObject *object)
{
    pipe_unref (CW_TRANSIT_INPUT (object)->pipe);
    G_OBJECT_CLASS (cw_transit_input_parent_class)->finalize (object);
}

static void
cw_transit_input_class_init (CwTransitInputClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_transit_input_finalize;
    G_INPUT_STREAM_CLASS (klass)->read_fn = cw_transit_input_read;
}

static void
cw_transit_input_pollable_init (GPollableInputStreamInterface *iface)
{
    iface->is_readable = cw_transit_input_is_readable;
    iface->create_source = cw_transit_input_create_source;
    iface->read_nonblocking = cw_transit_input_read_nonblocking;
}

static void
cw_transit_input_init (CwTransitInput *self)
{
}

/* --- Output stream --- */

#define CW_TYPE_TRANSIT_OUTPUT (cw_transit_output_get_type ())
G_DECLARE_FINAL_TYPE (CwTransitOutput, cw_transit_output, CW, TRANSIT_OUTPUT, GOutputStream)

struct _CwTransitOutput {
    GOutputStream parent;
    CwTransitPipe *pipe;
};

static void cw_transit_output_pollable_init (GPollableOutputStreamInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (CwTransitOutput,
                               cw_transit_output,
                               G_TYPE_OUTPUT_STREAM,
                               G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_OUTPUT_STREAM,
                                                      cw_transit_output_pollable_init))

static gssize
cw_transit_output_write (GOutputStream *stream,
                         const void *buffer,
                         gsize count,
                         GCancellable *cancellable,
                         GError **error)
{
    return pipe_write (CW_TRANSIT_OUTPUT (stream)->pipe, buffer, count, TRUE, cancellable, error);
}

static gssize
cw_transit_output_write_nonblocking (GPollableOutputStream *stream,
                                     const void *buffer,
                                     gsize count,
                                     GError **error)
{
    return pipe_write (CW_TRANSIT_OUTPUT (stream)->pipe, buffer, count, FALSE, NULL, error);
}

static gboolean
cw_transit_output_is_writable (GPollableOutputStream *stream)
{
    return pipe_poll_now (CW_TRANSIT_OUTPUT (stream)->pipe, POLLOUT);
}

static GSource *
cw_transit_output_create_source (GPollableOutputStream *stream, GCancellable *cancellable)
{
    CwTransitPipe *p = CW_TRANSIT_OUTPUT (stream)->pipe;
    g_autoptr (GSource) child = g_socket_create_source (p->socket, G_IO_OUT, NULL);

    return g_pollable_source_new_full (stream, child, cancellable);
}

static gboolean
cw_transit_output_close (GOutputStream *stream, GCancellable *cancellable, GError **error)
{
    shutdown (CW_TRANSIT_OUTPUT (stream)->pipe->fd, SHUT_WR);
    return TRUE;
}

static void
cw_transit_output_finalize (GObject *object)
{
    pipe_unref (CW_TRANSIT_OUTPUT (object)->pipe);
    G_OBJECT_CLASS (cw_transit_output_parent_class)->finalize (object);
}

static void
cw_transit_output_class_init (CwTransitOutputClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_transit_output_finalize;
    G_OUTPUT_STREAM_CLASS (klass)->write_fn = cw_transit_output_write;
    G_OUTPUT_STREAM_CLASS (klass)->close_fn = cw_transit_output_close;
}

static void
cw_transit_output_pollable_init (GPollableOutputStreamInterface *iface)
{
    iface->is_writable = cw_transit_output_is_writable;
    iface->create_source = cw_transit_output_create_source;
    iface->write_nonblocking = cw_transit_output_write_nonblocking;
}

static void
cw_transit_output_init (CwTransitOutput *self)
{
}

/* --- The stream --- */

struct _CwTransitStream {
    GIOStream parent;
    CwTransitPipe *pipe;
    CwTransitInput *input;
    CwTransitOutput *output;
};

G_DEFINE_FINAL_TYPE (CwTransitStream, cw_transit_stream, G_TYPE_IO_STREAM)

static GInputStream *
cw_transit_stream_get_input (GIOStream *stream)
{
    return G_INPUT_STREAM (CW_TRANSIT_STREAM (stream)->input);
}

static GOutputStream *
cw_transit_stream_get_output (GIOStream *stream)
{
    return G_OUTPUT_STREAM (CW_TRANSIT_STREAM (stream)->output);
}

/* The two halves are not closed with it as GObjects: that would fail while a thread is in one of
 * them, and this is how such a thread is stopped. */
static gboolean
cw_transit_stream_close (GIOStream *stream, GCancellable *cancellable, GError **error)
{
    pipe_close (CW_TRANSIT_STREAM (stream)->pipe);
    return TRUE;
}

static void
cw_transit_stream_finalize (GObject *object)
{
    CwTransitStream *self = CW_TRANSIT_STREAM (object);

    g_object_unref (self->input);
    g_object_unref (self->output);
    pipe_unref (self->pipe);
    G_OBJECT_CLASS (cw_transit_stream_parent_class)->finalize (object);
}

static void
cw_transit_stream_class_init (CwTransitStreamClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_transit_stream_finalize;
    G_IO_STREAM_CLASS (klass)->get_input_stream = cw_transit_stream_get_input;
    G_IO_STREAM_CLASS (klass)->get_output_stream = cw_transit_stream_get_output;
    G_IO_STREAM_CLASS (klass)->close_fn = cw_transit_stream_close;
}

static void
cw_transit_stream_init (CwTransitStream *self)
{
}

static CwTransitPipe *
pipe_new (GSocket *socket,
          CwTransitRole role,
          const CwTransitKeys *keys,
          size_t max_record,
          const guint8 *early,
          size_t early_len)
{
    CwTransitPipe *p = g_new0 (CwTransitPipe, 1);
    gboolean sends = role == CW_TRANSIT_SENDER;

    g_atomic_ref_count_init (&p->refs);
    p->socket = g_object_ref (socket);
    p->fd = g_socket_get_fd (socket);
    p->timeout_ms = DEFAULT_TIMEOUT_S * 1000;
    cw_transit_records_init (&p->in.records, sends ? &keys->record_receiver : &keys->record_sender);
    cw_transit_records_init (&p->out.records,
                             sends ? &keys->record_sender : &keys->record_receiver);
    p->out.max_record = max_record == 0 ? DEFAULT_RECORD : MIN (max_record, CW_TRANSIT_RECORD_MAX);
    p->in.cap = MAX (IN_SIZE, early_len);
    p->in.buf = g_malloc (p->in.cap);
    if (early_len > 0)
        memcpy (p->in.buf, early, early_len);
    p->in.end = early_len;
    return p;
}

GIOStream *
cw_transit_stream_new (GSocket *socket,
                       CwTransitRole role,
                       const CwTransitKeys *keys,
                       size_t max_record,
                       const guint8 *early,
                       size_t early_len)
{
    CwTransitStream *self = g_object_new (CW_TYPE_TRANSIT_STREAM, NULL);

    self->pipe = pipe_new (socket, role, keys, max_record, early, early_len);
    self->input = g_object_new (CW_TYPE_TRANSIT_INPUT, NULL);
    self->input->pipe = pipe_ref (self->pipe);
    self->output = g_object_new (CW_TYPE_TRANSIT_OUTPUT, NULL);
    self->output->pipe = pipe_ref (self->pipe);
    return G_IO_STREAM (self);
}

void
cw_transit_stream_set_timeout (GIOStream *stream, unsigned seconds)
{
    int timeout_ms = seconds == 0 ? -1 : (int)MIN (seconds, G_MAXINT / 1000u) * 1000;

    g_return_if_fail (CW_IS_TRANSIT_STREAM (stream));
    g_atomic_int_set (&CW_TRANSIT_STREAM (stream)->pipe->timeout_ms, timeout_ms);
}

void
cw_transit_stream_prepare_socket (GSocket *socket)
{
    g_socket_set_keepalive (socket, TRUE);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S, NULL);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S, NULL);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT, NULL);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS, NULL);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, TRUE, NULL);
}
