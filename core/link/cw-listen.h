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
gboolean cw_listen_add (GSocketListener *listener, const char *where, GSocketAddress **ret_first,
                        GError **error);

/* "127.0.0.1:4000" or "[::1]:4000". Free with g_free(). */
char *cw_listen_dup_address (GSocketAddress *address);

G_END_DECLS
