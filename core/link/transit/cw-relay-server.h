/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The embedded Transit relay: joins two TCP connections that show the same token and passes their
 * bytes. Bounded in connections, waiting time and memory. Main-context object. */

#include <gio/gio.h>

G_BEGIN_DECLS

/* What strangers may cost us. */
typedef struct {
    guint max_connections; /* fewer where the process may not have so many files open */
    guint max_pairs;       /* joined; at most 64 KiB of theirs is between them in each direction */
    guint
        max_per_address; /* connections of one IPv4 address or IPv6 /64; loopback is free of this */
    guint max_per_token; /* waiting with the same token: the oldest goes */
    guint line_ms;       /* from connecting to a complete line */
    guint wait_ms;       /* from the line to the other's coming */
    guint stall_ms;      /* a pair without a byte moving */
    guint linger_ms;     /* from our last byte to the other's end of file */
} CwRelayServerLimits;

extern const CwRelayServerLimits cw_relay_server_limits;

#define CW_TYPE_RELAY_SERVER (cw_relay_server_get_type ())
G_DECLARE_FINAL_TYPE (CwRelayServer, cw_relay_server, CW, RELAY_SERVER, GObject)

CwRelayServer *cw_relay_server_new (void);
/* Other limits than cw_relay_server_limits. Before listening. */
void cw_relay_server_set_limits (CwRelayServer *self, const CwRelayServerLimits *limits);
/* As cw_mailbox_server_listen(). */
gboolean cw_relay_server_listen (CwRelayServer *self, const char *address, GError **error);
/* "tcp:127.0.0.1:4001" of the first socket. Free with g_free(). */
char *cw_relay_server_dup_address (CwRelayServer *self);
/* As cw_mailbox_server_stop(). */
void cw_relay_server_stop (CwRelayServer *self);

G_END_DECLS
