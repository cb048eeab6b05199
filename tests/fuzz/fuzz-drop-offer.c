/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The JSON of drop/1: an offer, and the answer to one. What is taken is within the limits, and is
 * the same once more when it is written and read again. */

#include <string.h>

#include "cw-drop-offer.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check_item (const CwOfferItem *item)
{
    g_assert (item->kind == CW_ITEM_FILE || item->kind == CW_ITEM_FOLDER);
    g_assert (item->name != NULL && *item->name != '\0');
    g_assert (strchr (item->name, '/') == NULL && strlen (item->name) <= CW_OFFER_MAX_NAME);
    g_assert (strcmp (item->name, ".") != 0 && strcmp (item->name, "..") != 0);
    g_assert (g_utf8_validate (item->name, -1, NULL));
    g_assert (item->size >= -1);
    g_assert (item->kind == CW_ITEM_FOLDER || item->n_files == 1);
}

static void
check_again (const CwOffer *offer)
{
    g_autofree char *json = cw_drop_offer_make (offer);
    g_autoptr (CwOffer) again = cw_drop_offer_parse (json, strlen (json), NULL);
    g_autofree char *tag = cw_drop_offer_make_tag (offer, "sender");
    g_autofree char *again_tag = NULL;

    g_assert (again != NULL);
    g_assert_cmpstr (again->text, ==, offer->text);
    g_assert_cmpuint (again->items->len, ==, offer->items->len);
    g_assert_cmpint (again->size, ==, offer->size);
    g_assert_cmpuint (again->n_files, ==, offer->n_files);
    g_assert_cmpuint (again->n_folders, ==, offer->n_folders);
    again_tag = cw_drop_offer_make_tag (again, "sender");
    g_assert_cmpstr (again_tag, ==, tag);
    g_assert ((tag == NULL) == (offer->text != NULL || offer->size < 0));
    g_assert (tag == NULL || strlen (tag) == 26);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (CwOffer) offer = cw_drop_offer_parse ((const char *)data, size, &error);
    gboolean resume;

    g_assert ((offer == NULL) == (error != NULL));
    if (offer != NULL) {
        g_assert ((offer->text == NULL) == (offer->items->len > 0));
        g_assert (offer->items->len <= CW_OFFER_MAX_ITEMS);
        g_assert (offer->text == NULL || strlen (offer->text) <= CW_DROP_MAX_TEXT);
        g_assert (offer->size >= -1);
        for (guint i = 0; i < offer->items->len; i++)
            check_item (g_ptr_array_index (offer->items, i));
        check_again (offer);
    }
    cw_drop_accept_parse ((const char *)data, size, &resume);
    return 0;
}
