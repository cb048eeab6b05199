/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-transit-hints.h"

#include <math.h>
#include <string.h>

#include "cw-transit-address.h"
#include "cw-transit.h"

#define DIRECT_TCP "direct-tcp-v1"
#define RELAY "relay-v1"
#define HOSTNAME_MAX 253
/* Elements looked at in any list of the peer's, good or not. */
#define SCAN_MAX 256

CwTransitHint *
cw_transit_hint_new (const char *hostname, guint16 port, double priority)
{
    CwTransitHint *hint = g_new0 (CwTransitHint, 1);

    hint->hostname = g_strdup (hostname);
    hint->port = port;
    hint->priority = priority;
    return hint;
}

void
cw_transit_hint_free (CwTransitHint *hint)
{
    g_free (hint->hostname);
    g_free (hint);
}

gboolean
cw_transit_hint_equal (const CwTransitHint *a, const CwTransitHint *b)
{
    return a->port == b->port && g_ascii_strcasecmp (a->hostname, b->hostname) == 0;
}

char *
cw_transit_hint_dup_text (const CwTransitHint *hint)
{
    if (strchr (hint->hostname, ':') != NULL)
        return g_strdup_printf ("[%s]:%u", hint->hostname, hint->port);
    return g_strdup_printf ("%s:%u", hint->hostname, hint->port);
}

/* An address, or what may be a DNS name. Zones ("%eth0") and everything stranger are not. */
static gboolean
is_hostname (const char *text)
{
    size_t len = strlen (text);

    if (len == 0 || len > HOSTNAME_MAX)
        return FALSE;
    if (g_hostname_is_ip_address (text))
        return strchr (text, '%') == NULL;
    for (size_t i = 0; i < len; i++)
        if (!g_ascii_isalnum (text[i]) && strchr ("-._", text[i]) == NULL)
            return FALSE;
    return g_ascii_isalnum (text[0]);
}

static CwTransitHint *
parse_relay (const char *text)
{
    const char *colon;
    g_autofree char *host = NULL;
    guint64 port;

    if (!g_str_has_prefix (text, "tcp:"))
        return NULL;
    text += strlen ("tcp:");
    colon = strrchr (text, ':');
    if (colon == NULL || !g_ascii_string_to_unsigned (colon + 1, 10, 1, G_MAXUINT16, &port, NULL))
        return NULL;
    host = g_strndup (text, (gsize)(colon - text));
    if (host[0] == '[' && g_str_has_suffix (host, "]")) {
        host[strlen (host) - 1] = '\0';
        memmove (host, host + 1, strlen (host));
        if (strchr (host, ':') == NULL)
            return NULL;
    } else if (strchr (host, ':') != NULL) {
        return NULL;
    }
    if (!is_hostname (host))
        return NULL;
    return cw_transit_hint_new (host, (guint16)port, 0);
}

CwTransitHint *
cw_transit_hint_parse_relay (const char *text, GError **error)
{
    CwTransitHint *hint = parse_relay (text);

    if (hint == NULL)
        g_set_error (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_BAD_RELAY,
                     "transit relay '%s' is not of the form tcp:HOST:PORT", text);
    return hint;
}

/* --- Ours --- */

static void
add_ability (JsonBuilder *b, const char *type)
{
    json_builder_begin_object (b);
    json_builder_set_member_name (b, "type");
    json_builder_add_string_value (b, type);
    json_builder_end_object (b);
}

static void
add_direct_hint (JsonBuilder *b, const char *hostname, guint16 port)
{
    json_builder_begin_object (b);
    json_builder_set_member_name (b, "type");
    json_builder_add_string_value (b, DIRECT_TCP);
    json_builder_set_member_name (b, "priority");
    json_builder_add_double_value (b, 0);
    json_builder_set_member_name (b, "hostname");
    json_builder_add_string_value (b, hostname);
    json_builder_set_member_name (b, "port");
    json_builder_add_int_value (b, port);
    json_builder_end_object (b);
}

