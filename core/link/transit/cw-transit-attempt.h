/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* One connection that may become the one: dialled or accepted, then through the handshake. It runs
 * in the thread-default main context of its making. */

#include <gio/gio.h>

#include "cw-transit-handshake.h"
#include "cw-transit-hints.h"

G_BEGIN_DECLS

typedef enum {
    CW_TRANSIT_PATH_INBOUND,
    CW_TRANSIT_PATH_OUTBOUND,
    CW_TRANSIT_PATH_RELAY,
} CwTransitPath;

typedef enum {
    CW_TRANSIT_ATTEMPT_DIALLING,
    CW_TRANSIT_ATTEMPT_TALKING, /* in the handshake */
    CW_TRANSIT_ATTEMPT_READY,   /* sender: may be chosen */
    CW_TRANSIT_ATTEMPT_PROVED,  /* receiver: waits for the sender's choice */
    CW_TRANSIT_ATTEMPT_DONE,    /* take its socket */
    CW_TRANSIT_ATTEMPT_FAILED,  /* for the reason in get_error() */
} CwTransitAttemptState;

typedef struct _CwTransitAttempt CwTransitAttempt;

/* Called at each change of state that is not the caller's own doing, from the main context only; it
 * may free the attempt. */
typedef void (*CwTransitAttemptFunc) (CwTransitAttempt *attempt, gpointer user_data);

/* What all attempts of one race share; outlives them. */
typedef struct {
    CwTransitRole role;
    const CwTransitKeys *keys;
    const char *relay_side;    /* 16 digits */
    unsigned inbound_limit_ms; /* for a stranger's handshake */
    CwTransitAttemptFunc func;
    gpointer user_data;
} CwTransitAttemptConfig;

/* @path OUTBOUND or RELAY. @guarded: the peer named this place, so wherever it leads must be
 * usable, and not loopback unless @loopback. */
CwTransitAttempt *cw_transit_attempt_dial (const CwTransitAttemptConfig *config,
                                           CwTransitPath path,
                                           const CwTransitHint *hint,
                                           gboolean guarded,
                                           gboolean loopback);
CwTransitAttempt *cw_transit_attempt_accept (const CwTransitAttemptConfig *config, GSocket *socket);
/* Ends it, politely if it was READY. */
void cw_transit_attempt_free (CwTransitAttempt *attempt);

/* READY only. DONE or FAILED at once, or later through the callback. */
void cw_transit_attempt_choose (CwTransitAttempt *attempt);

CwTransitAttemptState cw_transit_attempt_get_state (const CwTransitAttempt *attempt);
CwTransitPath cw_transit_attempt_get_path (const CwTransitAttempt *attempt);
const GError *cw_transit_attempt_get_error (const CwTransitAttempt *attempt);
/* Where it was dialled to, NULL for an inbound one. */
const CwTransitHint *cw_transit_attempt_get_hint (const CwTransitAttempt *attempt);
/* NULL while it is being dialled. */
GInetAddress *cw_transit_attempt_get_address (const CwTransitAttempt *attempt);
GSocket *cw_transit_attempt_get_socket (const CwTransitAttempt *attempt);
/* DONE only: what came in behind the handshake. */
const guint8 *cw_transit_attempt_get_early (const CwTransitAttempt *attempt, size_t *ret_len);

G_END_DECLS
