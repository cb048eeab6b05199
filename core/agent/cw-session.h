/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* One send or one receive by code, from the code to the files: what the CLI shows today and the
 * agent's D-Bus objects will show tomorrow. Main-context object; the work happens on threads below
 * and every signal is emitted from the main loop. */

#include <gio/gio.h>

#include "cw-identity.h"
#include "cw-offer.h"
#include "cw-outgoing.h"
#include "cw-route.h"
#include "cw-settings.h"
#include "cw-transfer.h"

G_BEGIN_DECLS

#define CW_TYPE_SESSION (cw_session_get_type ())
G_DECLARE_FINAL_TYPE (CwSession, cw_session, CW, SESSION, GObject)

typedef struct {
    const CwSettings *settings; /* copied */
    const CwIdentity *identity; /* borrowed, must outlive the session */
    const char *code;           /* NULL: sender makes one; receiver calls set_code() later */
    unsigned code_length;       /* words; 0: the setting */
    gboolean verify;            /* "verify" is emitted and waited for */
    gboolean no_direct;         /* relay only */
} CwSessionOptions;

/* Sends @outgoing (taken) or @text: exactly one is not NULL. */
CwSession *cw_session_new_send (const CwSessionOptions *options,
                                CwOutgoing *outgoing,
                                const char *text);
CwSession *cw_session_new_receive (const CwSessionOptions *options);

/* Connects; everything else comes as signals, the last of them "finished". */
void cw_session_start (CwSession *self);

/* Receiver without a code: what the person types. list() answers with "nameplates"; claim() when
 * the number is typed; set_code() when all is. FALSE with CW_MAILBOX_ERROR_BAD_CODE: ask again. */
void cw_session_list_nameplates (CwSession *self);
void cw_session_claim (CwSession *self, const char *nameplate);
gboolean cw_session_set_code (CwSession *self, const char *code, GError **error);

/* Answers to "verify" and "offer". @folder NULL: the setting. @output_fd as in cw-drop.h, or -1. */
void cw_session_confirm (CwSession *self, gboolean same);
void cw_session_accept (CwSession *self, const char *folder, int output_fd);
void cw_session_decline (CwSession *self);

/* Tells the peer, then finishes with G_IO_ERROR_CANCELLED; at most 3 s. */
void cw_session_cancel (CwSession *self);

/* Figures of the transfer; zeros before it. Any time. */
void cw_session_get_figures (CwSession *self, CwTransferFigures *ret);
/* Items that failed while the rest went through: GPtrArray of CwTransferFailure. */
GPtrArray *cw_session_dup_failures (CwSession *self);
/* After "finished" without error, or with CW_DROP_ERROR_INCOMPLETE: where the top-level items are
 * now (receiver; borrowed, may be empty). */
GPtrArray *cw_session_get_paths (CwSession *self);

/* Who the other is, from "peer" on. Borrowed. */
typedef struct {
    gboolean is_causeway; /* else: some other wormhole program, and the rest is empty */
    char *name;           /* what it calls itself; made safe for display, or NULL */
    char *fingerprint;    /* of its identity, proved when the route stands; or NULL */
} CwPeer;
const CwPeer *cw_session_get_peer (CwSession *self);

/* Signals, in the order they may come:
 *  "motd"       (const char *)        the mailbox operator's message
 *  "nameplates" (const char *const *)
 *  "code"       (const char *)        people can join now
 *  "offline"    (gboolean)            the mailbox is lost (TRUE) or found again
 *  "peer"       ()                    both know the same code; see get_peer()
 *  "verify"     (const char *)        the verifier's words/hex to compare; waits for confirm()
 *  "route"      (const CwRoute *)     the connection stands (also later, when it changes)
 *  "offer"      (const CwOffer *)     receiver: waits for accept() or decline()
 *  "text"       (const char *)        receiver: a text came (after accept)
 *  "accepted"   ()                    the transfer begins
 *  "finished"   (GError *)            NULL: all is there and verified. Once, last.
 */

G_END_DECLS
