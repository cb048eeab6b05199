/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    CW_MAILBOX_ERROR_UNREACHABLE, /* the first connection failed */
    CW_MAILBOX_ERROR_LOST,        /* connected once, and not again for too long */
    CW_MAILBOX_ERROR_UNWELCOME,   /* the operator turns us away; message is the server's text */
    CW_MAILBOX_ERROR_PERMISSION,  /* it asks for a permission we cannot give (needs a newer client)
                                   */
    CW_MAILBOX_ERROR_SERVER,      /* it answered with an error, or hangs up on a command */
    CW_MAILBOX_ERROR_CROWDED,     /* two others use this code already */
    CW_MAILBOX_ERROR_BAD_CODE,    /* the text is not a code */
    CW_MAILBOX_ERROR_WRONG_CODE,  /* the keys differ: wrong code or somebody guessed; it is burnt */
    CW_MAILBOX_ERROR_INCOMPATIBLE, /* the peer speaks another protocol */
    CW_MAILBOX_ERROR_BAD_URL,      /* the setting is not ws:// or wss:// */
} CwMailboxError;
#define CW_MAILBOX_ERROR cw_mailbox_error_quark ()
GQuark cw_mailbox_error_quark (void);

/* How we leave; told to the server in "close". */
typedef enum {
    CW_MOOD_HAPPY,  /* key confirmed and all is done */
    CW_MOOD_LONELY, /* nobody came */
    CW_MOOD_SCARY,  /* decryption failed */
    CW_MOOD_ERRORY,
} CwMood;

G_END_DECLS
