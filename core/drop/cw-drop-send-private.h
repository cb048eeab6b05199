/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What the sender's three threads share:
 *
 * source  cw-drop-source.c: reads the disk and fills buffers with whole requests or whole chunks
 * writer  cw-drop-send.c, the caller's thread: writes buffers to the stream
 * reader  cw-drop-send.c: takes the responses
 *
 * Everything between them is bounded: buffers, requests without an answer, look-ups ahead. */

#include "cw-drop-line-private.h"
#include "cw-drop-wire.h"
#include "cw-drop.h"

G_BEGIN_DECLS

#define CW_DROP_PIECE 262144 /* content of a chunk */
#define CW_DROP_BUFFER (CW_DROP_PIECE + 2 * CW_DROP_MAX_HEAD)
#define CW_DROP_N_BUFFERS 8
#define CW_DROP_MAX_WAITING 8192 /* requests without an answer */
#define CW_DROP_LOOK_AHEAD 256   /* look-ups without their item */

typedef struct {
    GByteArray *bytes; /* never grows beyond CW_DROP_BUFFER */
    guint64 content;   /* bytes of files that these stand for */
    gboolean in_file;  /* behind it the content of a file goes on */
} CwDropBuffer;

/* A request that waits for its answer. */
typedef struct {
    guint32 index; /* of the item */
    guint8 kind;   /* CwDropRequestKind */
    guint8 failed; /* counted as failed already */
} CwDropWaiting;

/* What the receiver has of a file. */
typedef struct {
    guint64 length; /* 0: nothing */
    guint8 sha256[32];
} CwDropLook;

typedef struct {
    const CwDropSendArgs *args;
    CwDropLine *line;
    GCancellable *halt; /* cancelled when the source is to stop: for the reading of pipes */

    int refused; /* atomic; index + 1 of the item that the receiver refused last */

    GMutex lock;        /* guards all below */
    GCond cond;         /* any of it has changed */
    GQueue full, empty; /* of CwDropBuffer */
    CwDropWaiting waiting[CW_DROP_MAX_WAITING];
    guint64 n_asked, n_answered; /* requests; what waits is between them */
    CwDropLook looks[CW_DROP_LOOK_AHEAD];
    guint64 n_looked; /* answers in @looks, ever */
    guint64 n_failed;

    gboolean accepted, resume;
    gboolean done;        /* the receiver has delivered */
    gboolean cancelled;   /* by our user */
    gboolean write_ended; /* nothing more can be written */
    GError *error;        /* the first fatal one */
} CwDropSender;

/* --- For the source; nothing of these is called with the lock held --- */

/* An empty buffer; NULL when the source is to stop. */
CwDropBuffer *cw_drop_sender_get_buffer (CwDropSender *sender);
/* Both take @buffer: to be written, or not. */
void cw_drop_sender_push (CwDropSender *sender, CwDropBuffer *buffer);
void cw_drop_sender_drop_buffer (CwDropSender *sender, CwDropBuffer *buffer);
/* The number of the request that is appended next; FALSE when too many wait (push what there is,
 * then call it with @wait) or, with @wait, when the source is to stop. */
gboolean cw_drop_sender_expect (CwDropSender *sender,
                                CwDropRequestKind kind,
                                guint32 index,
                                gboolean wait,
                                guint64 *ret_number);
/* Item @index failed on our side; @number is its request's. */
void cw_drop_sender_fail_item (CwDropSender *sender,
                               guint64 number,
                               guint32 index,
                               const GError *reason);
/* The @n-th look-up's answer, from 0. FALSE when the source is to stop. */
gboolean cw_drop_sender_await_look (CwDropSender *sender, guint64 n, CwDropLook *ret);
gboolean cw_drop_sender_is_stopping (CwDropSender *sender);

/* --- The source's thread --- */

gpointer cw_drop_source_run (gpointer sender);

G_END_DECLS
