/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* What a peer says in v1: a phase of the mailbox, and an acknowledgement. */

#include <string.h>

#include "cw-v1-private.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check_item (const CwOfferItem *item)
{
    g_assert (item->name != NULL && *item->name != '\0');
    g_assert (strchr (item->name, '/') == NULL && strlen (item->name) <= CW_OFFER_MAX_NAME);
    g_assert (strcmp (item->name, ".") != 0 && strcmp (item->name, "..") != 0);
    g_assert (g_utf8_validate (item->name, -1, NULL));
    g_assert (item->size >= 0);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwV1Message) message = cw_v1_message_parse ((const char *)data, size, &error);
    const guint8 sha256[32] = { 0 };

    g_assert ((message == NULL) == (error != NULL));
    if (message != NULL && message->offer != NULL) {
        g_assert (message->offer_wire_size <= G_MAXINT64);
        g_assert ((message->offer_kind == CW_V1_TEXT) == (message->offer->text != NULL));
        g_assert (message->offer->items->len == (message->offer_kind != CW_V1_TEXT));
        for (guint i = 0; i < message->offer->items->len; i++)
            check_item (g_ptr_array_index (message->offer->items, i));
    }
    if (message != NULL && message->transit != NULL)
        g_bytes_unref (cw_v1_make_transit (message->transit));
    cw_v1_check_ack ((const char *)data, size, sha256, NULL);
    return 0;
}
