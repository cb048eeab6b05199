/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Everything that can go wrong between "these files" and "they are there". Codes are stable: app/
 * has a sentence, an exit code and a --json name for each. */
typedef enum {
    CW_DROP_ERROR_DECLINED,          /* the other person said no */
    CW_DROP_ERROR_PEER_CANCELLED,    /* the other person stopped it */
    CW_DROP_ERROR_PEER_FAILED,       /* the other side failed; message is its own text */
    CW_DROP_ERROR_PEER_LOST,         /* the connection ended or went silent in the middle */
    CW_DROP_ERROR_PROTOCOL,          /* the other side sent nonsense */
    CW_DROP_ERROR_VERIFY,            /* what arrived is not what was sent */
    CW_DROP_ERROR_INCOMPLETE,        /* done, but some items failed */
    CW_DROP_ERROR_SOURCE_UNREADABLE, /* sender: missing, no permission, not a file or folder */
    CW_DROP_ERROR_SOURCE_CHANGED,    /* sender: it changed while it was read */
    CW_DROP_ERROR_NOTHING,           /* sender: there is nothing to send */
    CW_DROP_ERROR_NO_SPACE,          /* receiver */
    CW_DROP_ERROR_NO_PERMISSION,     /* receiver: the target cannot be written */
    CW_DROP_ERROR_TARGET_GONE,       /* receiver: the target folder vanished or is not one */
    CW_DROP_ERROR_BAD_NAME,          /* receiver: a name that cannot be made safe */
    CW_DROP_ERROR_BAD_LINK,          /* receiver: a symlink that leaves its folder */
    CW_DROP_ERROR_BAD_ARCHIVE,       /* receiver: the folder's zip is damaged or hostile */
    CW_DROP_ERROR_TOO_LARGE,         /* receiver: more than was offered, or beyond our limits */
    CW_DROP_ERROR_BUSY,              /* receiver: the same offer is being received already */
    CW_DROP_ERROR_STORE,             /* receiver: any other failure to write */
    CW_DROP_ERROR_UNSUPPORTED,       /* an offer of a kind we do not know */
    CW_DROP_ERROR_LONG_TEXT,         /* sender: too long for a plain wormhole client's message */
} CwDropError;
#define CW_DROP_ERROR cw_drop_error_quark ()
GQuark cw_drop_error_quark (void);

/* Our code for an errno of the receiving side's file system. */
CwDropError cw_drop_error_from_target_errno (int errnum);

G_END_DECLS
