/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#define G_LOG_DOMAIN "causeway-mailbox"

/* A connection is read only while little waits to be sent to it, so what a client can make us hold
 * is what others say to it; past max_lag of that it is dropped. Whoever has not bound in time goes,
 * and when all places are taken the longest unbound one goes first, so that connections which say
 * nothing do not keep others out. Ends are gentle: the last bytes are sent, our side is shut, and
 * the other's rest is read for a moment, for closing at once would make the kernel throw both away.
 */

#include "cw-mailbox-server.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>

#include "cw-listen.h"
#include "cw-mailbox-board.h"
#include "cw-origins.h"
#include "cw-watch.h"
#include "cw-ws-peer.h"

#define PATH "/v1"
#define GREETING "Causeway mailbox server\n"
/* Taken from a socket at a turn: a flood waits its turn like everybody else. */
#define READ_SIZE (16 * 1024)
/* With more than this to send to it, a connection is not read. */
#define READ_PAUSE (64 * 1024)
#define MAX_LINGER_BYTES (256 * 1024)
#define MAX_TICK_MS 5000
/* Kernel buffers: messages are small, and there may be thousands of connections. */
#define SOCKET_BUFFER (64 * 1024)
/* Files a process needs for itself. */
#define SPARE_FILES 64

const CwMailboxServerLimits cw_mailbox_server_limits = {
    .max_connections = 4096,
    .max_per_address = 256,
    .bind_ms = 60 * 1000,
    .linger_ms = 5 * 1000,
    .ping_ms = 60 * 1000,
    .silent_ms = 600 * 1000,
    .max_message = 128 * 1024,
    .max_lag = 1024 * 1024,
    .max_memory = 32 * 1024 * 1024,
};

typedef struct {
    CwMailboxServer *server;
    GList unbound; /* our link in server->unbound while not bound */
    gboolean is_unbound;
    guint number;
    GSocket *socket;
    GInetSocketAddress *remote; /* until the welcome */
    char *origin;
    CwWatch *watch;
    CwWsPeer *peer;
    gboolean on_board;
    gboolean touched;   /* in server->touched */
    gboolean ending;    /* the WebSocket is over: the last bytes go out, until deadline_us */
    gboolean lingering; /* they are out, and our side is shut */
    gboolean doomed;    /* in server->doomed */
    gsize linger_bytes;
    gsize memory;       /* its part of server->memory */
    gint64 deadline_us; /* to bind, or of ending */
    gint64 heard_us;
    gint64 pinged_us;
} Client;

struct _CwMailboxServer {
    GObject parent_instance;

    CwMailboxServerLimits limits;
    guint max_connections; /* what the limit of files leaves of it */
    char *motd;
    CwMailboxBoard *board; /* NULL while not listening */
    GPtrArray *acceptors;
    GSocketAddress *first;
    GSource *tick;
    GMainContext *context;
    GHashTable *clients; /* number to Client */
    CwOrigins *origins;
    GQueue unbound;     /* of Client, the oldest first */
    GPtrArray *touched; /* Clients with something new to send */
    GPtrArray *doomed;  /* Clients to free when nothing refers to them any more */
    guint next_number;
    gsize memory;
    guint8 buffer[READ_SIZE];
};

G_DEFINE_FINAL_TYPE (CwMailboxServer, cw_mailbox_server, G_TYPE_OBJECT)

static void
client_leave_board (Client *c)
{
    if (c->on_board)
        cw_mailbox_board_disconnect (c->server->board, c->number);
    c->on_board = FALSE;
}

static void
client_set_bound (Client *c)
{
    if (c->is_unbound)
        g_queue_unlink (&c->server->unbound, &c->unbound);
    c->is_unbound = FALSE;
}

static void
client_doom (Client *c)
{
    if (c->doomed)
        return;
    c->doomed = TRUE;
    client_leave_board (c);
    client_set_bound (c);
    cw_watch_set (c->watch, 0);
    g_ptr_array_add (c->server->doomed, c);
}

static void
client_count_memory (Client *c)
{
    gsize memory = cw_ws_peer_get_memory (c->peer);

    c->server->memory += memory - c->memory;
    c->memory = memory;
}

static void
client_free (gpointer data)
{
    Client *c = data;

    c->server->memory -= c->memory;
    cw_origins_leave (c->server->origins, c->origin);
    cw_watch_free (c->watch);
    cw_ws_peer_free (c->peer);
    g_clear_object (&c->remote);
    g_object_unref (c->socket);
    g_free (c);
}

