/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A peer's transit object, and, as another person's text, the relay setting. */
#include <string.h>

#include "cw-json.h"
#include "cw-transit-address.h"
#include "cw-transit-hints.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check (GPtrArray *hints, guint max, gboolean loopback)
{
    g_assert_cmpuint (hints->len, <=, max);
    for (guint i = 0; i < hints->len; i++) {
        const CwTransitHint *hint = g_ptr_array_index (hints, i);
        g_autoptr (GInetAddress) address = g_inet_address_new_from_string (hint->hostname);
        CwTransitAddressKind kind;
        g_assert_cmpuint (hint->port, >, 0);
        if (address == NULL)
            continue;
        kind = cw_transit_address_get_kind (address);
        g_assert_cmpint (kind, !=, CW_TRANSIT_ADDRESS_UNUSABLE);
        g_assert_true (loopback || kind != CW_TRANSIT_ADDRESS_LOOPBACK);
    }
}

static GPtrArray *
make_own (void)
{
    GPtrArray *own = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_transit_own_address_free);
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string ("192.0.2.2");

    g_ptr_array_add (own, cw_transit_own_address_new (address, 24));
    return own;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autofree char *text = g_strndup (size > 0 ? (const char *)data : "", size);
    g_autoptr (JsonNode) node = cw_json_parse_object (text, strlen (text), NULL);
    g_autoptr (CwTransitHint) relay = cw_transit_hint_parse_relay (text, NULL);
    g_autoptr (GPtrArray) own = make_own ();
    g_autoptr (CwTransitPeerHints) hints = NULL;

    if (relay != NULL) {
        /* What it is printed as is read as the same. */
        g_autofree char *printed = cw_transit_hint_dup_text (relay);
        g_autofree char *again_text = g_strconcat ("tcp:", printed, NULL);
        g_autoptr (CwTransitHint) again = cw_transit_hint_parse_relay (again_text, NULL);
        g_assert_true (again != NULL && cw_transit_hint_equal (relay, again));
    }
    if (node == NULL)
        return 0;
    hints = cw_transit_peer_hints_decode (node, own, NULL);
    if (hints != NULL) {
        check (hints->direct, CW_TRANSIT_HINTS_DIRECT_MAX, hints->loopback);
        check (hints->relays, CW_TRANSIT_HINTS_RELAY_MAX, hints->loopback);
    }
    return 0;
}
