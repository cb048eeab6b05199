/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* One meeting by code as a pure machine: what came from the server, the time and a random seed go
 * in; texts to send, events and a deadline come out. It opens no socket and reads no clock.
 *
 * After every call, in this order: send what next_text() gives, handle what next_event() gives, and
 * call expire() when deadline() has come. No call here runs code of the caller. */

#include <glib.h>

#include "cw-mailbox-error.h"
#include "cw-secret.h"

G_BEGIN_DECLS

/* Larger bodies would not fit through some clients' and servers' frames. */
#define CW_MAILBOX_MAX_BODY (12 * 1024)
#define CW_MAILBOX_MAX_WORDS 8

typedef struct _CwMailboxSession CwMailboxSession;

typedef enum {
    CW_MAILBOX_EVENT_CONNECT,    /* to urls[index]; answer with connected() or disconnected() */
    CW_MAILBOX_EVENT_DISCONNECT, /* close the connection or give the attempt up; not answered */
    CW_MAILBOX_EVENT_STAMP,      /* make a hashcash stamp of bits and resource (text): stamp() */
    CW_MAILBOX_EVENT_MOTD,       /* text */
    CW_MAILBOX_EVENT_CODE,       /* text; claimed, so the peer may come */
    CW_MAILBOX_EVENT_NAMEPLATES, /* list */
    CW_MAILBOX_EVENT_KEY,        /* the key is there, not confirmed */
    CW_MAILBOX_EVENT_CONFIRMED,  /* text: the peer's app_versions */
    CW_MAILBOX_EVENT_MESSAGE,    /* body */
    CW_MAILBOX_EVENT_OFFLINE,    /* flag */
    CW_MAILBOX_EVENT_FAILED,     /* error; the last one */
    CW_MAILBOX_EVENT_CLOSED,     /* after close(); the last one */
} CwMailboxEventType;

typedef struct {
    CwMailboxEventType type;
    unsigned index;
    unsigned bits;
    gboolean flag;
    char *text;
    char **list;
    GBytes *body;
    GError *error;
} CwMailboxEvent;

void cw_mailbox_event_clear (CwMailboxEvent *event);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CwMailboxEvent, cw_mailbox_event_clear)

/* @urls: at least one, only counted and named in errors. @app_versions: a JSON object in text.
 * @seed: random; everything that has to be random comes from it, so it is as secret as a key. */
CwMailboxSession *cw_mailbox_session_new (const char *const *urls,
                                          const char *app_id,
                                          const char *app_versions,
                                          const CwSecret *seed);
void cw_mailbox_session_free (CwMailboxSession *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwMailboxSession, cw_mailbox_session_free)

/* What the user wants: see cw-mailbox-client.h. set_code() wants a normalised code. None of them
 * does anything after the end. */
void cw_mailbox_session_start (CwMailboxSession *self, gint64 now_us);
void cw_mailbox_session_allocate (CwMailboxSession *self, unsigned n_words, gint64 now_us);
void cw_mailbox_session_claim (CwMailboxSession *self, const char *nameplate, gint64 now_us);
gboolean cw_mailbox_session_set_code (CwMailboxSession *self,
                                      const char *code,
                                      gint64 now_us,
                                      GError **error);
void cw_mailbox_session_list (CwMailboxSession *self, gint64 now_us);
void cw_mailbox_session_send (CwMailboxSession *self, GBytes *body, gint64 now_us);
/* Leaves in good order; CLOSED follows, at the latest after 3 s, and nothing else before it. */
void cw_mailbox_session_close (CwMailboxSession *self, CwMood mood, gint64 now_us);

/* What happened to the connection that CONNECT asked for. disconnected() with the reason ends an
 * attempt or a connection; not called for what DISCONNECT ended. receive(): a text frame. */
void cw_mailbox_session_connected (CwMailboxSession *self, gint64 now_us);
void cw_mailbox_session_disconnected (CwMailboxSession *self, const char *reason, gint64 now_us);
void cw_mailbox_session_receive (CwMailboxSession *self,
                                 const char *text,
                                 size_t len,
                                 gint64 now_us);
/* @stamp NULL: could not be made. */
void cw_mailbox_session_stamp (CwMailboxSession *self, const char *stamp, gint64 now_us);

/* G_MAXINT64: none. */
gint64 cw_mailbox_session_deadline (const CwMailboxSession *self);
void cw_mailbox_session_expire (CwMailboxSession *self, gint64 now_us);

/* NULL: nothing more. Free with g_free(). */
char *cw_mailbox_session_next_text (CwMailboxSession *self);
/* FALSE: nothing more. Clear @ret after TRUE. */
gboolean cw_mailbox_session_next_event (CwMailboxSession *self, CwMailboxEvent *ret);

const char *cw_mailbox_session_get_side (const CwMailboxSession *self);
/* NULL before KEY. Borrowed. */
const CwSecret *cw_mailbox_session_get_key (const CwMailboxSession *self);

G_END_DECLS
