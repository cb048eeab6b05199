/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <stdlib.h>
#include <string.h>

#include "cw-relay-line.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    CwRelayLine line;
    CwRelayLineResult result = cw_relay_line_parse (data, size, &line);

    if (result == CW_RELAY_LINE_SHORT && size >= CW_RELAY_LINE_MAX)
        abort ();
    if (result == CW_RELAY_LINE_WHOLE
        && (strlen (line.token) != CW_RELAY_TOKEN_LEN
            || (*line.side && strlen (line.side) != CW_RELAY_SIDE_LEN)))
        abort ();
    return 0;
}
