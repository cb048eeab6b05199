/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The embedded mailbox server: the same protocol as the public one, in memory, bounded. I/O
 * between the pure machines cw-ws-peer.h, one for each connection, and cw-mailbox-board.h.
 * Main-context object. */

#include <gio/gio.h>

G_BEGIN_DECLS

/* What strangers may cost us. The board has limits of its own. */
typedef struct {
    guint max_connections; /* fewer where the process may not have so many files open */
    guint max_per_address; /* of one IPv4 address or IPv6 /64; loopback is free of this */
    guint bind_ms;         /* from connecting to a complete "bind" */
    guint linger_ms;       /* from our last byte to the other's end of file */
    guint ping_ms;         /* between pings */
    guint silent_ms;       /* without any sign of life */
    gsize max_message;     /* bytes of a client's message */
    gsize max_lag;         /* bytes waiting for a slow reader */
    gsize max_memory;      /* of unfinished and unsent messages in all: then the worst one goes */
} CwMailboxServerLimits;

extern const CwMailboxServerLimits cw_mailbox_server_limits;

#define CW_TYPE_MAILBOX_SERVER (cw_mailbox_server_get_type ())
G_DECLARE_FINAL_TYPE (CwMailboxServer, cw_mailbox_server, CW, MAILBOX_SERVER, GObject)

CwMailboxServer *cw_mailbox_server_new (void);
/* @motd: message of the day, or NULL. Before listening. */
void cw_mailbox_server_set_motd (CwMailboxServer *self, const char *motd);
/* Other limits than cw_mailbox_server_limits. Before listening. */
void cw_mailbox_server_set_limits (CwMailboxServer *self, const CwMailboxServerLimits *limits);
/* "ADDR:PORT", "[ADDR6]:PORT", "localhost:PORT" or ":PORT" (every address); port 0 picks one.
 * FALSE and a G_IO_ERROR (or G_IO_ERROR_INVALID_ARGUMENT for the text) otherwise. May be
 * called more than once. Serves in the thread-default main context of the caller. */
gboolean cw_mailbox_server_listen (CwMailboxServer *self, const char *address, GError **error);
/* "ws://127.0.0.1:4000/v1" of the first socket. Free with g_free(). */
char *cw_mailbox_server_dup_url (CwMailboxServer *self);
/* Closes everything; mailboxes are forgotten. For g_unix_signal_add() and any other callback of the
 * main context; stopping twice does no harm. */
void cw_mailbox_server_stop (CwMailboxServer *self);

G_END_DECLS
