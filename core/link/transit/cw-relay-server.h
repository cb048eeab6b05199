/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The embedded Transit relay: joins two TCP connections that show the same token and passes their
 * bytes. Bounded in connections, waiting time and memory. Main-context object. */

#include <gio/gio.h>

G_BEGIN_DECLS

#define CW_TYPE_RELAY_SERVER (cw_relay_server_get_type ())
G_DECLARE_FINAL_TYPE (CwRelayServer, cw_relay_server, CW, RELAY_SERVER, GObject)

CwRelayServer *cw_relay_server_new (void);
/* As cw_mailbox_server_listen(). */
gboolean cw_relay_server_listen (CwRelayServer *self, const char *address, GError **error);
/* "tcp:127.0.0.1:4001" of the first socket. Free with g_free(). */
char *cw_relay_server_dup_address (CwRelayServer *self);
void cw_relay_server_stop (CwRelayServer *self);

G_END_DECLS
