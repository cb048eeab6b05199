/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* --json: one JSON object a line, documented in causeway(1) and stable: members are added, never
 * renamed. Names and texts of peers are as they sent them, escaped by JSON only. */

#include <glib.h>

#include "cw-cli-progress.h"
#include "cw-messages.h"
#include "cw-offer.h"
#include "cw-route.h"
#include "cw-session.h"

G_BEGIN_DECLS

typedef struct _CwJson CwJson;

/* Writes to @fd (borrowed), each line in one piece as soon as it is known. */
CwJson *cw_json_new (int fd);
void cw_json_free (CwJson *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwJson, cw_json_free)

void cw_json_motd (CwJson *self, const char *text);
void cw_json_offer (CwJson *self, const CwOffer *offer);
/* @mailbox NULL: the usual one. */
void cw_json_code (CwJson *self, const char *code, const char *uri, const char *mailbox);
void cw_json_mailbox (CwJson *self, gboolean connected);
void cw_json_peer (CwJson *self, const CwPeer *peer);
void cw_json_verify (CwJson *self, const char *verifier);
void cw_json_route (CwJson *self, const CwRoute *route);
void cw_json_accepted (CwJson *self);
void cw_json_progress (CwJson *self, const CwProgress *progress);
void cw_json_item_failed (CwJson *self, const CwTransferFailure *failure, CwSide side);
void cw_json_text (CwJson *self, const char *text);

/* The last event. @paths: of char *, or NULL. @error NULL: "done"; with one, "error", which has
 * the figures too when something was delivered (@figures not NULL). */
void cw_json_done (CwJson *self,
                   const CwTransferFigures *figures,
                   double seconds,
                   GPtrArray *paths);
void cw_json_error (CwJson *self,
                    const GError *error,
                    const CwMessage *message,
                    const CwTransferFigures *figures,
                    double seconds,
                    GPtrArray *paths);

void cw_json_id (CwJson *self, const char *name, const char *fingerprint);
void cw_json_listening (CwJson *self, const char *url);

G_END_DECLS
