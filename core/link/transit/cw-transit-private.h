/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include "cw-transit.h"

G_BEGIN_DECLS

/* How long things may take; tests have less patience. */
typedef struct {
    unsigned total_ms;       /* from the call of connect_async() */
    unsigned from_hints_ms;  /* from the peer's hints, if that ends later */
    unsigned relay_delay_ms; /* head start of direct connections, and of each priority of relays */
    unsigned inbound_ms;     /* for a stranger's handshake */
    unsigned grace_ms; /* for a direct connection in its handshake when a relayed one is ready */
} CwTransitLimits;

#define CW_TRANSIT_LIMITS_DEFAULT                                                                  \
    {                                                                                              \
        60000, 30000, 2000, 10000, 150                                                             \
    }

/* Before cw_transit_connect_async(). */
void cw_transit_set_limits (CwTransit *self, const CwTransitLimits *limits);

G_END_DECLS
