/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-transit-address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

/* The IPv4 address of ::ffff:a.b.c.d, else the address itself. */
static GInetAddress *
ref_unmapped (GInetAddress *address)
{
    static const guint8 prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    const guint8 *bytes = g_inet_address_to_bytes (address);

    if (g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6
        && memcmp (bytes, prefix, sizeof prefix) == 0)
        return g_inet_address_new_from_bytes (bytes + sizeof prefix, G_SOCKET_FAMILY_IPV4);
    return g_object_ref (address);
}

CwTransitAddressKind
cw_transit_address_get_kind (GInetAddress *address)
{
    g_autoptr (GInetAddress) plain = ref_unmapped (address);
    const guint8 *bytes = g_inet_address_to_bytes (plain);

    if (g_inet_address_get_is_any (plain) || g_inet_address_get_is_multicast (plain))
        return CW_TRANSIT_ADDRESS_UNUSABLE;
    if (g_inet_address_get_is_loopback (plain))
        return CW_TRANSIT_ADDRESS_LOOPBACK;
    if (g_inet_address_get_family (plain) == G_SOCKET_FAMILY_IPV4) {
        /* 0/8 is "this host", 240/4 reserved with the broadcast address at its end. */
        if (bytes[0] == 0 || bytes[0] >= 240)
            return CW_TRANSIT_ADDRESS_UNUSABLE;
    } else {
        /* fe80::/10 means something only together with an interface, and the peer cannot know the
         * name of ours. ::/96 are the long-dead IPv4-compatible ones. */
        static const guint8 zero[12] = { 0 };
        if (g_inet_address_get_is_link_local (plain) || memcmp (bytes, zero, sizeof zero) == 0)
            return CW_TRANSIT_ADDRESS_UNUSABLE;
        if ((bytes[0] & 0xfe) == 0xfc)
            return CW_TRANSIT_ADDRESS_LOCAL;
    }
    if (g_inet_address_get_is_link_local (plain) || g_inet_address_get_is_site_local (plain))
        return CW_TRANSIT_ADDRESS_LOCAL;
    return CW_TRANSIT_ADDRESS_PUBLIC;
}

CwTransitOwnAddress *
cw_transit_own_address_new (GInetAddress *address, unsigned prefix_len)
{
    CwTransitOwnAddress *own = g_new0 (CwTransitOwnAddress, 1);
    size_t size = g_inet_address_get_native_size (address);
    guint8 bytes[16] = { 0 };

    /* GInetAddressMask wants every bit behind the prefix to be zero. */
    memcpy (bytes, g_inet_address_to_bytes (address), size);
    for (size_t bit = prefix_len; bit < size * 8; bit++)
        bytes[bit / 8] &= (guint8) ~(0x80u >> (bit % 8));
    g_autoptr (GInetAddress) first
        = g_inet_address_new_from_bytes (bytes, g_inet_address_get_family (address));
    own->address = g_object_ref (address);
    own->network = g_inet_address_mask_new (first, prefix_len, NULL);
    return own;
}

void
cw_transit_own_address_free (CwTransitOwnAddress *own)
{
    g_object_unref (own->address);
    g_object_unref (own->network);
    g_free (own);
}

static unsigned
count_prefix (const guint8 *mask, size_t len)
{
    unsigned bits = 0;

    while (bits < len * 8 && (mask[bits / 8] & (0x80u >> (bits % 8))) != 0)
        bits++;
    return bits;
}

static CwTransitOwnAddress *
own_from_ifaddr (const struct ifaddrs *ifa)
{
    g_autoptr (GInetAddress) address = NULL;
    unsigned prefix_len;

    if (ifa->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)ifa->ifa_addr;
        const struct sockaddr_in *mask = (const void *)ifa->ifa_netmask;
        address
            = g_inet_address_new_from_bytes ((const guint8 *)&in->sin_addr, G_SOCKET_FAMILY_IPV4);
        prefix_len = count_prefix ((const guint8 *)&mask->sin_addr, sizeof mask->sin_addr);
    } else {
        const struct sockaddr_in6 *in6 = (const void *)ifa->ifa_addr;
        const struct sockaddr_in6 *mask = (const void *)ifa->ifa_netmask;
        address = g_inet_address_new_from_bytes (in6->sin6_addr.s6_addr, G_SOCKET_FAMILY_IPV6);
        prefix_len = count_prefix (mask->sin6_addr.s6_addr, sizeof mask->sin6_addr);
    }
    if (cw_transit_address_get_kind (address) == CW_TRANSIT_ADDRESS_UNUSABLE)
        return NULL;
    return cw_transit_own_address_new (address, prefix_len);
}

static void
collect (const struct ifaddrs *list, gboolean loopback, int family, GPtrArray *all)
{
    for (const struct ifaddrs *ifa = list; ifa != NULL; ifa = ifa->ifa_next) {
        gboolean is_loopback = (ifa->ifa_flags & IFF_LOOPBACK) != 0;
        CwTransitOwnAddress *own;
        if (ifa->ifa_addr == NULL || ifa->ifa_netmask == NULL || ifa->ifa_addr->sa_family != family
            || (ifa->ifa_flags & IFF_UP) == 0 || is_loopback != loopback)
            continue;
        own = own_from_ifaddr (ifa);
        if (own != NULL)
            g_ptr_array_add (all, own);
    }
}

GPtrArray *
cw_transit_address_list_own (void)
{
    GPtrArray *all = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_transit_own_address_free);
    struct ifaddrs *list;

    if (getifaddrs (&list) < 0)
        return all;
    collect (list, FALSE, AF_INET, all);
    collect (list, FALSE, AF_INET6, all);
    collect (list, TRUE, AF_INET, all);
    collect (list, TRUE, AF_INET6, all);
    freeifaddrs (list);
    return all;
}

gboolean
cw_transit_address_is_own (GInetAddress *address, GPtrArray *own)
{
    g_autoptr (GInetAddress) plain = ref_unmapped (address);

    for (guint i = 0; i < own->len; i++) {
        const CwTransitOwnAddress *o = g_ptr_array_index (own, i);
        if (g_inet_address_equal (plain, o->address))
            return TRUE;
    }
    return FALSE;
}

gboolean
cw_transit_address_is_near (GInetAddress *address, GPtrArray *own)
{
    g_autoptr (GInetAddress) plain = ref_unmapped (address);

    for (guint i = 0; i < own->len; i++) {
        const CwTransitOwnAddress *o = g_ptr_array_index (own, i);
        if (g_inet_address_mask_matches (o->network, plain))
            return TRUE;
    }
    return FALSE;
}
