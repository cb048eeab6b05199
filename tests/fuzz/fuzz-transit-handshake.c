/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* What a stranger, a relay or the peer says in the handshake. The first byte chooses role and
 * relay, the second how the rest is cut up: the outcome must not depend on that. */
#include <string.h>

#include "cw-transit-handshake.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static size_t
run (CwTransitHandshake *hs, guint8 how, size_t piece, const guint8 *data, size_t size)
{
    g_auto (CwTransitKeys) keys = { 0 };
    size_t used = 0;

    memset (&keys, 0x11, sizeof keys);
    cw_transit_handshake_init (hs, (how & 1) != 0 ? CW_TRANSIT_SENDER : CW_TRANSIT_RECEIVER, &keys,
                               (how & 2) != 0 ? "0123456789abcdef" : NULL);
    while (used < size) {
        size_t n = MIN (piece, size - used);
        size_t took = cw_transit_handshake_receive (hs, data + used, n);
        g_assert_cmpuint (took, <=, n);
        used += took;
        if (hs->state == CW_TRANSIT_HANDSHAKE_READY)
            cw_transit_handshake_choose (hs);
        if (took < n)
            break;
    }
    return used;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    CwTransitHandshake whole, pieces;
    size_t used;

    if (size < 2)
        return 0;
    used = run (&whole, data[0], size, data + 2, size - 2);
    g_assert_cmpuint (run (&pieces, data[0], 1 + data[1] % 64u, data + 2, size - 2), ==, used);
    g_assert_cmpint (whole.state, ==, pieces.state);
    g_assert_cmpmem (whole.out, whole.out_len, pieces.out, pieces.out_len);
    cw_transit_handshake_clear (&whole);
    cw_transit_handshake_clear (&pieces);
    return 0;
}
