/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What people are told when something fails: one table from (domain, code) to words, shared by the
 * terminal and the window, so that both say the same. */

#include <glib.h>

G_BEGIN_DECLS

/* How the program ends; documented in causeway(1), stable. */
typedef enum {
    CW_EXIT_OK = 0,
    CW_EXIT_FAILED = 1,
    CW_EXIT_USAGE = 2,      /* the command line or a setting */
    CW_EXIT_WRONG_CODE = 3, /* wrong, or in use by others */
    CW_EXIT_DECLINED = 4,   /* a person said no, or stopped it */
    CW_EXIT_CONNECTION = 5, /* to the other computer: not made, or lost */
    CW_EXIT_SERVER = 6,     /* the mailbox cannot be reached or refuses us */
    CW_EXIT_DISK = 7,       /* something cannot be read or written here */
    CW_EXIT_INCOMPLETE = 8, /* done, but some items failed */
    CW_EXIT_INTERRUPTED = 130,
} CwExit;

typedef enum {
    CW_SIDE_ANY,
    CW_SIDE_SENDER,
    CW_SIDE_RECEIVER,
} CwSide;

/* Where the rest of the story is, and who wrote it. */
typedef enum {
    CW_DETAIL_NONE, /* the words above say it all */
    CW_DETAIL_OURS, /* GError.message adds a path or a reason */
    CW_DETAIL_PEER, /* GError.message is text by the other side or a server: quote it */
} CwDetail;

/* All strings are static; the three for people are translated. */
typedef struct {
    const char *name; /* stable, for machines: "wrong-code" */
    CwExit exit_code;
    CwDetail detail;
    const char *title; /* what happened: a sentence for after "causeway: ", so it begins small */
    const char *cause; /* what that means for the person; NULL: the title says it */
    const char *next;  /* what to do now; NULL: nothing */
    const char *item;  /* for after "photos/a.jpg: ", begins small; NULL: no item fails so */
} CwMessage;

/* Never fails: what is not in the table is "failed", with GError.message as detail. */
CwMessage cw_message_for_error (const GError *error, CwSide side);
/* FALSE when the table has nothing for it. */
gboolean cw_message_look_up (GQuark domain, int code, CwSide side, CwMessage *ret);

/* When our person said that the two computers show different verifiers: no GError says so. */
CwMessage cw_message_verifier_differs (void);

/* GError.message for showing: control characters replaced, at most @max_chars. NULL when there is
 * no detail to show. Free with g_free(). */
char *cw_message_dup_detail (const CwMessage *message, const GError *error, size_t max_chars);

G_END_DECLS
