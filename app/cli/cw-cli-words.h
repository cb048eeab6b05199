/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Offers, peers and routes in words. Pure; names in them are made safe for a terminal. All results
 * are freed with g_free(). */

#include <glib.h>

#include "cw-offer.h"
#include "cw-route.h"
#include "cw-transfer.h"

G_BEGIN_DECLS

/* "215 files", "1 file". */
char *cw_words_files (guint64 n_files);
/* "holiday.mp4 and photos (214 files)"; of many the first three and how many more. */
char *cw_words_items (const CwOffer *offer);
/* "Sending holiday.mp4 and photos (214 files), 3.2 GB in all." */
char *cw_words_sending (const CwOffer *offer);
/* One line an item, in columns of at most @width in all: "  photos/   214 files, 1.3 GB"; after
 * the first five how many more. Without the last newline. */
char *cw_words_offer_list (const CwOffer *offer, unsigned width);

/* "direct, 203.0.113.7, 41 ms", "relay: no direct connection worked". */
char *cw_words_route (const CwRoute *route);
/* "best", "no-direct", "direct-off": stable, for machines. */
const char *cw_words_route_reason_name (CwRouteReason reason);

/* "Done: 215 files, 3.2 GB in 34 s, verified." */
char *cw_words_done (const CwTransferFigures *figures, gint64 seconds);

/* "causeway receive 7-crossover-clockwork", with the mailbox when it is not the usual one. */
char *cw_words_receive_command (const char *code, const char *mailbox_url);

G_END_DECLS
