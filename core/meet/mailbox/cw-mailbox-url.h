/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Addresses of mailbox servers: "wss://HOST/v1", "ws://HOST:PORT/v1". Pure. */

#include <glib.h>

G_BEGIN_DECLS

/* FALSE and CW_MAILBOX_ERROR_BAD_URL unless it is ws:// or wss:// with a host and nothing but a
 * port and a path behind it. */
gboolean cw_mailbox_url_check (const char *url, GError **error);

/* Does it name the public server everybody uses unless told otherwise? */
gboolean cw_mailbox_url_is_usual (const char *url);

/* In "wormhole-transfer:" links a server is written without its "/v1", which is then a server
 * without a path; any other path is written as it is. Free with g_free(). */
char *cw_mailbox_url_dup_rendezvous (const char *url);
char *cw_mailbox_url_from_rendezvous (const char *text, GError **error);

G_END_DECLS
