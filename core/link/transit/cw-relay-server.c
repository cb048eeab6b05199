/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#define G_LOG_DOMAIN "causeway-relay"

/* A connection goes through these states, one way:
 *
 *   LINE     its line is being read
 *   WAITING  for another with its token and a different side; any byte now is "impatient"
 *   JOINED   both got "ok", bytes pass
 *   ENDING   our side is shut, what the other still sends is thrown away until its end of file:
 *            closing with unread bytes would make the kernel throw away what we sent
 *
 * Bytes pass by splice() through a pipe and never enter this process. A direction reads only when
 * its pipe is empty, so that at most one pipe full is between the two and the rest waits in the
 * sender. A pipe that is empty goes back to a small store; most directions need one only within a
 * turn.
 *
 * There is no half-close: when one side ends, what it sent is passed on and the other is ended too,
 * as the public relay does. */

#include "cw-relay-server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cw-listen.h"
#include "cw-origins.h"
#include "cw-relay-line.h"
#include "cw-watch.h"

/* The usual size of a pipe; what one call may move. */
#define CHUNK (64 * 1024)
/* Calls a direction gets before others have their turn. */
#define ROUNDS 16
#define MAX_SPARE_PIPES 16
#define MAX_TICK_MS 5000
#define SPARE_FILES 64
/* A connection, and one half of its pair's two pipes. */
#define FILES_PER_CONNECTION 3

const CwRelayServerLimits cw_relay_server_limits = {
    .max_connections = 1024,
    .max_pairs = 256,
    .max_per_address = 64,
    .max_per_token = 8,
    .line_ms = 30 * 1000,
    .wait_ms = 10 * 60 * 1000,
    .stall_ms = 60 * 60 * 1000,
    .linger_ms = 10 * 1000,
};

typedef enum {
    STATE_LINE,
    STATE_WAITING,
    STATE_JOINED,
    STATE_ENDING,
    N_STATES,
} State;

typedef struct {
    int in;
    int out;
} Pipe;

typedef struct _Conn Conn;

struct _Conn {
    CwRelayServer *server;
    State state;
    GList link;      /* in server->states[state], the oldest first */
    gint64 since_us; /* in this state, or since the pair moved a byte */
    gboolean doomed;
    GSocket *socket;
    CwWatch *watch;
    char *origin;
    guint8 line[CW_RELAY_LINE_MAX + 1]; /* one more byte shows that there is more */
    gsize line_len;
    CwRelayLine shown;
    Conn *buddy;    /* while joined */
    Pipe *pipe;     /* from here to buddy; NULL while nothing is in it */
    gsize held;     /* bytes in it */
    gboolean muted; /* its buddy takes nothing more */
};

struct _CwRelayServer {
    GObject parent_instance;

    CwRelayServerLimits limits;
    guint max_connections; /* what the limit of files leaves of it */
    gboolean listening;
    GPtrArray *acceptors;
    GSocketAddress *first;
    GSource *tick;
    GMainContext *context;
    CwOrigins *origins;
    GQueue states[N_STATES];
    GHashTable *waiting; /* token to GPtrArray of Conn, the newest last */
    GPtrArray *spare_pipes;
    GPtrArray *doomed; /* Conns to free when nothing refers to them any more */
};

G_DEFINE_FINAL_TYPE (CwRelayServer, cw_relay_server, G_TYPE_OBJECT)

/* Pipes */

static void
pipe_free (gpointer data)
{
    Pipe *pipe = data;

    close (pipe->in);
    close (pipe->out);
    g_free (pipe);
}

