/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* One meeting by code through a Magic Wormhole mailbox server: connect, agree on a code, prove by
 * PAKE that both people know it, exchange encrypted phases. This is the I/O glue over the pure
 * machine in cw-mailbox-session.h. Main-context object: signals come from the main loop, never
 * from within a call. */

#include <gio/gio.h>

#include "cw-mailbox-error.h"
#include "cw-secret.h"

G_BEGIN_DECLS

#define CW_TYPE_MAILBOX_CLIENT (cw_mailbox_client_get_type ())
G_DECLARE_FINAL_TYPE (CwMailboxClient, cw_mailbox_client, CW, MAILBOX_CLIENT, GObject)

/* @urls: tried in this order for the first connection, then the one that worked is kept
 * ("wss://HOST/v1"). @app_id as in the protocol. @app_versions: a JSON object in text, sent to the
 * peer encrypted as soon as the key is known. NULL and CW_MAILBOX_ERROR_BAD_URL on a bad URL. */
CwMailboxClient *cw_mailbox_client_new (const char *const *urls, const char *app_id,
                                        const char *app_versions, GError **error);

/* Connects. Then exactly one way to a code:
 *  - allocate(): the server picks a nameplate, we pick @n_words words (1..8): "code" follows;
 *  - set_code(): a code the user chose or received; FALSE and CW_MAILBOX_ERROR_BAD_CODE with a
 *    message saying what is wrong when it is not one. @code is normalised first
 *    (cw_code_normalize()).
 *  - claim(): only the number is known yet (the user is typing the words); set_code() must follow
 *    with the same number (another one is CW_MAILBOX_ERROR_BAD_CODE; claim() again does nothing). */
void cw_mailbox_client_start (CwMailboxClient *self);
void cw_mailbox_client_allocate (CwMailboxClient *self, unsigned n_words);
gboolean cw_mailbox_client_set_code (CwMailboxClient *self, const char *code, GError **error);
void cw_mailbox_client_claim (CwMailboxClient *self, const char *nameplate);

/* Asks for the nameplates in use; "nameplates" follows. For completion only. */
void cw_mailbox_client_list (CwMailboxClient *self);

/* Queues the next numeric phase: encrypted, sent when the key is known, re-sent after a reconnect
 * until its echo came. @body at most 12 KiB. */
void cw_mailbox_client_send (CwMailboxClient *self, GBytes *body);

/* Only after "key". HKDF of the session key (notes: derive_key); @purpose as bytes. */
void cw_mailbox_client_derive_key (CwMailboxClient *self, const char *purpose, CwSecret *ret);
/* 32 bytes in lower-case hex; NULL before "key". Free with g_free(). */
char *cw_mailbox_client_dup_verifier (CwMailboxClient *self);

/* Sends what is queued, releases, closes with @mood and disconnects; completes when the server
 * confirmed, or after 3 s. Always succeeds; no signal is emitted after the call. Dropping the last
 * reference without it just drops the socket. */
void cw_mailbox_client_close_async (CwMailboxClient *self, CwMood mood,
                                    GAsyncReadyCallback callback, gpointer user_data);
void cw_mailbox_client_close_finish (CwMailboxClient *self, GAsyncResult *result);

/* Signals:
 *  "motd"       (const char *text)        the operator's message of the day
 *  "code"       (const char *code)        ours is allocated or set, and claimed: peers can join
 *  "nameplates" (const char *const *)     answer to list()
 *  "key"        ()                        the peer's PAKE message came; not yet confirmed
 *  "confirmed"  (const char *json)        the peer knows the same code; its app_versions object
 *  "message"    (GBytes *body)            numeric phases, in order, each once
 *  "failed"     (GError *)                once, last; the socket is gone. After "confirmed" it says
 *                                         nothing about what was agreed, nor about the peer
 *  "offline"    (gboolean)                connection lost (TRUE) and found again (FALSE)
 */

G_END_DECLS
