/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The server end of one WebSocket (RFC 6455), without I/O: received bytes in, messages and bytes to
 * send out. Text and binary messages are taken, text is sent, no extensions.
 *
 * libsoup has one, which the mailbox client uses. A server that faces strangers cannot: libsoup 3.2
 * reads a socket until it is dry before it looks at anything else, puts no limit on a message in
 * fragments, and queues what it sends, pongs too, where nobody can see how much it is. Here a
 * connection holds no memory while idle, and cw_ws_peer_get_memory() says what it holds. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CwWsPeer CwWsPeer;

typedef enum {
    CW_WS_MORE,    /* all bytes used, nothing new */
    CW_WS_OPEN,    /* the upgrade is answered: messages may be sent */
    CW_WS_MESSAGE, /* see cw_ws_peer_get_message() */
    CW_WS_CLOSING, /* nothing more will come or may be sent: send what is queued, then hang up */
} CwWsEvent;

/* The WebSocket is at @path; a plain GET of "/" gets the text @greeting. Both are borrowed. A
 * message of more than @max_message bytes ends the connection. */
CwWsPeer *cw_ws_peer_new (const char *path, const char *greeting, gsize max_message);
void cw_ws_peer_free (CwWsPeer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwWsPeer, cw_ws_peer_free)

/* Uses up bytes from *@data up to the first event, and moves *@data and *@len on. */
CwWsEvent cw_ws_peer_receive (CwWsPeer *self, const guint8 **data, gsize *len);
/* After CW_WS_MESSAGE, until the next call. */
const char *cw_ws_peer_get_message (const CwWsPeer *self, gsize *ret_len);

/* These queue bytes; ignored before CW_WS_OPEN and after CW_WS_CLOSING. */
void cw_ws_peer_send_text (CwWsPeer *self, const char *text, gsize len);
void cw_ws_peer_send_ping (CwWsPeer *self);
/* With a status code of RFC 6455, 7.4.1; then as after CW_WS_CLOSING. */
void cw_ws_peer_close (CwWsPeer *self, guint16 code);

gboolean cw_ws_peer_is_open (const CwWsPeer *self);
gboolean cw_ws_peer_is_closing (const CwWsPeer *self);

/* What to send next, *@ret_len 0: nothing; and that @len bytes of it are sent. */
const guint8 *cw_ws_peer_peek (const CwWsPeer *self, gsize *ret_len);
void cw_ws_peer_sent (CwWsPeer *self, gsize len);

/* Bytes held of unfinished messages and of output. */
gsize cw_ws_peer_get_memory (const CwWsPeer *self);

G_END_DECLS