static Pipe *
pipe_take (CwRelayServer *self)
{
    int fds[2];
    Pipe *pipe;

    if (self->spare_pipes->len > 0)
        return g_ptr_array_steal_index_fast (self->spare_pipes, self->spare_pipes->len - 1);
    if (pipe2 (fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return NULL;
    pipe = g_new (Pipe, 1);
    pipe->out = fds[0];
    pipe->in = fds[1];
    return pipe;
}

/* An empty one is kept for the next. */
static void
conn_give_pipe_back (Conn *c)
{
    if (c->pipe == NULL)
        return;
    if (c->held == 0 && c->server->spare_pipes->len < MAX_SPARE_PIPES)
        g_ptr_array_add (c->server->spare_pipes, c->pipe);
    else
        pipe_free (c->pipe);
    c->pipe = NULL;
    c->held = 0;
}

/* States */

static void
stop_waiting (Conn *c)
{
    GPtrArray *same = g_hash_table_lookup (c->server->waiting, c->shown.token);

    g_ptr_array_remove (same, c);
    if (same->len == 0)
        g_hash_table_remove (c->server->waiting, c->shown.token);
}

static void
set_state (Conn *c, State state)
{
    if (c->state == STATE_WAITING)
        stop_waiting (c);
    g_queue_unlink (&c->server->states[c->state], &c->link);
    c->state = state;
    c->since_us = g_get_monotonic_time ();
    g_queue_push_tail_link (&c->server->states[state], &c->link);
}

static int
conn_fd (const Conn *c)
{
    return g_socket_get_fd (c->socket);
}

static void
conn_end (Conn *c)
{
    if (c->state == STATE_ENDING)
        return;
    c->buddy = NULL;
    conn_give_pipe_back (c);
    set_state (c, STATE_ENDING);
    shutdown (conn_fd (c), SHUT_WR);
    cw_watch_set (c->watch, G_IO_IN);
}

static void
conn_end_pair (Conn *c)
{
    Conn *buddy = c->buddy;

    conn_end (c);
    conn_end (buddy);
}

/* At once; whoever is joined to it is ended. */
static void
conn_doom (Conn *c)
{
    if (c->doomed)
        return;
    if (c->state == STATE_JOINED)
        conn_end_pair (c);
    c->doomed = TRUE;
    cw_watch_set (c->watch, 0);
    g_ptr_array_add (c->server->doomed, c);
}

static void
conn_free (gpointer data)
{
    Conn *c = data;

    if (c->state == STATE_WAITING)
        stop_waiting (c);
    g_queue_unlink (&c->server->states[c->state], &c->link);
    conn_give_pipe_back (c);
    cw_origins_leave (c->server->origins, c->origin);
    cw_watch_free (c->watch);
    g_object_unref (c->socket);
    g_free (c);
}

static void
conn_refuse (Conn *c, const char *answer)
{
    /* A new connection has room for a few bytes. */
    if (send (conn_fd (c), answer, strlen (answer), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        conn_doom (c);
    else
        conn_end (c);
}

/* Passing bytes */

typedef enum {
    MOVED,
    BLOCKED,
    BROKEN, /* or at its end */
} Moved;

static Moved
moved (ssize_t n)
{
    if (n > 0)
        return MOVED;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? BLOCKED : BROKEN;
}

static Moved
read_into_pipe (Conn *from)
{
    ssize_t n;

    if (from->pipe == NULL)
        from->pipe = pipe_take (from->server);
    if (from->pipe == NULL)
        return BROKEN;
    n = splice (conn_fd (from), NULL, from->pipe->in, NULL, CHUNK,
                SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0)
        from->held = (gsize)n;
    return moved (n);
}

/* Writing to a socket that is gone would raise SIGPIPE, but GSocket has it ignored. */
static Moved
write_from_pipe (Conn *from)
{
    ssize_t n = splice (from->pipe->out, NULL, conn_fd (from->buddy), NULL, from->held,
                        SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    if (n > 0)
        from->held -= (gsize)n;
    return moved (n);
}

typedef enum {
    GOING,
    FROM_OVER, /* nothing more comes, and what came has been passed on */
    TO_GONE,   /* nobody takes it any more */
} Pumped;

/* Moves what can be moved from @from to its buddy. */
static Pumped
pump (Conn *from)
{
    for (int round = 0; round < ROUNDS; round++) {
        Moved result;
        if (from->held == 0) {
            result = read_into_pipe (from);
            if (result == BROKEN)
                return FROM_OVER;
            if (result == BLOCKED)
                break;
        }
        result = write_from_pipe (from);
        if (result == BROKEN)
            return TO_GONE;
        if (result == BLOCKED)
            break;
        from->since_us = from->buddy->since_us = g_get_monotonic_time ();
    }
    if (from->held == 0)
        conn_give_pipe_back (from);
    return GOING;
}

/* A connection that takes nothing more may still have sent something before: that is passed on
 * until its own end is read, and only its buddy's bytes are lost. */
static void
pass (Conn *from)
{
    switch (pump (from)) {
    case GOING:
        break;
    case FROM_OVER:
        conn_end_pair (from);
        break;
    case TO_GONE:
        conn_give_pipe_back (from);
        from->muted = TRUE;
        if (from->buddy->muted)
            conn_end_pair (from);
        break;
    }
}

static void
watch_one (Conn *c)
{
    cw_watch_set (c->watch,
                  (c->held == 0 && !c->muted ? G_IO_IN : 0) | (c->buddy->held > 0 ? G_IO_OUT : 0));
}

static void
watch_pair (Conn *c)
{
    watch_one (c);
    watch_one (c->buddy);
}

static void
on_joined_ready (Conn *c, GIOCondition ready)
{
    if (c->buddy->held > 0 && (ready & (G_IO_OUT | G_IO_HUP | G_IO_ERR)))
        pass (c->buddy);
    if (c->state == STATE_JOINED && c->held == 0 && !c->muted
        && (ready & (G_IO_IN | G_IO_HUP | G_IO_ERR)))
        pass (c);
    if (c->state == STATE_JOINED)
        watch_pair (c);
}

/* Meeting */

/* The newest with another side: an older one is more likely to be dead. */
static Conn *
find_partner (GPtrArray *same, const CwRelayLine *line)
{
    for (guint i = same->len; i > 0; i--) {
        Conn *c = same->pdata[i - 1];
        if (*line->side == '\0' || *c->shown.side == '\0'
            || !g_str_equal (line->side, c->shown.side))
            return c;
    }
    return NULL;
}

static void
wait_for_partner (Conn *c)
{
    GHashTable *waiting = c->server->waiting;
    GPtrArray *same = g_hash_table_lookup (waiting, c->shown.token);

    if (same != NULL && same->len >= c->server->limits.max_per_token)
        conn_doom (same->pdata[0]);
    if (same == NULL) {
        same = g_ptr_array_new ();
        g_hash_table_insert (waiting, g_strdup (c->shown.token), same);
    }
    g_ptr_array_add (same, c);
    set_state (c, STATE_WAITING);
}

static void
join (Conn *c, Conn *partner)
{
    g_autoptr (GPtrArray) same
        = g_ptr_array_ref (g_hash_table_lookup (c->server->waiting, partner->shown.token));
    Conn *both[] = { c, partner };

    set_state (partner, STATE_JOINED);
    /* Others of the same client that came in vain. */
    while (same->len > 0)
        conn_end (same->pdata[0]);
    set_state (c, STATE_JOINED);
    c->buddy = partner;
    partner->buddy = c;
    for (int i = 0; i < 2; i++) {
        if (send (conn_fd (both[i]), CW_RELAY_OK, strlen (CW_RELAY_OK), MSG_NOSIGNAL | MSG_DONTWAIT)
            < 0) {
            conn_end_pair (c);
            return;
        }
    }
    watch_pair (c);
}

static void
on_line (Conn *c)
{
    CwRelayServer *self = c->server;
    GPtrArray *same = g_hash_table_lookup (self->waiting, c->shown.token);
    Conn *partner = same != NULL ? find_partner (same, &c->shown) : NULL;

    if (partner == NULL)
        wait_for_partner (c);
    else if (self->states[STATE_JOINED].length / 2 >= self->limits.max_pairs)
        conn_end (c);
    else
        join (c, partner);
}

static void
on_line_ready (Conn *c)
{
    ssize_t n
        = recv (conn_fd (c), c->line + c->line_len, sizeof c->line - c->line_len, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_doom (c);
        return;
    }
    c->line_len += (gsize)n;
    switch (cw_relay_line_parse (c->line, c->line_len, &c->shown)) {
    case CW_RELAY_LINE_SHORT:
        break;
    case CW_RELAY_LINE_WHOLE:
        on_line (c);
        break;
    case CW_RELAY_LINE_TRAILING:
        conn_refuse (c, CW_RELAY_IMPATIENT);
        break;
    case CW_RELAY_LINE_MALFORMED:
        conn_refuse (c, CW_RELAY_BAD);
        break;
    }
}

static void
on_waiting_ready (Conn *c)
{
    guint8 byte;
    ssize_t n = recv (conn_fd (c), &byte, 1, MSG_DONTWAIT);

    if (n > 0)
        conn_refuse (c, CW_RELAY_IMPATIENT);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        conn_doom (c);
}

static void
on_ending_ready (Conn *c)
{
    guint8 buffer[16 * 1024];
    ssize_t n = recv (conn_fd (c), buffer, sizeof buffer, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        conn_doom (c);
}

static void
reap (CwRelayServer *self)
{
    g_ptr_array_set_size (self->doomed, 0);
}

static void
on_ready (GIOCondition ready, gpointer user_data)
{
    Conn *c = user_data;
    CwRelayServer *self = c->server;

    switch (c->state) {
    case STATE_LINE:
        on_line_ready (c);
        break;
    case STATE_WAITING:
        on_waiting_ready (c);
        break;
    case STATE_JOINED:
        on_joined_ready (c, ready);
        break;
    case STATE_ENDING:
        on_ending_ready (c);
        break;
    case N_STATES:
        g_assert_not_reached ();
    }
    reap (self);
}

/* Time */

static guint
state_limit_ms (const CwRelayServerLimits *limits, State state)
{
    switch (state) {
    case STATE_LINE:
        return limits->line_ms;
    case STATE_WAITING:
        return limits->wait_ms;
    case STATE_JOINED:
        return limits->stall_ms;
    case STATE_ENDING:
        return limits->linger_ms;
    case N_STATES:
        break;
    }
    g_assert_not_reached ();
}

static gboolean
on_tick (gpointer user_data)
{
    CwRelayServer *self = user_data;
    gint64 now_us = g_get_monotonic_time ();
    /* Collected first: dooming a joined one moves its buddy to another queue. */
    g_autoptr (GPtrArray) late = g_ptr_array_new ();
    guint left = 0;

    for (State state = 0; state < N_STATES; state++) {
        gint64 limit_us = state_limit_ms (&self->limits, state) * (gint64)1000;
        for (GList *l = self->states[state].head; l != NULL; l = l->next) {
            Conn *c = l->data;
            if (now_us - c->since_us >= limit_us)
                g_ptr_array_add (late, c);
        }
    }
    for (guint i = 0; i < late->len; i++)
        conn_doom (late->pdata[i]);
    reap (self);
    for (State state = 0; state < N_STATES; state++)
        left += self->states[state].length;
    if (left > 0)
        return G_SOURCE_CONTINUE;
    g_clear_pointer (&self->tick, g_source_unref);
    return G_SOURCE_REMOVE;
}

/* Runs only while there is somebody. */
static void
start_tick (CwRelayServer *self)
{
    const CwRelayServerLimits *limits = &self->limits;
    guint shortest
        = MIN (MIN (limits->line_ms, limits->wait_ms), MIN (limits->stall_ms, limits->linger_ms));

    if (self->tick != NULL)
        return;
    self->tick = g_timeout_source_new (CLAMP (shortest / 4, 1, MAX_TICK_MS));
    g_source_set_callback (self->tick, on_tick, self, NULL);
    g_source_attach (self->tick, self->context);
}

/* Accepting */

/* When all places are taken, the one that has said nothing for longest goes, then the one that has
 * waited longest; pairs stay. */
static gboolean
make_room (CwRelayServer *self)
{
    static const State order[] = { STATE_ENDING, STATE_LINE, STATE_WAITING };
    guint count = 0;

    for (State state = 0; state < N_STATES; state++)
        count += self->states[state].length;
    if (count < self->max_connections)
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
        GQueue *queue = &self->states[order[i]];
        if (!g_queue_is_empty (queue)) {
            conn_doom (g_queue_peek_head (queue));
            reap (self);
            return TRUE;
        }
    }
    return FALSE;
}

static void
conn_new (CwRelayServer *self, GSocket *socket, char *origin)
{
    Conn *c = g_new0 (Conn, 1);

    c->server = self;
    c->socket = g_object_ref (socket);
    c->origin = origin;
    c->link.data = c;
    c->since_us = g_get_monotonic_time ();
    g_queue_push_tail_link (&self->states[STATE_LINE], &c->link);
    c->watch = cw_watch_new (conn_fd (c), on_ready, c);
    cw_watch_set (c->watch, G_IO_IN);
    start_tick (self);
}

static void
on_accepted (GSocket *socket, gpointer user_data)
{
    CwRelayServer *self = user_data;
    g_autoptr (GInetSocketAddress) remote = cw_listen_dup_remote (socket);
    char *origin;

    if (remote == NULL
        || !cw_origins_enter (self->origins, g_inet_socket_address_get_address (remote), &origin))
        return;
    if (!make_room (self)) {
        cw_origins_leave (self->origins, origin);
        return;
    }
    cw_listen_keep_alive (socket);
    conn_new (self, socket, origin);
}

/* Public */

CwRelayServer *
cw_relay_server_new (void)
{
    return g_object_new (CW_TYPE_RELAY_SERVER, NULL);
}

void
cw_relay_server_set_limits (CwRelayServer *self, const CwRelayServerLimits *limits)
{
    g_return_if_fail (CW_IS_RELAY_SERVER (self) && !self->listening);

    self->limits = *limits;
}

static void
start (CwRelayServer *self)
{
    guint files
        = cw_listen_raise_files (FILES_PER_CONNECTION * self->limits.max_connections + SPARE_FILES);

    self->listening = TRUE;
    self->max_connections
        = MIN (self->limits.max_connections,
               (MAX (files, 2 * SPARE_FILES) - SPARE_FILES) / FILES_PER_CONNECTION);
    self->origins = cw_origins_new (self->limits.max_per_address);
    self->context = g_main_context_ref_thread_default ();
}

gboolean
cw_relay_server_listen (CwRelayServer *self, const char *address, GError **error)
{
    g_autoptr (GSocketListener) listener = g_socket_listener_new ();
    g_autoptr (GSocketAddress) first = NULL;

    g_return_val_if_fail (CW_IS_RELAY_SERVER (self), FALSE);

    if (!cw_listen_add (listener, address, &first, error))
        return FALSE;
    if (!self->listening)
        start (self);
    if (self->first == NULL)
        self->first = g_steal_pointer (&first);
    g_ptr_array_add (self->acceptors, cw_acceptor_new (listener, on_accepted, self));
    return TRUE;
}

char *
cw_relay_server_dup_address (CwRelayServer *self)
{
    g_autofree char *address = NULL;

    g_return_val_if_fail (CW_IS_RELAY_SERVER (self) && self->first != NULL, NULL);

    address = cw_listen_dup_address (self->first);
    return g_strconcat ("tcp:", address, NULL);
}

void
cw_relay_server_stop (CwRelayServer *self)
{
    g_return_if_fail (CW_IS_RELAY_SERVER (self));

    if (!self->listening)
        return;
    self->listening = FALSE;
    g_ptr_array_set_size (self->acceptors, 0);
    for (State state = 0; state < N_STATES; state++) {
        while (!g_queue_is_empty (&self->states[state])) {
            conn_doom (g_queue_peek_head (&self->states[state]));
            reap (self);
        }
    }
    if (self->tick != NULL) {
        g_source_destroy (self->tick);
        g_clear_pointer (&self->tick, g_source_unref);
    }
    g_ptr_array_set_size (self->spare_pipes, 0);
    g_clear_pointer (&self->origins, cw_origins_free);
    g_clear_pointer (&self->context, g_main_context_unref);
    g_clear_object (&self->first);
}

static void
cw_relay_server_finalize (GObject *object)
{
    CwRelayServer *self = CW_RELAY_SERVER (object);

    cw_relay_server_stop (self);
    g_ptr_array_unref (self->acceptors);
    g_ptr_array_unref (self->doomed);
    g_ptr_array_unref (self->spare_pipes);
    g_hash_table_unref (self->waiting);

    G_OBJECT_CLASS (cw_relay_server_parent_class)->finalize (object);
}

static void
cw_relay_server_class_init (CwRelayServerClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_relay_server_finalize;
}

static void
cw_relay_server_init (CwRelayServer *self)
{
    self->limits = cw_relay_server_limits;
    self->acceptors = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_acceptor_free);
    self->waiting = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                           (GDestroyNotify)g_ptr_array_unref);
    self->spare_pipes = g_ptr_array_new_with_free_func (pipe_free);
    self->doomed = g_ptr_array_new_with_free_func (conn_free);
    for (State state = 0; state < N_STATES; state++)
        g_queue_init (&self->states[state]);
}
