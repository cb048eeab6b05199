/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The mailbox server's memory and rules, without I/O: nameplates, mailboxes, sides and messages of
 * many applications. Connections are numbers of the caller's. Texts of clients, the time and random
 * bytes go in; texts to send and connections to drop come out of cw_mailbox_board_next().
 *
 * It answers as the public server does, down to the wording of its errors. What it adds are limits:
 * all of its memory and work has a bound that clients cannot move. When the board is full, a new
 * mailbox takes the place of the one that has been quiet longest and that nobody has open. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CwMailboxBoard CwMailboxBoard;

typedef struct {
    guint max_mailboxes;     /* and as many nameplates */
    guint max_openers;       /* connections that have one mailbox open */
    guint max_messages;      /* in one mailbox */
    gsize max_mailbox_bytes; /* of messages in one mailbox */
    gsize max_bytes;         /* of messages in all */
    guint burst;             /* commands a connection may send at once, */
    guint per_second;        /* and what it may go on with; 4 KiB of text count as one more */
} CwMailboxBoardLimits;

extern const CwMailboxBoardLimits cw_mailbox_board_limits;

/* Random bytes one text may need. */
#define CW_MAILBOX_BOARD_RANDOM 16

typedef struct {
    guint connection;
    GBytes *text; /* the caller's to free; NULL: drop the connection, the board has forgotten it */
} CwMailboxOutput;

typedef struct {
    guint connections;
    guint mailboxes;
    guint nameplates;
    gsize bytes; /* of stored messages */
} CwMailboxBoardStats;

/* @motd: message of the day or NULL. @limits NULL: the usual ones. All times are monotonic; clients
 * are shown them with @unix_offset_us added. */
CwMailboxBoard *cw_mailbox_board_new (const char *motd,
                                      const CwMailboxBoardLimits *limits,
                                      gint64 unix_offset_us,
                                      gint64 now_us);
void cw_mailbox_board_free (CwMailboxBoard *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwMailboxBoard, cw_mailbox_board_free)

/* Welcomes a connection with a number not in use. @ip: as the server sees it, "192.0.2.7" or
 * "2001:db8::7", told to the client; NULL: not told. */
void cw_mailbox_board_connect (
    CwMailboxBoard *self, guint connection, const char *ip, guint port, gint64 now_us);
/* One message of a client: any bytes. Does nothing for a connection that was dropped. */
void cw_mailbox_board_receive (CwMailboxBoard *self,
                               guint connection,
                               const char *text,
                               gsize len,
                               const guint8 random[CW_MAILBOX_BOARD_RANDOM],
                               gint64 now_us);
/* The connection is gone; its mailbox stays. */
void cw_mailbox_board_disconnect (CwMailboxBoard *self, guint connection);
gboolean cw_mailbox_board_is_bound (CwMailboxBoard *self, guint connection);

/* FALSE: nothing to send. */
gboolean cw_mailbox_board_next (CwMailboxBoard *self, CwMailboxOutput *ret_output);

/* When cw_mailbox_board_expire() is due, which forgets mailboxes that were quiet for 11 minutes
 * and that nobody has open. */
gint64 cw_mailbox_board_deadline (const CwMailboxBoard *self);
void cw_mailbox_board_expire (CwMailboxBoard *self, gint64 now_us);

void cw_mailbox_board_get_stats (CwMailboxBoard *self, CwMailboxBoardStats *ret_stats);

G_END_DECLS
