/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What it would mean to connect to an address. */
typedef enum {
    CW_TRANSIT_ADDRESS_UNUSABLE, /* multicast, broadcast, unspecified, reserved, link-local IPv6
                                  * without its interface: never dialled */
    CW_TRANSIT_ADDRESS_LOOPBACK,
    CW_TRANSIT_ADDRESS_LOCAL, /* private, link-local, unique local */
    CW_TRANSIT_ADDRESS_PUBLIC,
} CwTransitAddressKind;

/* IPv4 in an IPv6 coat is judged as IPv4. */
CwTransitAddressKind cw_transit_address_get_kind (GInetAddress *address);

/* An address of this machine and the network it is in. */
typedef struct {
    GInetAddress *address;
    GInetAddressMask *network;
} CwTransitOwnAddress;

CwTransitOwnAddress *cw_transit_own_address_new (GInetAddress *address, unsigned prefix_len);
void cw_transit_own_address_free (CwTransitOwnAddress *own);

/* GPtrArray of CwTransitOwnAddress with free function: what other computers could reach this one
 * by, of all interfaces that are up, IPv4 before IPv6, loopback last. */
GPtrArray *cw_transit_address_list_own (void);

/* Whether @address is one of @own (GPtrArray of CwTransitOwnAddress), or in a network of theirs. */
gboolean cw_transit_address_is_own (GInetAddress *address, GPtrArray *own);
gboolean cw_transit_address_is_near (GInetAddress *address, GPtrArray *own);

G_END_DECLS
