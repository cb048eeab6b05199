/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The "transit" object of the two people's phase 0: abilities-v1 and hints-v1 (transit.md,
 * "Abilities", "Hints"). Pure: our addresses are arguments. */

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* A place to try. */
typedef struct {
    char *hostname; /* an address, or a name to look up */
    guint16 port;
    double priority; /* higher first */
} CwTransitHint;

CwTransitHint *cw_transit_hint_new (const char *hostname, guint16 port, double priority);
void cw_transit_hint_free (CwTransitHint *hint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwTransitHint, cw_transit_hint_free)
gboolean cw_transit_hint_equal (const CwTransitHint *a, const CwTransitHint *b);
/* "192.0.2.7:4001", "[2001:db8::7]:4001", "relay.example:4001". Free with g_free(). */
char *cw_transit_hint_dup_text (const CwTransitHint *hint);

/* "tcp:HOST:PORT", an IPv6 address in brackets. NULL and CW_TRANSIT_ERROR_BAD_RELAY if it is not.
 */
CwTransitHint *cw_transit_hint_parse_relay (const char *text, GError **error);

/* --- Ours --- */

/* How many of our addresses we tell, so that a machine with many networks does not fill the other's
 * list (other programs dial them all at once). */
#define CW_TRANSIT_HINTS_TOLD_MAX 16

/* @own: as cw_transit_address_list_own() gives them; a port of 0: not listening there. @direct
 * FALSE leaves out the ability itself. @relay: or NULL. */
JsonNode *cw_transit_hints_encode (gboolean direct,
                                   GPtrArray *own,
                                   guint16 port_ipv4,
                                   guint16 port_ipv6,
                                   const CwTransitHint *relay);

/* --- The other's --- */

/* Tried at most; what is more is ignored, since a stranger wrote the list. */
#define CW_TRANSIT_HINTS_DIRECT_MAX 16
#define CW_TRANSIT_HINTS_RELAY_MAX 4

typedef struct {
    gboolean direct_off; /* it says that it does not do direct connections */
    GPtrArray *direct;   /* of CwTransitHint, each one that may be dialled, in their order */
    GPtrArray *relays;   /* of CwTransitHint, over TCP; those over WebSocket are left out */
    gboolean loopback;   /* it may be on this machine: a name that leads to loopback is all right */
} CwTransitPeerHints;

/* Keeps what may be dialled. Loopback is kept only when the other seems to be on this very machine:
 * it has an address of ours (@own, see above), or lists no other kind. CW_TRANSIT_ERROR_HINTS when
 * @node is not a transit object; single hints that are odd or of a type unknown are left out. */
CwTransitPeerHints *cw_transit_peer_hints_decode (JsonNode *node, GPtrArray *own, GError **error);
void cw_transit_peer_hints_free (CwTransitPeerHints *hints);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwTransitPeerHints, cw_transit_peer_hints_free)

G_END_DECLS
