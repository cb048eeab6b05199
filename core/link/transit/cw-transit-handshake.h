/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The handshake of one Transit connection (transit.md, "Handshake" and "Relay"); pure, no I/O.
 *
 *   to the relay, if there is one    please relay TOKEN for side SIDE\n      answered by  ok\n
 *   sender to receiver               transit sender KEY ready\n\n
 *   receiver to sender               transit receiver KEY ready\n\n
 *   sender to receiver               go\n  or  nevermind\n
 *
 * Our line goes out at once, without waiting for the other's: the Go client waits for its sender.
 * The sender has many connections and picks one; the receiver waits to hear which. What arrives
 * after the last line belongs to the record layer and is not consumed. */

#include <glib.h>

#include "cw-transit-keys.h"
#include "cw-transit.h"

G_BEGIN_DECLS

typedef enum {
    CW_TRANSIT_HANDSHAKE_RELAY,   /* the relay has not found our partner yet; receive() */
    CW_TRANSIT_HANDSHAKE_PEER,    /* the other's line is awaited; receive() */
    CW_TRANSIT_HANDSHAKE_READY,   /* sender only, both are proved: choose() or refuse() it */
    CW_TRANSIT_HANDSHAKE_VERDICT, /* receiver only, both are proved, the sender decides; receive()
                                   */
    CW_TRANSIT_HANDSHAKE_DONE,    /* this is the connection, records follow */
    CW_TRANSIT_HANDSHAKE_REFUSED, /* works, but the sender took another one; end */
    CW_TRANSIT_HANDSHAKE_FAILED,  /* the other is not who it should be, or the relay said no; end */
} CwTransitHandshakeState;

#define CW_TRANSIT_HANDSHAKE_LINE_MAX 128
#define CW_TRANSIT_RELAY_SIDE_SIZE 16

typedef struct {
    CwTransitRole role;
    CwTransitHandshakeState state;
    char own_line[CW_TRANSIT_HANDSHAKE_LINE_MAX];
    char peer_line[CW_TRANSIT_HANDSHAKE_LINE_MAX]; /* as it must be */
    size_t peer_public;                            /* length of the part before the key */
    char in[CW_TRANSIT_HANDSHAKE_LINE_MAX];
    size_t in_len;
    char out[2 * CW_TRANSIT_HANDSHAKE_LINE_MAX];
    size_t out_len;
} CwTransitHandshake;

/* @relay_side: 16 hexadecimal digits that are ours alone, for a connection to a relay; NULL when it
 * leads straight to the other. */
void cw_transit_handshake_init (CwTransitHandshake *hs,
                                CwTransitRole role,
                                const CwTransitKeys *keys,
                                const char *relay_side);
void cw_transit_handshake_clear (CwTransitHandshake *hs);

/* Takes in what has arrived and returns how much of it was consumed: all, unless the state is now
 * READY, DONE, REFUSED or FAILED. */
size_t cw_transit_handshake_receive (CwTransitHandshake *hs, const guint8 *data, size_t len);

/* In state READY: "go" and DONE, or "nevermind" and REFUSED. */
void cw_transit_handshake_choose (CwTransitHandshake *hs);
void cw_transit_handshake_refuse (CwTransitHandshake *hs);

/* What is to be sent now: hs->out_len bytes at hs->out; sent() takes the first @len off. */
void cw_transit_handshake_sent (CwTransitHandshake *hs, size_t len);

G_END_DECLS