static void
add_own_hints (JsonBuilder *b, GPtrArray *own, guint16 port_ipv4, guint16 port_ipv6)
{
    unsigned told = 0, loopbacks = 0;

    for (guint i = 0; i < own->len; i++) {
        const CwTransitOwnAddress *o = g_ptr_array_index (own, i);
        loopbacks += cw_transit_address_get_kind (o->address) == CW_TRANSIT_ADDRESS_LOOPBACK;
    }
    for (guint i = 0; i < own->len && told < CW_TRANSIT_HINTS_TOLD_MAX; i++) {
        const CwTransitOwnAddress *o = g_ptr_array_index (own, i);
        gboolean is_ipv4 = g_inet_address_get_family (o->address) == G_SOCKET_FAMILY_IPV4;
        guint16 port = is_ipv4 ? port_ipv4 : port_ipv6;
        g_autofree char *text = g_inet_address_to_string (o->address);
        /* Room is kept for loopback at the end. */
        if (cw_transit_address_get_kind (o->address) != CW_TRANSIT_ADDRESS_LOOPBACK
            && told + MIN (loopbacks, 2) >= CW_TRANSIT_HINTS_TOLD_MAX)
            continue;
        if (port == 0)
            continue;
        add_direct_hint (b, text, port);
        told++;
    }
}

JsonNode *
cw_transit_hints_encode (gboolean direct,
                         GPtrArray *own,
                         guint16 port_ipv4,
                         guint16 port_ipv6,
                         const CwTransitHint *relay)
{
    g_autoptr (JsonBuilder) b = json_builder_new ();

    json_builder_begin_object (b);
    json_builder_set_member_name (b, "abilities-v1");
    json_builder_begin_array (b);
    if (direct)
        add_ability (b, DIRECT_TCP);
    /* Also without a relay of our own: the other's will do. */
    add_ability (b, RELAY);
    json_builder_end_array (b);
    json_builder_set_member_name (b, "hints-v1");
    json_builder_begin_array (b);
    if (direct)
        add_own_hints (b, own, port_ipv4, port_ipv6);
    if (relay != NULL) {
        json_builder_begin_object (b);
        json_builder_set_member_name (b, "type");
        json_builder_add_string_value (b, RELAY);
        json_builder_set_member_name (b, "hints");
        json_builder_begin_array (b);
        add_direct_hint (b, relay->hostname, relay->port);
        json_builder_end_array (b);
        json_builder_end_object (b);
    }
    json_builder_end_array (b);
    json_builder_end_object (b);
    return json_builder_get_root (b);
}

/* --- The other's --- */