static void
reap (CwMailboxServer *self)
{
    for (guint i = 0; i < self->doomed->len; i++) {
        Client *c = self->doomed->pdata[i];
        g_hash_table_remove (self->clients, GUINT_TO_POINTER (c->number));
    }
    g_ptr_array_set_size (self->doomed, 0);
}

/* Sending */

static void
client_end (Client *c, gboolean all_sent)
{
    if (!c->ending) {
        c->ending = TRUE;
        c->deadline_us = g_get_monotonic_time () + c->server->limits.linger_ms * (gint64)1000;
        client_leave_board (c);
    }
    if (all_sent && !c->lingering) {
        c->lingering = TRUE;
        shutdown (g_socket_get_fd (c->socket), SHUT_WR);
    }
}

static void
client_flush (Client *c)
{
    int fd = g_socket_get_fd (c->socket);
    const guint8 *data;
    gsize len;

    if (c->doomed)
        return;
    while (data = cw_ws_peer_peek (c->peer, &len), len > 0) {
        ssize_t n = send (fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            client_doom (c);
            return;
        }
        cw_ws_peer_sent (c->peer, (gsize)n);
    }
    if (cw_ws_peer_is_closing (c->peer))
        client_end (c, len == 0);
    client_count_memory (c);
    cw_watch_set (c->watch, (len <= READ_PAUSE ? G_IO_IN : 0) | (len > 0 ? G_IO_OUT : 0));
}

/* The one who holds most goes when all together hold too much. */
static void
doom_worst (CwMailboxServer *self)
{
    Client *worst = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init (&iter, self->clients);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        Client *c = value;
        if (!c->doomed && (worst == NULL || c->memory > worst->memory))
            worst = c;
    }
    if (worst == NULL)
        return;
    g_debug ("connection %u holds %zu bytes of too many: dropped", worst->number, worst->memory);
    client_doom (worst);
    self->memory -= worst->memory;
    worst->memory = 0;
}

static void
touch (Client *c)
{
    if (!c->touched)
        g_ptr_array_add (c->server->touched, c);
    c->touched = TRUE;
}

static void
pass_output (CwMailboxServer *self, const CwMailboxOutput *output)
{
    Client *c = g_hash_table_lookup (self->clients, GUINT_TO_POINTER (output->connection));
    const char *text;
    gsize len;

    if (c == NULL || c->doomed)
        return;
    touch (c);
    if (output->text == NULL) {
        c->on_board = FALSE;
        cw_ws_peer_close (c->peer, 1008);
        return;
    }
    text = g_bytes_get_data (output->text, &len);
    cw_ws_peer_send_text (c->peer, text, len);
    cw_ws_peer_peek (c->peer, &len);
    if (len > self->limits.max_lag) {
        g_debug ("connection %u does not read: dropped", c->number);
        client_doom (c);
    }
}

static void
pass_outputs (CwMailboxServer *self)
{
    CwMailboxOutput output;

    while (cw_mailbox_board_next (self->board, &output)) {
        pass_output (self, &output);
        g_clear_pointer (&output.text, g_bytes_unref);
    }
}

/* What was queued goes out, and what is over goes away: the end of every callback. */
static void
settle (CwMailboxServer *self)
{
    for (guint i = 0; i < self->touched->len; i++) {
        Client *c = self->touched->pdata[i];
        c->touched = FALSE;
        client_flush (c);
    }
    g_ptr_array_set_size (self->touched, 0);
    while (self->memory > self->limits.max_memory)
        doom_worst (self);
    reap (self);
}

/* Receiving */

static void
client_welcome (Client *c)
{
    g_autofree char *ip = g_inet_address_to_string (g_inet_socket_address_get_address (c->remote));

    c->on_board = TRUE;
    cw_mailbox_board_connect (c->server->board, c->number, ip,
                              g_inet_socket_address_get_port (c->remote), g_get_monotonic_time ());
    g_clear_object (&c->remote);
}

static void
client_message (Client *c)
{
    CwMailboxBoard *board = c->server->board;
    guint8 random[CW_MAILBOX_BOARD_RANDOM];
    gsize len;
    const char *text = cw_ws_peer_get_message (c->peer, &len);

    randombytes_buf (random, sizeof random);
    cw_mailbox_board_receive (board, c->number, text, len, random, g_get_monotonic_time ());
    if (c->is_unbound && cw_mailbox_board_is_bound (board, c->number))
        client_set_bound (c);
}

