/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Where a server of ours listens, in the user's words: "ADDR:PORT", "[ADDR6]:PORT", "HOST:PORT"
 * (looked up), ":PORT" or "*:PORT" (every address, IPv6 and IPv4). Port 0: any free one. Adds what
 * it names to @listener (a GSocketService too). FALSE and G_IO_ERROR_INVALID_ARGUMENT when the
 * text is none of these, else the reason it cannot be bound. */
gboolean cw_listen_add (GSocketListener *listener,
                        const char *where,
                        GSocketAddress **ret_first,
                        GError **error);

/* "127.0.0.1:4000" or "[::1]:4000". Free with g_free(). */
char *cw_listen_dup_address (GSocketAddress *address);

/* Who is at the other end; an IPv4 address that came to an IPv6 socket as ::ffff:192.0.2.7 is plain
 * IPv4 again. NULL when the connection is gone already. */
GInetSocketAddress *cw_listen_dup_remote (GSocket *socket);

/* For a connection that may be silent for hours: finds out within three minutes that the other end
 * is gone, and sends small pieces at once. */
void cw_listen_keep_alive (GSocket *socket);

/* Raises this process's limit of open files towards @wanted; what it is then. */
guint cw_listen_raise_files (guint wanted);

/* Accepts on @listener, in the thread-default context of the caller, until freed. Unlike
 * GSocketService it does not spin when the process is out of file descriptors, but tries again a
 * second later. Freeing closes the listener and is allowed inside the callback. */
typedef struct _CwAcceptor CwAcceptor;
typedef void (*CwAcceptFunc) (GSocket *socket, gpointer user_data);

CwAcceptor *cw_acceptor_new (GSocketListener *listener, CwAcceptFunc accepted, gpointer user_data);
void cw_acceptor_free (CwAcceptor *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwAcceptor, cw_acceptor_free)

G_END_DECLS
