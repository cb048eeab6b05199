/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-relay-line.h"

#include "cw-bytes.h"

static const char HELLO[] = "please relay ";
static const char FOR_SIDE[] = " for side ";

/* WHOLE: @text was next and is behind the cursor. */
static CwRelayLineResult
read_text (CwReader *r, const char *text)
{
    size_t len = strlen (text);
    const guint8 *bytes;

    if (r->remaining == 0)
        return CW_RELAY_LINE_SHORT;
    if (memcmp (r->data, text, MIN (len, r->remaining)) != 0)
        return CW_RELAY_LINE_MALFORMED;
    return cw_reader_bytes (r, len, &bytes) ? CW_RELAY_LINE_WHOLE : CW_RELAY_LINE_SHORT;
}

static CwRelayLineResult
read_word (CwReader *r, size_t len, char *ret_word)
{
    const guint8 *bytes;

    for (size_t i = 0; i < MIN (len, r->remaining); i++) {
        if (!g_ascii_isalnum (r->data[i]) && r->data[i] != '_')
            return CW_RELAY_LINE_MALFORMED;
    }
    if (!cw_reader_bytes (r, len, &bytes))
        return CW_RELAY_LINE_SHORT;
    memcpy (ret_word, bytes, len);
    return CW_RELAY_LINE_WHOLE;
}

static CwRelayLineResult
read_side (CwReader *r, char *ret_side)
{
    CwRelayLineResult result = read_text (r, FOR_SIDE);

    return result == CW_RELAY_LINE_WHOLE ? read_word (r, CW_RELAY_SIDE_LEN, ret_side) : result;
}

CwRelayLineResult
cw_relay_line_parse (const guint8 *data, size_t len, CwRelayLine *ret_line)
{
    CwReader r = cw_reader (data, len);
    CwRelayLine line = { 0 };
    CwRelayLineResult result = read_text (&r, HELLO);

    if (result == CW_RELAY_LINE_WHOLE)
        result = read_word (&r, CW_RELAY_TOKEN_LEN, line.token);
    if (result == CW_RELAY_LINE_WHOLE && r.remaining > 0 && r.data[0] != '\n')
        result = read_side (&r, line.side);
    if (result == CW_RELAY_LINE_WHOLE)
        result = read_text (&r, "\n");
    if (result != CW_RELAY_LINE_WHOLE)
        return result;
    if (r.remaining > 0)
        return CW_RELAY_LINE_TRAILING;
    *ret_line = line;
    return CW_RELAY_LINE_WHOLE;
}