static void
client_take (Client *c, const guint8 *data, gsize len)
{
    CwWsEvent event;

    do {
        event = cw_ws_peer_receive (c->peer, &data, &len);
        switch (event) {
        case CW_WS_OPEN:
            client_welcome (c);
            pass_outputs (c->server);
            break;
        case CW_WS_MESSAGE:
            client_message (c);
            pass_outputs (c->server);
            break;
        case CW_WS_MORE:
        case CW_WS_CLOSING:
            break;
        }
    } while (event == CW_WS_OPEN || event == CW_WS_MESSAGE);
    touch (c);
}

static void
client_read (Client *c)
{
    CwMailboxServer *self = c->server;
    ssize_t n = recv (g_socket_get_fd (c->socket), self->buffer, sizeof self->buffer, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_doom (c);
        return;
    }
    if (c->lingering) {
        c->linger_bytes += (gsize)n;
        if (c->linger_bytes > MAX_LINGER_BYTES)
            client_doom (c);
        return;
    }
    c->heard_us = g_get_monotonic_time ();
    client_take (c, self->buffer, (gsize)n);
}

static void
on_ready (GIOCondition ready, gpointer user_data)
{
    Client *c = user_data;
    CwMailboxServer *self = c->server;

    if (ready & G_IO_OUT)
        client_flush (c);
    if (!c->doomed && (ready & (G_IO_IN | G_IO_HUP | G_IO_ERR)))
        client_read (c);
    settle (self);
}

/* Time */

static void
client_tick (Client *c, gint64 now_us)
{
    const CwMailboxServerLimits *limits = &c->server->limits;

    if (c->doomed)
        return;
    if ((c->is_unbound || c->ending) && now_us >= c->deadline_us) {
        client_doom (c);
        return;
    }
    if (now_us - c->heard_us >= limits->silent_ms * (gint64)1000) {
        client_doom (c);
        return;
    }
    if (cw_ws_peer_is_open (c->peer) && now_us - c->pinged_us >= limits->ping_ms * (gint64)1000) {
        c->pinged_us = now_us;
        cw_ws_peer_send_ping (c->peer);
        touch (c);
    }
}

static gboolean
on_tick (gpointer user_data)
{
    CwMailboxServer *self = user_data;
    gint64 now_us = g_get_monotonic_time ();
    CwMailboxBoardStats stats;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init (&iter, self->clients);
    while (g_hash_table_iter_next (&iter, NULL, &value))
        client_tick (value, now_us);
    cw_mailbox_board_expire (self->board, now_us);
    settle (self);
    cw_mailbox_board_get_stats (self->board, &stats);
    if (g_hash_table_size (self->clients) > 0 || stats.mailboxes > 0 || stats.nameplates > 0)
        return G_SOURCE_CONTINUE;
    g_clear_pointer (&self->tick, g_source_unref);
    return G_SOURCE_REMOVE;
}

/* Runs only while there is somebody, or something to forget. */
static void
start_tick (CwMailboxServer *self)
{
    const CwMailboxServerLimits *limits = &self->limits;
    guint shortest
        = MIN (MIN (limits->bind_ms, limits->linger_ms), MIN (limits->ping_ms, limits->silent_ms));

    if (self->tick != NULL)
        return;
    self->tick = g_timeout_source_new (CLAMP (shortest / 4, 1, MAX_TICK_MS));
    g_source_set_callback (self->tick, on_tick, self, NULL);
    g_source_attach (self->tick, self->context);
}

/* Accepting */

static gboolean
make_room (CwMailboxServer *self)
{
    if (g_hash_table_size (self->clients) < self->max_connections)
        return TRUE;
    if (g_queue_is_empty (&self->unbound))
        return FALSE;
    client_doom (g_queue_peek_head (&self->unbound));
    reap (self);
    return TRUE;
}

static guint
unused_number (CwMailboxServer *self)
{
    while (g_hash_table_contains (self->clients, GUINT_TO_POINTER (self->next_number)))
        self->next_number++;
    return self->next_number++;
}

static void
client_new (CwMailboxServer *self, GSocket *socket, GInetSocketAddress *remote, char *origin)
{
    Client *c = g_new0 (Client, 1);

    c->server = self;
    c->number = unused_number (self);
    c->socket = g_object_ref (socket);
    c->remote = g_object_ref (remote);
    c->origin = origin;
    c->peer = cw_ws_peer_new (PATH, GREETING, self->limits.max_message);
    c->watch = cw_watch_new (g_socket_get_fd (socket), on_ready, c);
    c->heard_us = c->pinged_us = g_get_monotonic_time ();
    c->deadline_us = c->heard_us + self->limits.bind_ms * (gint64)1000;
    c->unbound.data = c;
    c->is_unbound = TRUE;
    g_queue_push_tail_link (&self->unbound, &c->unbound);
    g_hash_table_insert (self->clients, GUINT_TO_POINTER (c->number), c);
    cw_watch_set (c->watch, G_IO_IN);
    start_tick (self);
}

