/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A way to reach a device now. */
typedef enum {
    CW_ROUTE_LAN,    /* same network: a private, link-local or own address */
    CW_ROUTE_DIRECT, /* straight to the other's public address */
    CW_ROUTE_RELAY,  /* through a relay that sees only ciphertext */
    CW_ROUTE_TAILNET,
} CwRouteKind;

/* Why it is this one and not a better one; the words for it live in app/. */
typedef enum {
    CW_ROUTE_REASON_BEST,         /* nothing better exists */
    CW_ROUTE_REASON_NO_DIRECT,    /* every direct attempt failed in its time */
    CW_ROUTE_REASON_DIRECT_OFF,   /* this side or the other switched direct connections off */
} CwRouteReason;

typedef struct {
    CwRouteKind kind;
    CwRouteReason reason;
    char *address; /* of the peer, or of the relay: "192.0.2.7" or "relay.example:4001" */
    gint64 rtt_us; /* -1: not known */
} CwRoute;

CwRoute *cw_route_new (CwRouteKind kind, CwRouteReason reason, const char *address, gint64 rtt_us);
CwRoute *cw_route_copy (const CwRoute *route);
void cw_route_free (CwRoute *route);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwRoute, cw_route_free)

/* "lan", "direct", "relay", "tailnet": stable, for machines. */
const char *cw_route_kind_get_name (CwRouteKind kind);

G_END_DECLS
