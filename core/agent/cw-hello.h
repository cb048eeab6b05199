/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What two programs tell each other in the encrypted "version" message of a meeting: a wormhole
 * client announces abilities, a Causeway also who it is. Pure. */

#include <glib.h>

#include "cw-identity.h"

G_BEGIN_DECLS

typedef struct {
    gboolean is_causeway; /* speaks our version too; else the rest is empty */
    char *name;           /* for display: control characters are gone, at most 64 characters */
    CwDeviceKey key;      /* claimed; proved by cw_hello_derive_link_key() */
} CwHello;

/* The app_versions object. Free with g_free(). */
char *cw_hello_make (const char *name, const CwDeviceKey *key);

/* Never fails: whatever is not ours, or is ours but malformed, is a plain wormhole client. */
CwHello *cw_hello_parse (const char *json);
void cw_hello_free (CwHello *hello);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwHello, cw_hello_free)

/* The Transit key between two Causeways: from the meeting's key @session_key and the Diffie-Hellman
 * secret of both identities, so that a connection only stands if the peer owns the identity that
 * it claims. FALSE when its key is of low order. */
gboolean cw_hello_derive_link_key (const CwHello *hello,
                                   const CwIdentity *identity,
                                   const CwSecret *session_key,
                                   CwSecret *ret);

G_END_DECLS
