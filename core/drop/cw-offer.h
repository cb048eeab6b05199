/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What a sender proposes, in a form that both protocols (Wormhole file transfer v1 and drop/1) fill
 * and people are shown. Plain values; names are as the peer sent them: hostile, valid UTF-8. */

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    CW_ITEM_FILE,
    CW_ITEM_FOLDER,
    CW_ITEM_SYMLINK,
} CwItemKind;

/* A top-level item: what the person named on the command line or dropped. */
typedef struct {
    CwItemKind kind;
    char *name;      /* one path component */
    gint64 size;     /* all its bytes; -1: not known (a pipe) */
    guint64 n_files; /* 1 for a file, those below for a folder */
} CwOfferItem;

typedef struct {
    char *text;       /* a text message instead of items, or NULL */
    GPtrArray *items; /* of CwOfferItem; empty for a text */
    gint64 size;      /* sum; -1: not known */
    guint64 n_files;
    guint64 n_folders; /* folders at all levels */
} CwOffer;

#define CW_OFFER_MAX_ITEMS 10000 /* top-level items; more are refused */
#define CW_OFFER_MAX_NAME 4096   /* bytes of a name as sent */

CwOffer *cw_offer_new (void);
void cw_offer_free (CwOffer *offer);
CwOffer *cw_offer_copy (const CwOffer *offer);
/* Takes @item's place at the end and adds it to the sums. */
void cw_offer_add (CwOffer *offer, CwItemKind kind, const char *name, gint64 size, guint64 n_files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwOffer, cw_offer_free)

G_END_DECLS
