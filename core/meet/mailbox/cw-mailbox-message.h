/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What a client and a mailbox server say to each other: one JSON object per WebSocket text frame.
 * Pure; what comes in may be anything.
 *
 *   we send                                    it answers
 *   bind       appid, side, client_version     -
 *   list                                       nameplates  nameplates: [{id}]
 *   allocate                                   allocated   nameplate
 *   claim      nameplate                       claimed     mailbox
 *   release    nameplate                       released
 *   open       mailbox                         message, for each stored and each new one
 *   add        phase, body (hex)               message     side, phase, body; the echo
 *   close      mailbox, mood                   closed
 *   ping       ping (integer)                  pong        pong
 *   submit-permissions  method, stamp          -
 *
 * unasked: welcome (first), ack (for everything we send), error (error, orig: our message).
 * Everything we send has an "id" too, which the ack repeats. */

#include <glib.h>

#include "cw-mailbox-error.h"
#include "cw-spake2.h"

G_BEGIN_DECLS

/* Frames beyond this end the connection; the peer decides how large its messages are. */
#define CW_MAILBOX_MAX_TEXT (1 << 20)

typedef enum {
    CW_MAILBOX_MESSAGE_OTHER, /* ack, or of a kind we do not know: to be ignored */
    CW_MAILBOX_MESSAGE_WELCOME,
    CW_MAILBOX_MESSAGE_NAMEPLATES,
    CW_MAILBOX_MESSAGE_ALLOCATED,
    CW_MAILBOX_MESSAGE_CLAIMED,
    CW_MAILBOX_MESSAGE_RELEASED,
    CW_MAILBOX_MESSAGE_PHASE, /* "message" */
    CW_MAILBOX_MESSAGE_CLOSED,
    CW_MAILBOX_MESSAGE_PONG,
    CW_MAILBOX_MESSAGE_ERROR,
} CwMailboxMessageType;

typedef enum {
    CW_MAILBOX_PERMISSION_NONE,     /* come in */
    CW_MAILBOX_PERMISSION_HASHCASH, /* for a stamp */
    CW_MAILBOX_PERMISSION_UNKNOWN,  /* by no means we know of */
} CwMailboxPermission;

/* Members that do not belong to the type are NULL or zero. Texts for people have no control
 * characters but line ends, and a bounded length. */
typedef struct {
    CwMailboxMessageType type;
    char *error;                    /* welcome: go away; error: what was wrong */
    char *motd;                     /* welcome */
    CwMailboxPermission permission; /* welcome */
    unsigned bits;                  /* welcome: of the stamp */
    char *resource;                 /* welcome: of the stamp */
    char **nameplates;              /* nameplates: digits only */
    char *nameplate;                /* allocated: digits only */
    char *mailbox;                  /* claimed */
    char *side;                     /* message */
    char *phase;                    /* message */
    GBytes *body;                   /* message; NULL when it was not hex */
    char *orig;                     /* error: the type of our message, or NULL */
} CwMailboxMessage;

/* FALSE when it is not a message of the protocol. Clear @ret only after TRUE. */
gboolean cw_mailbox_message_parse (const char *text, size_t len, CwMailboxMessage *ret);
void cw_mailbox_message_clear (CwMailboxMessage *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CwMailboxMessage, cw_mailbox_message_clear)

/* Messages of ours; free with g_free(). The rest is pairs of names and texts, ended by NULL. */
char *cw_mailbox_message_write (unsigned id, const char *type, ...) G_GNUC_NULL_TERMINATED;
char *cw_mailbox_message_write_bind (unsigned id, const char *app_id, const char *side);
char *cw_mailbox_message_write_add (unsigned id, const char *phase, GBytes *body);
char *cw_mailbox_message_write_ping (unsigned id);
const char *cw_mailbox_mood_to_string (CwMood mood);

/* Bodies that are JSON themselves. Phase "pake": {"pake_v1": hex}; phase "version", decrypted:
 * {"app_versions": {...}} (@ret: the inner object's text, "{}" when it is missing). FALSE and NULL
 * when the peer speaks something else. */
GBytes *cw_mailbox_pake_body (const guint8 message[CW_SPAKE2_MESSAGE_SIZE]);
gboolean cw_mailbox_pake_body_parse (GBytes *body, guint8 ret[CW_SPAKE2_MESSAGE_SIZE]);
char *cw_mailbox_version_body_parse (GBytes *body);

G_END_DECLS
