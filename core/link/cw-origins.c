/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-origins.h"

struct _CwOrigins {
    guint max;
    GHashTable *counts; /* interned GRefString to number of connections */
};

CwOrigins *
cw_origins_new (guint max)
{
    CwOrigins *self = g_new0 (CwOrigins, 1);

    self->max = max;
    self->counts = g_hash_table_new_full (NULL, NULL, (GDestroyNotify)g_ref_string_release, NULL);
    return self;
}

void
cw_origins_free (CwOrigins *self)
{
    g_hash_table_unref (self->counts);
    g_free (self);
}

static char *
dup_origin (GInetAddress *address)
{
    const guint8 *bytes = g_inet_address_to_bytes (address);
    gsize len = g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV4 ? 4 : 8;
    char text[2 * 8 + 1];

    for (gsize i = 0; i < len; i++)
        g_snprintf (text + 2 * i, 3, "%02x", bytes[i]);
    return g_ref_string_new_intern (text);
}

static void
add (CwOrigins *self, char *origin, int change)
{
    int count = GPOINTER_TO_INT (g_hash_table_lookup (self->counts, origin)) + change;

    if (count > 0)
        g_hash_table_insert (self->counts, g_ref_string_acquire (origin), GINT_TO_POINTER (count));
    else
        g_hash_table_remove (self->counts, origin);
}

gboolean
cw_origins_enter (CwOrigins *self, GInetAddress *address, char **ret_origin)
{
    char *origin;

    if (g_inet_address_get_is_loopback (address)) {
        *ret_origin = NULL;
        return TRUE;
    }
    origin = dup_origin (address);
    if (GPOINTER_TO_UINT (g_hash_table_lookup (self->counts, origin)) >= self->max) {
        g_ref_string_release (origin);
        return FALSE;
    }
    add (self, origin, 1);
    *ret_origin = origin;
    return TRUE;
}

void
cw_origins_leave (CwOrigins *self, char *origin)
{
    if (origin == NULL)
        return;
    add (self, origin, -1);
    g_ref_string_release (origin);
}
