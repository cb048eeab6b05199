/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What a client says to a Transit relay, once, before its bytes are passed on:
 *
 *   please relay TOKEN for side SIDE\n     TOKEN: 64 of [0-9A-Za-z_], in practice lower-case hex
 *   please relay TOKEN\n                   SIDE: 16 of the same; the form of old clients
 *
 * and the relay's answers. */

#include <glib.h>

G_BEGIN_DECLS

#define CW_RELAY_TOKEN_LEN 64
#define CW_RELAY_SIDE_LEN 16
/* Of the longer form with its newline. */
#define CW_RELAY_LINE_MAX (13 + CW_RELAY_TOKEN_LEN + 10 + CW_RELAY_SIDE_LEN + 1)

#define CW_RELAY_OK "ok\n"               /* both are here: what follows is theirs */
#define CW_RELAY_IMPATIENT "impatient\n" /* bytes came after the line, before "ok" */
#define CW_RELAY_BAD "bad handshake\n"   /* not one of the two forms */

typedef struct {
    char token[CW_RELAY_TOKEN_LEN + 1];
    char side[CW_RELAY_SIDE_LEN + 1]; /* "" in the old form */
} CwRelayLine;

typedef enum {
    CW_RELAY_LINE_SHORT, /* may become a line */
    CW_RELAY_LINE_WHOLE,
    CW_RELAY_LINE_TRAILING, /* a line and more: impatient */
    CW_RELAY_LINE_MALFORMED,
} CwRelayLineResult;

/* Looks at all bytes received so far; with CW_RELAY_LINE_MAX of them it is never short. *@ret_line
 * is written when the line is whole. */
CwRelayLineResult cw_relay_line_parse (const guint8 *data, size_t len, CwRelayLine *ret_line);

G_END_DECLS
