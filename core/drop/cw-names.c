/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-names.h"

#include <string.h>

/* What Linux file systems take, in bytes. */
#define MAX_NAME 255
/* A longer "extension" is a sentence with a dot in it. */
#define MAX_EXTENSION 16

/* Characters that hide or reorder what stands around them: C0 and C1 controls, line and paragraph
 * separators, bidirectional marks, embeddings, overrides and isolates, and the byte order mark.
 * Joiners stay, since scripts and emoji need them. */
static gboolean
is_deceptive (gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f
           || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* The next character of at most @len bytes and its length; (gunichar) -1 and 1 for a byte that is
 * no UTF-8. */
static gunichar
next_char (const char *text, size_t len, size_t *ret_len)
{
    gunichar c = *text == '\0' ? 0 : g_utf8_get_char_validated (text, (gssize)len);

    if (c == (gunichar)-1 || c == (gunichar)-2) {
        *ret_len = 1;
        return (gunichar)-1;
    }
    *ret_len = c == 0 ? 1 : (size_t)g_unichar_to_utf8 (c, NULL);
    return c;
}

static void
trim (GString *name)
{
    const char *p = name->str;

    while (*p != '\0' && g_unichar_isspace (g_utf8_get_char (p)))
        p = g_utf8_next_char (p);
    g_string_erase (name, 0, p - name->str);
    while (name->len > 0) {
        const char *last = g_utf8_prev_char (name->str + name->len);
        if (*last != '.' && !g_unichar_isspace (g_utf8_get_char (last)))
            break;
        g_string_truncate (name, (gsize)(last - name->str));
    }
}

/* Where the extension's dot is; the length of @name when it has none. "a.tar.gz" has one of two
 * parts; ".profile" and "Dr. No" have none. */
static size_t
extension_at (const char *name)
{
    size_t len = strlen (name);
    const char *dot = strrchr (name, '.');
    const char *before;

    if (dot == NULL || dot == name || dot[1] == '\0' || strlen (dot) > MAX_EXTENSION
        || strchr (dot, ' ') != NULL)
        return len;
    before = dot - MIN (4, dot - name);
    if (before > name && g_ascii_strncasecmp (before, ".tar", 4) == 0)
        return (size_t)(before - name);
    return (size_t)(dot - name);
}

/* @len or a little less, so that no character of @text is cut in two. */
static size_t
cut_at (const char *text, size_t len)
{
    for (int i = 0; i < 3 && len > 0 && ((guint8)text[len] & 0xc0) == 0x80; i++)
        len--;
    return len;
}

/* Devices on Windows whatever the extension: a folder that holds one cannot be copied there. */
static gboolean
is_reserved (const char *name)
{
    static const char *const plain[] = { "con", "prn", "aux", "nul", "conin$", "conout$" };
    static const char *const numbers[]
        = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³" };
    size_t len = strcspn (name, ".");

    while (len > 0 && name[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < G_N_ELEMENTS (plain); i++)
        if (strlen (plain[i]) == len && g_ascii_strncasecmp (name, plain[i], len) == 0)
            return TRUE;
    if (len < 4
        || (g_ascii_strncasecmp (name, "com", 3) != 0 && g_ascii_strncasecmp (name, "lpt", 3) != 0))
        return FALSE;
    for (size_t i = 0; i < G_N_ELEMENTS (numbers); i++)
        if (strlen (numbers[i]) == len - 3 && memcmp (name + 3, numbers[i], len - 3) == 0)
            return TRUE;
    return FALSE;
}

char *
cw_name_make_safe (const char *name, size_t len, gboolean top_level)
{
    g_autoptr (GString) safe = g_string_sized_new (MIN (len, 2 * MAX_NAME));
    size_t extension, extension_len;

    for (size_t at = 0, step; at < len; at += step) {
        gunichar c = next_char (name + at, len - at, &step);
        if (c == (gunichar)-1 || c == '/' || is_deceptive (c))
            g_string_append_c (safe, '_');
        else
            g_string_append_len (safe, name + at, (gssize)step);
    }
    trim (safe);
    if (top_level && safe->str[0] == '.')
        safe->str[0] = '_';
    if (safe->len == 0 || is_reserved (safe->str))
        g_string_prepend_c (safe, '_');
    if (safe->len > MAX_NAME) {
        extension = extension_at (safe->str);
        extension_len = safe->len - extension;
        g_string_erase (safe, (gssize)cut_at (safe->str, MAX_NAME - extension_len),
                        (gssize)extension - (gssize)cut_at (safe->str, MAX_NAME - extension_len));
        trim (safe);
    }
    return g_string_free (g_steal_pointer (&safe), FALSE);
}

char *
cw_name_number (const char *name, unsigned n, gboolean is_folder)
{
    size_t extension = is_folder ? strlen (name) : extension_at (name);
    g_autofree char *tail = g_strdup_printf (" (%u)%s", n, name + extension);
    size_t stem = extension;

    if (stem + strlen (tail) > MAX_NAME)
        stem = cut_at (name, MAX_NAME - MIN (MAX_NAME, strlen (tail)));
    return g_strdup_printf ("%.*s%s", (int)stem, name, tail);
}

static gboolean
is_component (const char *part, size_t len, const char *text)
{
    return strlen (text) == len && memcmp (part, text, len) == 0;
}

/* ".." counts only before the first name. Behind one it would follow wherever a symlink of that
 * name leads, and several harmless links could be chained to climb out; with this rule, each link
 * starts from where it really is and every other link on its way stays inside as well. */
gboolean
cw_name_link_stays_inside (const char *path, const char *target)
{
    size_t depth = 0;
    gboolean named = FALSE;

    if (*target == '\0' || *target == '/')
        return FALSE;
    for (const char *part = path; *part != '\0'; part += *part == '/') {
        size_t len = strcspn (part, "/");
        if (len > 0 && !is_component (part, len, ".") && !is_component (part, len, ".."))
            depth++;
        part += len;
    }
    if (depth < 2)
        return FALSE;
    depth -= 2;
    for (const char *part = target; *part != '\0'; part += *part == '/') {
        size_t len = strcspn (part, "/");
        if (is_component (part, len, "..")) {
            if (named || depth == 0)
                return FALSE;
            depth--;
        } else if (len > 0 && !is_component (part, len, ".")) {
            named = TRUE;
        }
        part += len;
    }
    return TRUE;
}

char *
cw_name_dup_display (const char *name, size_t max_chars)
{
    g_autoptr (GString) shown = g_string_new (NULL);
    size_t len = strlen (name), n_chars = 0, head, tail;
    const char *from, *to;

    for (size_t at = 0, step; at < len; at += step, n_chars++) {
        gunichar c = next_char (name + at, len - at, &step);
        if (c == (gunichar)-1 || is_deceptive (c))
            g_string_append (shown, "\xef\xbf\xbd");
        else
            g_string_append_len (shown, name + at, (gssize)step);
    }
    if (n_chars <= max_chars)
        return g_string_free (g_steal_pointer (&shown), FALSE);
    if (max_chars == 0)
        return g_strdup ("");
    head = max_chars / 2;
    tail = max_chars - head - 1;
    from = g_utf8_offset_to_pointer (shown->str, (glong)head);
    to = g_utf8_offset_to_pointer (shown->str, (glong)(n_chars - tail));
    g_string_erase (shown, from - shown->str, to - from);
    g_string_insert (
        shown, (gssize)(g_utf8_offset_to_pointer (shown->str, (glong)head) - shown->str), "…");
    return g_string_free (g_steal_pointer (&shown), FALSE);
}
