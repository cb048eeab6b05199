/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A server that says anything: each line of the input is a text frame for a session, but "-" breaks
 * the connection, "+N" lets N seconds pass, and "!" closes. Our own side's name and a valid peer's
 * part of the key exchange take the place of "$SIDE" and "$PAKE". */
#include <sodium.h>
#include <string.h>

#include "cw-mailbox-message.h"
#include "cw-mailbox-session.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

#define CODE "4-purple-sausages"
#define MAX_LINES 300

static char *pake_hex;

static void
make_pake (void)
{
    const guint8 random[CW_SPAKE2_RANDOM_SIZE] = { 5 };
    g_autoptr (CwSpake2) pake
        = cw_spake2_new (CW_SPAKE2_SYMMETRIC, CODE, strlen (CODE), "app", NULL, random);
    guint8 message[CW_SPAKE2_MESSAGE_SIZE];
    g_autoptr (GBytes) body = NULL;
    gsize len;
    const guint8 *bytes;

    cw_spake2_get_message (pake, message);
    body = cw_mailbox_pake_body (message);
    bytes = g_bytes_get_data (body, &len);
    pake_hex = g_malloc (len * 2 + 1);
    sodium_bin2hex (pake_hex, len * 2 + 1, bytes, len);
}

/* Takes what comes out, as the glue would; TRUE when a connection is wanted. */
static gboolean
drain (CwMailboxSession *session, gint64 now)
{
    gboolean connect = FALSE, more = TRUE;
    char *text;

    while (more) {
        g_auto (CwMailboxEvent) event = { 0 };
        while ((text = cw_mailbox_session_next_text (session)) != NULL)
            g_free (text);
        more = cw_mailbox_session_next_event (session, &event);
        if (!more)
            break;
        connect = event.type == CW_MAILBOX_EVENT_CONNECT
                  || (connect && event.type != CW_MAILBOX_EVENT_DISCONNECT);
        if (event.type == CW_MAILBOX_EVENT_STAMP)
            cw_mailbox_session_stamp (session, "1:20:stamp", now);
    }
    return connect;
}

static char *
fill_in (CwMailboxSession *session, const char *line)
{
    g_autoptr (GString) text = g_string_new (line);

    g_string_replace (text, "$SIDE", cw_mailbox_session_get_side (session), 4);
    g_string_replace (text, "$PAKE", pake_hex, 4);
    return g_string_free (g_steal_pointer (&text), FALSE);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    static const char *const urls[] = { "ws://one/v1", "ws://two/v1", NULL };
    const CwSecret seed = { { 1 } };
    g_autofree char *input = g_strndup (size > 0 ? (const char *)data : "", size);
    g_auto (GStrv) lines = g_strsplit (input, "\n", MAX_LINES);
    g_autoptr (CwMailboxSession) session = NULL;
    g_autoptr (GBytes) body = g_bytes_new_static ("hello", 5);
    gint64 now = 1;

    if (pake_hex == NULL) {
        cw_crypto_init ();
        make_pake ();
    }
    session = cw_mailbox_session_new (urls, "app", "{}", &seed);
    cw_mailbox_session_start (session, now);
    cw_mailbox_session_send (session, body, now);
    if (size % 2 == 0)
        cw_mailbox_session_set_code (session, CODE, now, NULL);
    else
        cw_mailbox_session_allocate (session, 2, now);
    cw_mailbox_session_list (session, now);
    for (char **line = lines; *line != NULL; line++) {
        if (drain (session, now))
            cw_mailbox_session_connected (session, now);
        if (**line == '-') {
            cw_mailbox_session_disconnected (session, "it broke", now);
        } else if (**line == '!') {
            cw_mailbox_session_close (session, CW_MOOD_ERRORY, now);
        } else if (**line == '+') {
            now += (gint64)(g_ascii_strtoull (*line + 1, NULL, 10) % 1000) * 1000000;
            cw_mailbox_session_expire (session, now);
        } else {
            g_autofree char *text = fill_in (session, *line);
            cw_mailbox_session_receive (session, text, strlen (text), now);
        }
        if (cw_mailbox_session_deadline (session) <= now)
            cw_mailbox_session_expire (session, now);
    }
    drain (session, now);
    return 0;
}
