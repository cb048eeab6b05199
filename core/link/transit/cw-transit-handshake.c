/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-transit-handshake.h"

#include <sodium.h>
#include <string.h>

#define GO "go\n"
#define NEVERMIND "nevermind\n"
#define RELAY_OK "ok\n"

static void
queue (CwTransitHandshake *hs, const char *text)
{
    size_t len = strlen (text);

    g_assert (hs->out_len + len <= sizeof hs->out);
    memcpy (hs->out + hs->out_len, text, len);
    hs->out_len += len;
}

static void
make_line (char line[CW_TRANSIT_HANDSHAKE_LINE_MAX],
           const char *before,
           const CwSecret *secret,
           const char *after)
{
    char hex[2 * sizeof secret->bytes + 1];

    sodium_bin2hex (hex, sizeof hex, secret->bytes, sizeof secret->bytes);
    g_snprintf (line, CW_TRANSIT_HANDSHAKE_LINE_MAX, "%s%s%s", before, hex, after);
    sodium_memzero (hex, sizeof hex);
}

static void
queue_relay_line (CwTransitHandshake *hs, const CwTransitKeys *keys, const char *side)
{
    g_autofree char *after = g_strdup_printf (" for side %s\n", side);
    char line[CW_TRANSIT_HANDSHAKE_LINE_MAX];

    make_line (line, "please relay ", &keys->relay_token, after);
    queue (hs, line);
    sodium_memzero (line, sizeof line);
}

void
cw_transit_handshake_init (CwTransitHandshake *hs,
                           CwTransitRole role,
                           const CwTransitKeys *keys,
                           const char *relay_side)
{
    static const char sender_before[] = "transit sender ", receiver_before[] = "transit receiver ";
    static const char after[] = " ready\n\n";

    memset (hs, 0, sizeof *hs);
    hs->role = role;
    if (role == CW_TRANSIT_SENDER) {
        make_line (hs->own_line, sender_before, &keys->sender, after);
        make_line (hs->peer_line, receiver_before, &keys->receiver, after);
        hs->peer_public = strlen (receiver_before);
    } else {
        make_line (hs->own_line, receiver_before, &keys->receiver, after);
        make_line (hs->peer_line, sender_before, &keys->sender, after);
        hs->peer_public = strlen (sender_before);
    }
    if (relay_side != NULL) {
        g_assert (strlen (relay_side) == CW_TRANSIT_RELAY_SIDE_SIZE);
        queue_relay_line (hs, keys, relay_side);
        hs->state = CW_TRANSIT_HANDSHAKE_RELAY;
    } else {
        queue (hs, hs->own_line);
        hs->state = CW_TRANSIT_HANDSHAKE_PEER;
    }
}

void
cw_transit_handshake_clear (CwTransitHandshake *hs)
{
    sodium_memzero (hs, sizeof *hs);
    hs->state = CW_TRANSIT_HANDSHAKE_FAILED;
}

static void
enter (CwTransitHandshake *hs, CwTransitHandshakeState state)
{
    hs->state = state;
    hs->in_len = 0;
}

/* The state after a line is whole. */
static void
accept_line (CwTransitHandshake *hs)
{
    switch (hs->state) {
    case CW_TRANSIT_HANDSHAKE_RELAY:
        queue (hs, hs->own_line);
        enter (hs, CW_TRANSIT_HANDSHAKE_PEER);
        break;
    case CW_TRANSIT_HANDSHAKE_PEER:
        /* The whole line is compared at once and in constant time. To drop a connection at its
         * first wrong digit would let a stranger find the key digit by digit, one connection a
         * guess. */
        if (sodium_memcmp (hs->in, hs->peer_line, hs->in_len) != 0)
            enter (hs, CW_TRANSIT_HANDSHAKE_FAILED);
        else if (hs->role == CW_TRANSIT_SENDER)
            enter (hs, CW_TRANSIT_HANDSHAKE_READY);
        else
            enter (hs, CW_TRANSIT_HANDSHAKE_VERDICT);
        break;
    case CW_TRANSIT_HANDSHAKE_VERDICT:
        enter (hs, hs->in[0] == GO[0] ? CW_TRANSIT_HANDSHAKE_DONE : CW_TRANSIT_HANDSHAKE_REFUSED);
        break;
    case CW_TRANSIT_HANDSHAKE_READY:
    case CW_TRANSIT_HANDSHAKE_DONE:
    case CW_TRANSIT_HANDSHAKE_REFUSED:
    case CW_TRANSIT_HANDSHAKE_FAILED:
        g_assert_not_reached ();
    }
}

static gboolean
begins (const CwTransitHandshake *hs, const char *line)
{
    return strncmp (hs->in, line, hs->in_len) == 0;
}

/* How long the awaited line is, given what is there of it; 0 when it cannot become one. Only what
 * is no secret is compared here. */
static size_t
expected_length (const CwTransitHandshake *hs)
{
    switch (hs->state) {
    case CW_TRANSIT_HANDSHAKE_RELAY:
        return begins (hs, RELAY_OK) ? strlen (RELAY_OK) : 0;
    case CW_TRANSIT_HANDSHAKE_PEER:
        if (memcmp (hs->in, hs->peer_line, MIN (hs->in_len, hs->peer_public)) != 0)
            return 0;
        return strlen (hs->peer_line);
    case CW_TRANSIT_HANDSHAKE_VERDICT:
        return begins (hs, GO) ? strlen (GO) : begins (hs, NEVERMIND) ? strlen (NEVERMIND) : 0;
    case CW_TRANSIT_HANDSHAKE_READY:
    case CW_TRANSIT_HANDSHAKE_DONE:
    case CW_TRANSIT_HANDSHAKE_REFUSED:
    case CW_TRANSIT_HANDSHAKE_FAILED:
        return 0;
    }
    return 0;
}

static gboolean
is_receiving (const CwTransitHandshake *hs)
{
    return hs->state == CW_TRANSIT_HANDSHAKE_RELAY || hs->state == CW_TRANSIT_HANDSHAKE_PEER
           || hs->state == CW_TRANSIT_HANDSHAKE_VERDICT;
}

size_t
cw_transit_handshake_receive (CwTransitHandshake *hs, const guint8 *data, size_t len)
{
    size_t used = 0;

    while (used < len && is_receiving (hs)) {
        size_t expected;

        hs->in[hs->in_len++] = (char)data[used++];
        expected = expected_length (hs);
        if (expected == 0)
            enter (hs, CW_TRANSIT_HANDSHAKE_FAILED);
        else if (hs->in_len == expected)
            accept_line (hs);
    }
    return used;
}

void
cw_transit_handshake_choose (CwTransitHandshake *hs)
{
    g_return_if_fail (hs->state == CW_TRANSIT_HANDSHAKE_READY);
    queue (hs, GO);
    enter (hs, CW_TRANSIT_HANDSHAKE_DONE);
}

void
cw_transit_handshake_refuse (CwTransitHandshake *hs)
{
    g_return_if_fail (hs->state == CW_TRANSIT_HANDSHAKE_READY);
    queue (hs, NEVERMIND);
    enter (hs, CW_TRANSIT_HANDSHAKE_REFUSED);
}

void
cw_transit_handshake_sent (CwTransitHandshake *hs, size_t len)
{
    g_assert (len <= hs->out_len);
    hs->out_len -= len;
    memmove (hs->out, hs->out + len, hs->out_len);
}
