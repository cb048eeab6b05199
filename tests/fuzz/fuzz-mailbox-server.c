/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Lines of the input are what happens to a mailbox board: "+2" connects connection 2, "-2"
 * disconnects it, "~90" lets 90 seconds pass, and "2TEXT" is a text from it. What comes out must be
 * JSON, to somebody who is there, and the limits must hold. */

#include <stdlib.h>
#include <string.h>

#include "cw-json.h"
#include "cw-mailbox-board.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

#define CONNECTIONS 4

typedef struct {
    CwMailboxBoard *board;
    gint64 now_us;
    gboolean connected[CONNECTIONS];
} World;

static void
drain (World *world)
{
    CwMailboxOutput output;

    while (cw_mailbox_board_next (world->board, &output)) {
        g_autoptr (JsonNode) root = NULL;
        gsize len;
        const char *text;
        if (output.connection >= CONNECTIONS || !world->connected[output.connection])
            abort ();
        if (output.text == NULL) {
            world->connected[output.connection] = FALSE;
            continue;
        }
        text = g_bytes_get_data (output.text, &len);
        root = cw_json_parse_object (text, len, NULL);
        if (root == NULL)
            abort ();
        g_clear_pointer (&output.text, g_bytes_unref);
    }
}

static void
play (World *world, const char *line, size_t len)
{
    static const guint8 random[CW_MAILBOX_BOARD_RANDOM] = { 0 };
    guint n = len > 1 ? (guint8)line[1] % CONNECTIONS : 0;

    if (line[0] == '+' && !world->connected[n]) {
        world->connected[n] = TRUE;
        cw_mailbox_board_connect (world->board, n, n == 1 ? "192.0.2.1" : NULL, 7, world->now_us);
    } else if (line[0] == '-') {
        cw_mailbox_board_disconnect (world->board, n);
        world->connected[n] = FALSE;
    } else if (line[0] == '~') {
        g_autofree char *seconds = g_strndup (line + 1, len - 1);
        world->now_us += (gint64)(g_ascii_strtoull (seconds, NULL, 10) % 3600) * G_USEC_PER_SEC;
        cw_mailbox_board_expire (world->board, world->now_us);
    } else {
        g_autofree char *text = g_memdup2 (line + 1, len - 1);
        cw_mailbox_board_receive (world->board, (guint8)line[0] % CONNECTIONS, text, len - 1,
                                  random, world->now_us);
    }
}

static void
check_limits (World *world, const CwMailboxBoardLimits *limits)
{
    CwMailboxBoardStats stats;

    cw_mailbox_board_get_stats (world->board, &stats);
    if (stats.mailboxes > limits->max_mailboxes || stats.nameplates > limits->max_mailboxes
        || stats.bytes > limits->max_bytes || stats.connections > CONNECTIONS)
        abort ();
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    CwMailboxBoardLimits limits = cw_mailbox_board_limits;
    World world = { .now_us = 1 };
    const char *line = (const char *)data;
    size_t left = size;

    limits.max_mailboxes = 3;
    limits.max_openers = 2;
    limits.max_messages = 4;
    limits.max_mailbox_bytes = 2000;
    limits.max_bytes = 4000;
    limits.burst = 40;
    world.board = cw_mailbox_board_new ("motd", &limits, 1700000000000000, world.now_us);
    while (left > 0) {
        const char *end = memchr (line, '\n', left);
        size_t len = end != NULL ? (size_t)(end - line) : left;
        if (len > 0) {
            play (&world, line, len);
            drain (&world);
            check_limits (&world, &limits);
        }
        left -= MIN (left, len + 1);
        line += len + 1;
    }
    cw_mailbox_board_expire (world.board, G_MAXINT64 / 2);
    cw_mailbox_board_free (world.board);
    return 0;
}
