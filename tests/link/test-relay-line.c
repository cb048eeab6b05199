/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <string.h>

#include "cw-relay-line.h"

/* notes of the protocol: key 32 times "k", side 12345678abcdabcd */
#define TOKEN "3f4147851dbd2589d25b654ee9fb35ed0d3e5f19c5c5403e8e6a195c70f0577a"
#define SIDE "12345678abcdabcd"
#define LINE "please relay " TOKEN " for side " SIDE "\n"
#define OLD_LINE "please relay " TOKEN "\n"

static CwRelayLineResult
parse (const char *text, size_t len, CwRelayLine *line)
{
    /* An exact heap copy, so that a sanitizer sees the first byte read past the end. */
    g_autofree guint8 *copy = g_memdup2 (text, len);

    return cw_relay_line_parse (copy, len, line);
}

static void
test_forms (void)
{
    CwRelayLine line;

    g_assert_cmpuint (strlen (LINE), ==, CW_RELAY_LINE_MAX);
    g_assert_cmpint (parse (LINE, strlen (LINE), &line), ==, CW_RELAY_LINE_WHOLE);
    g_assert_cmpstr (line.token, ==, TOKEN);
    g_assert_cmpstr (line.side, ==, SIDE);
    g_assert_cmpint (parse (OLD_LINE, strlen (OLD_LINE), &line), ==, CW_RELAY_LINE_WHOLE);
    g_assert_cmpstr (line.token, ==, TOKEN);
    g_assert_cmpstr (line.side, ==, "");
}

static void
test_truncations (void)
{
    static const char *const lines[] = { LINE, OLD_LINE };

    for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
        for (size_t len = 0; len < strlen (lines[i]); len++) {
            CwRelayLine line = { .token = "untouched" };
            g_assert_cmpint (parse (lines[i], len, &line), ==, CW_RELAY_LINE_SHORT);
            g_assert_cmpstr (line.token, ==, "untouched");
        }
    }
}

/* No byte of a line may be another one, as soon as it is there; digits excepted, where any will do.
 */
static void
test_malformed (void)
{
    CwRelayLine line;

    for (size_t at = 0; at < strlen (LINE); at++) {
        g_autofree char *bad = g_strdup (LINE);
        bad[at] = at == strlen ("please relay ") + CW_RELAY_TOKEN_LEN ? 'x' : '-';
        g_assert_cmpint (parse (bad, at + 1, &line), ==, CW_RELAY_LINE_MALFORMED);
        g_assert_cmpint (parse (bad, strlen (bad), &line), ==, CW_RELAY_LINE_MALFORMED);
        bad[at] = '\0';
        g_assert_cmpint (parse (bad, at + 1, &line), ==, CW_RELAY_LINE_MALFORMED);
    }
    g_assert_cmpint (parse ("please relay \n", 14, &line), ==, CW_RELAY_LINE_MALFORMED);
    g_assert_cmpint (parse ("GET / HTTP/1.1\r\n", 16, &line), ==, CW_RELAY_LINE_MALFORMED);
}

static void
test_trailing (void)
{
    CwRelayLine line = { .token = "untouched" };

    g_assert_cmpint (parse (LINE "x", strlen (LINE) + 1, &line), ==, CW_RELAY_LINE_TRAILING);
    g_assert_cmpint (parse (OLD_LINE "\n", strlen (OLD_LINE) + 1, &line), ==,
                     CW_RELAY_LINE_TRAILING);
    g_assert_cmpint (parse (OLD_LINE LINE, strlen (OLD_LINE LINE), &line), ==,
                     CW_RELAY_LINE_TRAILING);
    g_assert_cmpstr (line.token, ==, "untouched");
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/relay-line/forms", test_forms);
    g_test_add_func ("/relay-line/truncations", test_truncations);
    g_test_add_func ("/relay-line/malformed", test_malformed);
    g_test_add_func ("/relay-line/trailing", test_trailing);
    return g_test_run ();
}
