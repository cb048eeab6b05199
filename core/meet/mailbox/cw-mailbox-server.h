/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The embedded mailbox server: the same protocol as the public one, in memory, bounded. I/O glue
 * over the pure board in cw-mailbox-board.h. Main-context object. */

#include <gio/gio.h>

G_BEGIN_DECLS

#define CW_TYPE_MAILBOX_SERVER (cw_mailbox_server_get_type ())
G_DECLARE_FINAL_TYPE (CwMailboxServer, cw_mailbox_server, CW, MAILBOX_SERVER, GObject)

CwMailboxServer *cw_mailbox_server_new (void);
/* @motd: message of the day, or NULL. Before listening. */
void cw_mailbox_server_set_motd (CwMailboxServer *self, const char *motd);
/* "ADDR:PORT", "[ADDR6]:PORT", "localhost:PORT" or ":PORT" (every address); port 0 picks one.
 * FALSE and a G_IO_ERROR (or G_IO_ERROR_INVALID_ARGUMENT for the text) otherwise. */
gboolean cw_mailbox_server_listen (CwMailboxServer *self, const char *address, GError **error);
/* "ws://127.0.0.1:4000/v1" of the first socket. Free with g_free(). */
char *cw_mailbox_server_dup_url (CwMailboxServer *self);
void cw_mailbox_server_stop (CwMailboxServer *self);

G_END_DECLS
