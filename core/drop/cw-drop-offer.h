/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The JSON of drop/1: the offer and the answers to it and to the end. Pure; the specification is
 * DROP-PROTOCOL.md. */

#include "cw-drop-error.h"
#include "cw-offer.h"

G_BEGIN_DECLS

#define CW_DROP_MAX_TEXT 1048576 /* bytes of a text message */

/* Free with g_free(). */
char *cw_drop_offer_make (const CwOffer *offer);
/* CW_DROP_ERROR_UNSUPPORTED: of a version that is not ours, or with an item of an unknown kind;
 * _TOO_LARGE: beyond a limit; _PROTOCOL: anything else that is not an offer. */
CwOffer *cw_drop_offer_parse (const char *json, size_t len, GError **error);

/* What the receiver's inbox is called for @offer of @sender_id: the same for the same sender and
 * the same top-level names, whatever is in them. NULL when it cannot be resumed (a text, a pipe).
 * Free with g_free(). */
char *cw_drop_offer_make_tag (const CwOffer *offer, const char *sender_id);

/* The answer to an offer. FALSE: it is not one. */
char *cw_drop_accept_make (gboolean resume);
gboolean cw_drop_accept_parse (const char *json, size_t len, gboolean *ret_resume);

/* The answer to the end: what is delivered. Only for people who read streams. */
char *cw_drop_delivered_make (guint64 n_files, guint64 n_failed);

G_END_DECLS
