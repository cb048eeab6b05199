/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

#include "cw-secret.h"

G_BEGIN_DECLS

/* What both people of a code derive from their transit key (transit.md, "Deriving keys"):
 * HKDF-SHA256 without salt, one info string each. "Sender" is who sends the files. */
typedef struct {
    CwSecret sender;          /* proves the sender in the handshake */
    CwSecret receiver;        /* proves the receiver */
    CwSecret relay_token;     /* lets a relay pair the two up; the only one a relay sees */
    CwSecret record_sender;   /* encrypts what the sender says */
    CwSecret record_receiver; /* encrypts what the receiver says */
} CwTransitKeys;

void cw_transit_keys_derive (CwTransitKeys *keys, const void *transit_key, size_t len);
void cw_transit_keys_clear (CwTransitKeys *keys);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CwTransitKeys, cw_transit_keys_clear)

G_END_DECLS