static void
on_accepted (GSocket *socket, gpointer user_data)
{
    CwMailboxServer *self = user_data;
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
    g_socket_set_option (socket, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER, NULL);
    client_new (self, socket, remote, origin);
}

/* Public */

CwMailboxServer *
cw_mailbox_server_new (void)
{
    return g_object_new (CW_TYPE_MAILBOX_SERVER, NULL);
}

void
cw_mailbox_server_set_motd (CwMailboxServer *self, const char *motd)
{
    g_return_if_fail (CW_IS_MAILBOX_SERVER (self) && self->board == NULL);

    g_free (self->motd);
    self->motd = g_strdup (motd);
}

void
cw_mailbox_server_set_limits (CwMailboxServer *self, const CwMailboxServerLimits *limits)
{
    g_return_if_fail (CW_IS_MAILBOX_SERVER (self) && self->board == NULL);

    self->limits = *limits;
}

static void
start (CwMailboxServer *self)
{
    gint64 now_us = g_get_monotonic_time ();
    guint files = cw_listen_raise_files (self->limits.max_connections + SPARE_FILES);

    self->max_connections
        = MIN (self->limits.max_connections, MAX (files, 2 * SPARE_FILES) - SPARE_FILES);
    self->origins = cw_origins_new (self->limits.max_per_address);
    self->context = g_main_context_ref_thread_default ();
    self->board = cw_mailbox_board_new (self->motd, NULL, g_get_real_time () - now_us, now_us);
}

gboolean
cw_mailbox_server_listen (CwMailboxServer *self, const char *address, GError **error)
{
    g_autoptr (GSocketListener) listener = g_socket_listener_new ();
    g_autoptr (GSocketAddress) first = NULL;

    g_return_val_if_fail (CW_IS_MAILBOX_SERVER (self), FALSE);

    if (!cw_listen_add (listener, address, &first, error))
        return FALSE;
    if (self->board == NULL)
        start (self);
    if (self->first == NULL)
        self->first = g_steal_pointer (&first);
    g_ptr_array_add (self->acceptors, cw_acceptor_new (listener, on_accepted, self));
    return TRUE;
}

char *
cw_mailbox_server_dup_url (CwMailboxServer *self)
{
    g_autofree char *address = NULL;

    g_return_val_if_fail (CW_IS_MAILBOX_SERVER (self) && self->first != NULL, NULL);

    address = cw_listen_dup_address (self->first);
    return g_strconcat ("ws://", address, PATH, NULL);
}

void
cw_mailbox_server_stop (CwMailboxServer *self)
{
    GHashTableIter iter;
    gpointer value;

    g_return_if_fail (CW_IS_MAILBOX_SERVER (self));

    if (self->board == NULL)
        return;
    g_ptr_array_set_size (self->acceptors, 0);
    g_hash_table_iter_init (&iter, self->clients);
    while (g_hash_table_iter_next (&iter, NULL, &value))
        client_doom (value);
    reap (self);
    if (self->tick != NULL) {
        g_source_destroy (self->tick);
        g_clear_pointer (&self->tick, g_source_unref);
    }
    g_clear_pointer (&self->board, cw_mailbox_board_free);
    g_clear_pointer (&self->origins, cw_origins_free);
    g_clear_pointer (&self->context, g_main_context_unref);
    g_clear_object (&self->first);
}

static void
cw_mailbox_server_finalize (GObject *object)
{
    CwMailboxServer *self = CW_MAILBOX_SERVER (object);

    cw_mailbox_server_stop (self);
    g_ptr_array_unref (self->acceptors);
    g_hash_table_unref (self->clients);
    g_ptr_array_unref (self->touched);
    g_ptr_array_unref (self->doomed);
    g_free (self->motd);

    G_OBJECT_CLASS (cw_mailbox_server_parent_class)->finalize (object);
}

static void
cw_mailbox_server_class_init (CwMailboxServerClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_mailbox_server_finalize;
}

static void
cw_mailbox_server_init (CwMailboxServer *self)
{
    self->limits = cw_mailbox_server_limits;
    self->acceptors = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_acceptor_free);
    self->clients = g_hash_table_new_full (NULL, NULL, NULL, client_free);
    g_queue_init (&self->unbound);
    self->touched = g_ptr_array_new ();
    self->doomed = g_ptr_array_new ();
}
