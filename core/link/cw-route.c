/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-route.h"

CwRoute *
cw_route_new (CwRouteKind kind, CwRouteReason reason, const char *address, gint64 rtt_us)
{
    CwRoute *route = g_new0 (CwRoute, 1);

    route->kind = kind;
    route->reason = reason;
    route->address = g_strdup (address);
    route->rtt_us = rtt_us;
    return route;
}

CwRoute *
cw_route_copy (const CwRoute *route)
{
    return cw_route_new (route->kind, route->reason, route->address, route->rtt_us);
}

void
cw_route_free (CwRoute *route)
{
    g_free (route->address);
    g_free (route);
}

const char *
cw_route_kind_get_name (CwRouteKind kind)
{
    switch (kind) {
    case CW_ROUTE_LAN:
        return "lan";
    case CW_ROUTE_DIRECT:
        return "direct";
    case CW_ROUTE_RELAY:
        return "relay";
    case CW_ROUTE_TAILNET:
        return "tailnet";
    }
    g_return_val_if_reached (NULL);
}