static const char *
get_string (JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member (object, name);

    if (node == NULL || json_node_get_value_type (node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string (node);
}

static gboolean
get_number (JsonObject *object, const char *name, double *ret)
{
    JsonNode *node = json_object_get_member (object, name);
    GType type = node != NULL ? json_node_get_value_type (node) : G_TYPE_INVALID;

    if (type != G_TYPE_INT64 && type != G_TYPE_DOUBLE)
        return FALSE;
    *ret = json_node_get_double (node);
    return TRUE;
}

/* NULL when there is none; FALSE when it is there and is no array. */
static gboolean
get_array (JsonObject *object, const char *name, JsonArray **ret)
{
    JsonNode *node = json_object_get_member (object, name);

    *ret = NULL;
    if (node == NULL)
        return TRUE;
    if (!JSON_NODE_HOLDS_ARRAY (node))
        return FALSE;
    *ret = json_node_get_array (node);
    return TRUE;
}

static unsigned
scan_length (JsonArray *array)
{
    return array != NULL ? MIN (json_array_get_length (array), SCAN_MAX) : 0;
}

static JsonObject *
get_element (JsonArray *array, unsigned i)
{
    JsonNode *node = json_array_get_element (array, i);

    return JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

/* A direct-tcp-v1 object. Anything else, such as a WebSocket relay ("websocket" or "websocket-v1"
 * with a url), is NULL. */
static CwTransitHint *
decode_direct (JsonObject *object)
{
    const char *type = get_string (object, "type");
    const char *hostname = get_string (object, "hostname");
    double port, priority = 0;

    if (g_strcmp0 (type, DIRECT_TCP) != 0 || hostname == NULL || !is_hostname (hostname))
        return NULL;
    if (!get_number (object, "port", &port) || !(port >= 1 && port <= G_MAXUINT16)
        || port != floor (port))
        return NULL;
    if (get_number (object, "priority", &priority))
        priority = isfinite (priority) ? CLAMP (priority, -1e6, 1e6) : 0;
    return cw_transit_hint_new (hostname, (guint16)port, priority);
}

/* Once each, and no more than a list may hold, since relays are lists within a list. */
static void
add_hint (GPtrArray *hints, CwTransitHint *hint)
{
    gboolean wanted = hints->len < SCAN_MAX;

    for (guint i = 0; i < hints->len && wanted; i++)
        wanted = !cw_transit_hint_equal (g_ptr_array_index (hints, i), hint);
    if (wanted)
        g_ptr_array_add (hints, hint);
    else
        cw_transit_hint_free (hint);
}

static void
decode_relay (JsonObject *object, GPtrArray *relays)
{
    JsonArray *inner;

    if (!get_array (object, "hints", &inner))
        return;
    for (unsigned i = 0; i < scan_length (inner); i++) {
        JsonObject *element = get_element (inner, i);
        CwTransitHint *hint = element != NULL ? decode_direct (element) : NULL;
        if (hint != NULL)
            add_hint (relays, hint);
    }
}

static gboolean
lacks_direct (JsonArray *abilities)
{
    if (abilities == NULL)
        return FALSE;
    for (unsigned i = 0; i < scan_length (abilities); i++) {
        JsonObject *element = get_element (abilities, i);
        if (element != NULL && g_strcmp0 (get_string (element, "type"), DIRECT_TCP) == 0)
            return FALSE;
    }
    return TRUE;
}

/* Names are taken for public here; where they lead is looked at again when they are connected. */
static CwTransitAddressKind
hint_kind (const CwTransitHint *hint)
{
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string (hint->hostname);

    if (address != NULL)
        return cw_transit_address_get_kind (address);
    if (g_ascii_strcasecmp (hint->hostname, "localhost") == 0)
        return CW_TRANSIT_ADDRESS_LOOPBACK;
    return CW_TRANSIT_ADDRESS_PUBLIC;
}

/* Whether the other may be a program on this machine. */
static gboolean
seems_here (GPtrArray *direct, GPtrArray *own)
{
    gboolean elsewhere = FALSE;

    for (guint i = 0; i < direct->len; i++) {
        const CwTransitHint *hint = g_ptr_array_index (direct, i);
        CwTransitAddressKind kind = hint_kind (hint);
        g_autoptr (GInetAddress) address = g_inet_address_new_from_string (hint->hostname);
        if (kind == CW_TRANSIT_ADDRESS_UNUSABLE || kind == CW_TRANSIT_ADDRESS_LOOPBACK)
            continue;
        if (address != NULL && cw_transit_address_is_own (address, own))
            return TRUE;
        elsewhere = TRUE;
    }
    return !elsewhere;
}

static void
keep_usable (GPtrArray *hints, gboolean loopback, guint max)
{
    for (guint i = 0; i < hints->len;) {
        CwTransitAddressKind kind = hint_kind (g_ptr_array_index (hints, i));
        if (kind == CW_TRANSIT_ADDRESS_UNUSABLE
            || (kind == CW_TRANSIT_ADDRESS_LOOPBACK && !loopback))
            g_ptr_array_remove_index (hints, i);
        else
            i++;
    }
    if (hints->len > max)
        g_ptr_array_set_size (hints, (int)max);
}

CwTransitPeerHints *
cw_transit_peer_hints_decode (JsonNode *node, GPtrArray *own, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    g_autoptr (CwTransitPeerHints) hints = NULL;
    JsonArray *abilities = NULL, *list = NULL;

    if (object == NULL || !get_array (object, "abilities-v1", &abilities)
        || !get_array (object, "hints-v1", &list)) {
        g_set_error (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_HINTS,
                     "the other side's transit message is malformed");
        return NULL;
    }
    hints = g_new0 (CwTransitPeerHints, 1);
    hints->direct = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_transit_hint_free);
    hints->relays = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_transit_hint_free);
    hints->direct_off = lacks_direct (abilities);
    for (unsigned i = 0; i < scan_length (list); i++) {
        JsonObject *element = get_element (list, i);
        CwTransitHint *hint = element != NULL ? decode_direct (element) : NULL;
        if (hint != NULL)
            add_hint (hints->direct, hint);
        else if (element != NULL && g_strcmp0 (get_string (element, "type"), RELAY) == 0)
            decode_relay (element, hints->relays);
    }
    hints->loopback = seems_here (hints->direct, own);
    keep_usable (hints->direct, hints->loopback, CW_TRANSIT_HINTS_DIRECT_MAX);
    keep_usable (hints->relays, hints->loopback, CW_TRANSIT_HINTS_RELAY_MAX);
    return g_steal_pointer (&hints);
}

void
cw_transit_peer_hints_free (CwTransitPeerHints *hints)
{
    g_ptr_array_unref (hints->direct);
    g_ptr_array_unref (hints->relays);
    g_free (hints);
}
