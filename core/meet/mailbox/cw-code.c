/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-code.h"

#include <string.h>

#include "cw-mailbox-error.h"
#include "cw-mailbox-url.h"

#define URI_SCHEME "wormhole-transfer:"
#define MAX_TEXT 2048
#define MAX_CODE 256
#define MAX_NAMEPLATE 40 /* the server's own limit */

static char *
bad_code (GError **error, const char *reason)
{
    /* Never with the text itself: it may hold half of a code that is still good. */
    g_set_error_literal (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_CODE, reason);
    return NULL;
}

/* What looks like "-", since word processors and messengers like to improve it. */
static gboolean
is_dash (gunichar c)
{
    return c == '-' || (c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0xfe58 || c == 0xfe63
           || c == 0xff0d;
}

/* Characters nobody sees, which copying from a web page brings along. */
static gboolean
is_invisible (gunichar c)
{
    return g_unichar_type (c) == G_UNICODE_FORMAT;
}

static gboolean
is_refused (gunichar c)
{
    GUnicodeType type = g_unichar_type (c);

    return type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT || type == G_UNICODE_UNASSIGNED
           || type == G_UNICODE_PRIVATE_USE || type == G_UNICODE_SURROGATE;
}

static char *
trim (const char *text)
{
    const char *end = text + strlen (text);

    while (*text != '\0'
           && (g_unichar_isspace (g_utf8_get_char (text)) || is_invisible (g_utf8_get_char (text))))
        text = g_utf8_next_char (text);
    while (end > text) {
        const char *last = g_utf8_prev_char (end);
        if (!g_unichar_isspace (g_utf8_get_char (last)) && !is_invisible (g_utf8_get_char (last)))
            break;
        end = last;
    }
    return g_strndup (text, (gsize)(end - text));
}

/* Blanks become "-"; "7 - crossover" is one "-" too, but "7--crossover" remains what it is. The
 * mapping is Unicode's and not the locale's, where "I" might become a dotless "i". */
static char *
fold (const char *text, GError **error)
{
    g_autoptr (GString) out = g_string_new (NULL);

    for (const char *p = text; *p != '\0';) {
        gunichar c = g_utf8_get_char (p);
        unsigned dashes = 0;
        gboolean blank = FALSE;

        for (; *p != '\0' && (g_unichar_isspace (c) || is_dash (c));
             p = g_utf8_next_char (p), c = g_utf8_get_char (p)) {
            dashes += is_dash (c);
            blank = blank || g_unichar_isspace (c);
        }
        if (blank)
            dashes = 1;
        while (dashes-- > 0)
            g_string_append_c (out, '-');
        if (*p == '\0')
            break;
        if (is_refused (c))
            return bad_code (error, "code has a character that cannot be seen");
        g_string_append_unichar (out, g_unichar_tolower (c));
        p = g_utf8_next_char (p);
    }
    return g_utf8_normalize (out->str, (gssize)out->len, G_NORMALIZE_NFC);
}

static gboolean
check_code (const char *code, GError **error)
{
    size_t digits = strspn (code, "0123456789");

    if (digits == 0 || (code[digits] != '-' && code[digits] != '\0'))
        bad_code (error, "code does not start with a number, as 7-crossover-clockwork does");
    else if (digits > MAX_NAMEPLATE)
        bad_code (error, "number of the code is too long");
    else if (code[digits] == '\0' || code[digits + 1] == '\0')
        bad_code (error, "code has no words behind its number, as 7-crossover-clockwork does");
    else if (strlen (code) > MAX_CODE)
        bad_code (error, "code is too long");
    else if (strstr (code, "--") != NULL || g_str_has_suffix (code, "-"))
        bad_code (error, "code lacks a word beside a \"-\"");
    else
        return TRUE;
    return FALSE;
}

/* One "key=value" of the link's query. FALSE: refused. */
static gboolean
take_query_item (const char *item, char **mailbox, GError **error)
{
    const char *equals = strchr (item, '=');
    g_autofree char *value = equals != NULL ? g_uri_unescape_string (equals + 1, NULL) : NULL;
    size_t key_len = equals != NULL ? (size_t)(equals - item) : 0;

    if (value == NULL || !g_utf8_validate (value, -1, NULL)) {
        bad_code (error, "link is damaged");
    } else if (key_len == strlen ("version") && g_str_has_prefix (item, "version")) {
        if (strcmp (value, "0") == 0)
            return TRUE;
        bad_code (error, "link is of a newer kind");
    } else if (key_len == strlen ("role") && g_str_has_prefix (item, "role")) {
        if (strcmp (value, "follower") == 0)
            return TRUE;
        bad_code (error, "link is for sending to its maker, which is not supported");
    } else if (key_len == strlen ("rendezvous") && g_str_has_prefix (item, "rendezvous")) {
        g_free (*mailbox);
        *mailbox = cw_mailbox_url_from_rendezvous (value, NULL);
        if (*mailbox != NULL)
            return TRUE;
        bad_code (error, "link names a mailbox server that is not ws:// or wss://");
    } else { /* what we do not know may change the meaning: so says the scheme's definition */
        bad_code (error, "link has a part that is not known");
    }
    return FALSE;
}

static char *
take_uri_apart (const char *uri, char **ret_mailbox, GError **error)
{
    const char *path = uri + strlen (URI_SCHEME);
    const char *question = strchr (path, '?');
    g_auto (GStrv) items = NULL;
    g_autofree char *mailbox = NULL;
    g_autofree char *code = NULL;

    if (strchr (path, '#') != NULL)
        return bad_code (error, "link has a part that is not known");
    code = g_uri_unescape_segment (path, question != NULL ? question : path + strlen (path), NULL);
    if (code == NULL || !g_utf8_validate (code, -1, NULL))
        return bad_code (error, "link is damaged");
    items = g_strsplit (question != NULL ? question + 1 : "", "&", -1);
    for (char **item = items; *item != NULL; item++) {
        if (**item != '\0' && !take_query_item (*item, &mailbox, error))
            return NULL;
    }
    if (mailbox != NULL && !cw_mailbox_url_is_usual (mailbox))
        *ret_mailbox = g_steal_pointer (&mailbox);
    return g_steal_pointer (&code);
}

char *
cw_code_normalize (const char *text, char **ret_mailbox, GError **error)
{
    g_autofree char *mailbox = NULL;
    g_autofree char *plain = NULL;
    g_autofree char *code = NULL;

    if (strlen (text) > MAX_TEXT)
        return bad_code (error, "code is too long");
    if (!g_utf8_validate (text, -1, NULL))
        return bad_code (error, "code is not UTF-8 text");
    plain = trim (text);
    if (*plain == '\0')
        return bad_code (error, "code is empty");
    if (g_ascii_strncasecmp (plain, URI_SCHEME, strlen (URI_SCHEME)) == 0) {
        g_autofree char *uri = g_steal_pointer (&plain);
        g_autofree char *inside = take_uri_apart (uri, &mailbox, error);
        if (inside == NULL)
            return NULL;
        plain = trim (inside);
    }
    code = fold (plain, error);
    if (code == NULL || !check_code (code, error))
        return NULL;
    if (ret_mailbox != NULL)
        *ret_mailbox = g_steal_pointer (&mailbox);
    return g_steal_pointer (&code);
}

char *
cw_code_dup_nameplate (const char *code)
{
    size_t digits = strspn (code, "0123456789");

    if (digits == 0 || digits > MAX_NAMEPLATE || (code[digits] != '-' && code[digits] != '\0'))
        return NULL;
    return g_strndup (code, digits);
}

char *
cw_code_make (const char *nameplate, const guint8 *random, unsigned n_words)
{
    GString *code = g_string_new (nameplate);

    for (unsigned i = 0; i < n_words; i++)
        g_string_append_printf (code, "-%s", cw_code_word (random[i], (i + 1) % 2));
    return g_string_free (code, FALSE);
}

static gboolean
is_number (const char *text)
{
    size_t digits = strspn (text, "0123456789");

    return digits > 0 && digits <= MAX_NAMEPLATE && text[digits] == '\0';
}

static void
complete_number (GPtrArray *out, const char *typed, const char *const *nameplates)
{
    for (; nameplates != NULL && *nameplates != NULL; nameplates++) {
        if (is_number (*nameplates) && g_str_has_prefix (*nameplates, typed))
            g_ptr_array_add (out, g_strconcat (*nameplates, "-", NULL));
    }
}

static void
complete_word (GPtrArray *out, const char *typed, const char *words, unsigned n_words)
{
    unsigned dashes = 0;
    const char *partial = words;

    for (const char *p = words; *p != '\0'; p++) {
        if (*p == '-') {
            dashes++;
            partial = p + 1;
        }
    }
    for (unsigned i = 0; i < 256; i++) {
        const char *word = cw_code_word ((guint8)i, (dashes + 1) % 2);
        if (g_str_has_prefix (word, partial))
            g_ptr_array_add (out, g_strdup_printf ("%.*s%s%s", (int)(partial - typed), typed, word,
                                                   dashes + 1 < n_words ? "-" : ""));
    }
}

/* Numbers by value, words by letter. */
static int
compare_completions (gconstpointer a, gconstpointer b)
{
    const char *one = *(const char *const *)a;
    const char *two = *(const char *const *)b;
    size_t digits_one = strcspn (one, "-");
    size_t digits_two = strcspn (two, "-");

    if (digits_one != digits_two)
        return digits_one < digits_two ? -1 : 1;
    return strcmp (one, two);
}

char **
cw_code_complete (const char *typed, const char *const *nameplates, unsigned n_words)
{
    g_autoptr (GPtrArray) out = g_ptr_array_new_with_free_func (g_free);
    g_autofree char *lower = NULL;
    size_t digits;

    if (strlen (typed) <= MAX_CODE) {
        lower = g_ascii_strdown (typed, -1);
        digits = strspn (lower, "0123456789");
        if (lower[digits] == '\0')
            complete_number (out, lower, nameplates);
        else if (digits > 0 && lower[digits] == '-')
            complete_word (out, lower, lower + digits + 1, n_words);
    }
    g_ptr_array_sort (out, compare_completions);
    g_ptr_array_add (out, NULL);
    return (char **)g_ptr_array_steal (out, NULL);
}

char *
cw_code_to_uri (const char *code, const char *mailbox_url)
{
    g_autofree char *escaped = g_uri_escape_string (code, NULL, FALSE);
    g_autofree char *rendezvous = NULL;
    g_autofree char *server = NULL;

    if (mailbox_url == NULL || cw_mailbox_url_is_usual (mailbox_url))
        return g_strconcat (URI_SCHEME, escaped, NULL);
    rendezvous = cw_mailbox_url_dup_rendezvous (mailbox_url);
    server = g_uri_escape_string (rendezvous, NULL, FALSE);
    return g_strconcat (URI_SCHEME, escaped, "?rendezvous=", server, NULL);
}
