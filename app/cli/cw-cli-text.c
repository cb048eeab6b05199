/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-text.h"

#include <string.h>

#include "cw-names.h"

#define ELLIPSIS "…"
#define SHOWN_PATH_MAX 1024 /* characters */

static unsigned
char_columns (gunichar c)
{
    if (g_unichar_iszerowidth (c))
        return 0;
    return g_unichar_iswide (c) ? 2 : 1;
}

unsigned
cw_text_columns (const char *text)
{
    unsigned columns = 0;

    for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
        columns += char_columns (g_utf8_get_char (p));
    return columns;
}

/* The longest beginning of @text in @columns, as its end. */
static const char *
skip_columns (const char *text, unsigned columns)
{
    const char *p = text;

    while (*p != '\0') {
        unsigned next = char_columns (g_utf8_get_char (p));
        if (next > columns)
            break;
        columns -= next;
        p = g_utf8_next_char (p);
    }
    return p;
}

char *
cw_text_cut_middle (const char *text, unsigned columns)
{
    unsigned all = cw_text_columns (text);
    const char *head_end, *tail;
    unsigned tail_columns;

    if (all <= columns)
        return g_strdup (text);
    if (columns == 0)
        return g_strdup ("");
    /* The end of a name has its ending, so it gets the smaller half, not nothing. */
    tail_columns = (columns - 1) / 2;
    head_end = skip_columns (text, columns - 1 - tail_columns);
    tail = text;
    for (unsigned rest = all; rest > tail_columns; tail = g_utf8_next_char (tail))
        rest -= char_columns (g_utf8_get_char (tail));
    return g_strdup_printf ("%.*s" ELLIPSIS "%s", (int)(head_end - text), text, tail);
}

char *
cw_text_pad (const char *text, unsigned columns)
{
    unsigned have = cw_text_columns (text);

    return g_strdup_printf ("%s%*s", text, have < columns ? (int)(columns - have) : 0, "");
}

/* Of the invisible formats only those that reorder a line are harmful; joiners are part of
 * writing. */
static gboolean
is_harmful (gunichar c)
{
    if (c == '\n' || c == '\t')
        return FALSE;
    return g_unichar_iscntrl (c) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e)
           || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x061c;
}

char *
cw_text_dup_visible (const char *text)
{
    g_autofree char *valid = g_utf8_make_valid (text, -1);
    GString *out = g_string_sized_new (strlen (valid));

    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
        gunichar c = g_utf8_get_char (p);

        if (c == '\r' && p[1] == '\n')
            continue; /* a line end written elsewhere */
        if (is_harmful (c))
            g_string_append_printf (out, "<U+%04X>", c);
        else
            g_string_append_unichar (out, c);
    }
    return g_string_free (out, FALSE);
}

char *
cw_text_dup_path (const char *path)
{
    g_autofree char *valid = g_utf8_make_valid (path, -1);
    g_autofree char *home = g_utf8_make_valid (g_get_home_dir (), -1);
    g_autofree char *shown = cw_name_dup_display (valid, SHOWN_PATH_MAX);
    size_t len = strlen (home);

    if (len > 1 && strncmp (shown, home, len) == 0 && (shown[len] == '/' || shown[len] == '\0'))
        return g_strconcat ("~", shown + len, NULL);
    return g_steal_pointer (&shown);
}

char *
cw_text_dup_shell_word (const char *word)
{
    static const char safe[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_./:@%+,=";

    if (word[0] != '\0' && strspn (word, safe) == strlen (word))
        return g_strdup (word);
    return g_shell_quote (word);
}
