/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* drop/1: files between two Causeways over any ordered byte stream; DROP-PROTOCOL.md beside this
 * file is the specification. The calls block and run on a thread of the caller's that has nothing
 * else to do; they start threads of their own for the disk. @cancellable from any thread: the peer
 * is told if it listens (2 s), then the stream is dead. */

#include <gio/gio.h>

#include "cw-inbox.h"
#include "cw-offer.h"
#include "cw-outgoing.h"
#include "cw-transfer.h"

G_BEGIN_DECLS

/* --- Sender --- */

typedef struct {
    const char *text; /* a text instead of @outgoing, or NULL */
    CwOutgoing *outgoing;
    CwTransfer *transfer;
    /* On the calling thread: the offer is with the peer; it said yes. Either may be NULL. */
    void (*accepted) (gpointer user_data);
    gpointer user_data;
} CwDropSendArgs;

/* TRUE: all was delivered and verified. CW_DROP_ERROR_INCOMPLETE: the rest was (see the transfer's
 * failures). G_IO_ERROR_CANCELLED after a cancel. */
gboolean cw_drop_send (GIOStream *stream, const CwDropSendArgs *args, GCancellable *cancellable,
                       GError **error);

/* --- Receiver --- */

/* A person's answer, put from any thread, waited for by the engine. */
typedef struct _CwDecision CwDecision;
CwDecision *cw_decision_new (void);
CwDecision *cw_decision_ref (CwDecision *decision);
void cw_decision_unref (CwDecision *decision);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwDecision, cw_decision_unref)
/* Once. @folder: where to; NULL: declined. @output_fd: write the bytes of the one file there
 * instead (borrowed, must outlive the call; -1: no). */
void cw_decision_accept (CwDecision *decision, const char *folder, int output_fd);
void cw_decision_decline (CwDecision *decision);

typedef struct {
    /* Makes the tag of cw_inbox_open() together with the offer: the sender's identity, as text. */
    const char *sender_id;
    CwTransfer *transfer;
    CwDecision *decision;
    /* On the calling thread, before the decision is waited for. */
    void (*offered) (const CwOffer *offer, gpointer user_data);
    gpointer user_data;
} CwDropReceiveArgs;

/* TRUE: every item is at its final name (*@ret_paths: the top-level ones) or a text came
 * (*@ret_text). Errors as above; the offer declined by us is CW_DROP_ERROR_DECLINED. With
 * CW_DROP_ERROR_INCOMPLETE, *@ret_paths is set too. */
gboolean cw_drop_receive (GIOStream *stream, const CwDropReceiveArgs *args,
                          GCancellable *cancellable, GPtrArray **ret_paths, char **ret_text,
                          GError **error);

G_END_DECLS
