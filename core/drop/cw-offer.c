/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-offer.h"

static void
item_free (gpointer data)
{
    CwOfferItem *item = data;

    g_free (item->name);
    g_free (item);
}

CwOffer *
cw_offer_new (void)
{
    CwOffer *offer = g_new0 (CwOffer, 1);

    offer->items = g_ptr_array_new_with_free_func (item_free);
    return offer;
}

void
cw_offer_free (CwOffer *offer)
{
    g_free (offer->text);
    g_ptr_array_unref (offer->items);
    g_free (offer);
}

void
cw_offer_add (CwOffer *offer, CwItemKind kind, const char *name, gint64 size, guint64 n_files)
{
    CwOfferItem *item = g_new0 (CwOfferItem, 1);

    item->kind = kind;
    item->name = g_strdup (name);
    item->size = size;
    item->n_files = n_files;
    g_ptr_array_add (offer->items, item);
    offer->n_files += n_files;
    if (size < 0)
        offer->size = -1;
    else if (offer->size >= 0)
        offer->size = size > G_MAXINT64 - offer->size ? G_MAXINT64 : offer->size + size;
}

CwOffer *
cw_offer_copy (const CwOffer *offer)
{
    CwOffer *copy = cw_offer_new ();

    copy->text = g_strdup (offer->text);
    for (guint i = 0; i < offer->items->len; i++) {
        const CwOfferItem *item = g_ptr_array_index (offer->items, i);
        cw_offer_add (copy, item->kind, item->name, item->size, item->n_files);
    }
    copy->size = offer->size;
    copy->n_files = offer->n_files;
    copy->n_folders = offer->n_folders;
    return copy;
}
