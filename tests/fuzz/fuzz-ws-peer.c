/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The input is what a client sends, in pieces of a size that its first byte says. */

#include <stdlib.h>
#include <string.h>

#include "cw-ws-peer.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

#define MAX_MESSAGE 1000

static void
feed (CwWsPeer *peer, const guint8 *data, gsize len)
{
    CwWsEvent event;

    do {
        gsize before = len, message_len;
        event = cw_ws_peer_receive (peer, &data, &len);
        if (event == CW_WS_MESSAGE) {
            const char *text = cw_ws_peer_get_message (peer, &message_len);
            if (message_len > MAX_MESSAGE || !g_utf8_validate (text, (gssize)message_len, NULL))
                abort ();
            cw_ws_peer_send_text (peer, text, message_len);
        }
        if (event != CW_WS_MORE && event != CW_WS_CLOSING && len == before)
            abort ();
    } while (event == CW_WS_OPEN || event == CW_WS_MESSAGE);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autoptr (CwWsPeer) peer = cw_ws_peer_new ("/v1", "hello\n", MAX_MESSAGE);
    gsize piece = size > 0 ? data[0] + 1u : 1;
    gsize out_len;

    for (gsize at = 1; at < size; at += piece) {
        gsize len = MIN (piece, size - at);
        g_autofree guint8 *copy = g_memdup2 (data + at, len);
        feed (peer, copy, len);
    }
    while (cw_ws_peer_peek (peer, &out_len), out_len > 0)
        cw_ws_peer_sent (peer, MIN (out_len, piece));
    return 0;
}
