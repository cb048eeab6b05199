/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-json.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

/* A strict reader of RFC 8259 that only says yes or no. json-glib's own must not meet an error: it
 * then leaks what it had built (1.6.6, found by the fuzz targets), so that malformed messages would
 * eat a server's memory. It also takes 'strings' and comments, which are not JSON. */
typedef struct {
    const char *p;
    const char *end;
} Scan;

static gboolean
scan_char (Scan *scan, char c)
{
    if (scan->p == scan->end || *scan->p != c)
        return FALSE;
    scan->p++;
    return TRUE;
}

static void
scan_blanks (Scan *scan)
{
    while (scan->p < scan->end && strchr (" \t\r\n", *scan->p) != NULL)
        scan->p++;
}

static size_t
scan_digits (Scan *scan)
{
    const char *start = scan->p;

    while (scan->p < scan->end && g_ascii_isdigit (*scan->p))
        scan->p++;
    return (size_t)(scan->p - start);
}

static gboolean
scan_number (Scan *scan)
{
    scan_char (scan, '-');
    if (!scan_char (scan, '0') && scan_digits (scan) == 0)
        return FALSE;
    if (scan_char (scan, '.') && scan_digits (scan) == 0)
        return FALSE;
    if (scan_char (scan, 'e') || scan_char (scan, 'E')) {
        if (!scan_char (scan, '-'))
            scan_char (scan, '+');
        if (scan_digits (scan) == 0)
            return FALSE;
    }
    return TRUE;
}

static gboolean
scan_word (Scan *scan, const char *word)
{
    size_t len = strlen (word);

    if ((size_t)(scan->end - scan->p) < len || memcmp (scan->p, word, len) != 0)
        return FALSE;
    scan->p += len;
    return TRUE;
}

/* After "\u"; -1: not four hexadecimal digits. */
static int
scan_unit (Scan *scan)
{
    int unit = 0;

    for (int i = 0; i < 4; i++) {
        if (scan->p == scan->end || !g_ascii_isxdigit (*scan->p))
            return -1;
        unit = unit << 4 | g_ascii_xdigit_value (*scan->p++);
    }
    return unit;
}

static gboolean
scan_escape (Scan *scan)
{
    int unit;

    if (scan->p == scan->end)
        return FALSE;
    if (!scan_char (scan, 'u'))
        return strchr ("\"\\/bfnrt", *scan->p++) != NULL;
    unit = scan_unit (scan);
    if (unit >= 0xd800 && unit <= 0xdbff) {
        if (!scan_word (scan, "\\u"))
            return FALSE;
        unit = scan_unit (scan);
        return unit >= 0xdc00 && unit <= 0xdfff;
    }
    return unit >= 0 && (unit < 0xdc00 || unit > 0xdfff);
}

static gboolean
scan_string (Scan *scan)
{
    if (!scan_char (scan, '"'))
        return FALSE;
    while (scan->p < scan->end) {
        char c = *scan->p++;
        if (c == '"')
            return TRUE;
        if ((guint8)c < 0x20 || (c == '\\' && !scan_escape (scan)))
            return FALSE;
    }
    return FALSE;
}

static gboolean
scan_scalar (Scan *scan)
{
    if (scan->p == scan->end)
        return FALSE;
    switch (*scan->p) {
    case '"':
        return scan_string (scan);
    case 't':
        return scan_word (scan, "true");
    case 'f':
        return scan_word (scan, "false");
    case 'n':
        return scan_word (scan, "null");
    default:
        return scan_number (scan);
    }
}

/* "NAME": before a member's value. */
static gboolean
scan_name (Scan *scan)
{
    scan_blanks (scan);
    if (!scan_string (scan))
        return FALSE;
    scan_blanks (scan);
    return scan_char (scan, ':');
}

/* Behind a value: closes what ends here, and stands before the next value, or at depth 0. */
static gboolean
scan_on (Scan *scan, const char *closers, unsigned *depth)
{
    while (*depth > 0) {
        scan_blanks (scan);
        if (scan_char (scan, ','))
            return closers[*depth - 1] == ']' || scan_name (scan);
        if (!scan_char (scan, closers[*depth - 1]))
            return FALSE;
        --*depth;
    }
    return TRUE;
}

static gboolean
is_json (const char *data, size_t len)
{
    Scan scan = { data, data + len };
    char closers[CW_JSON_MAX_DEPTH];
    unsigned depth = 0;

    do {
        gboolean array;
        scan_blanks (&scan);
        array = scan_char (&scan, '[');
        if (array || scan_char (&scan, '{')) {
            if (depth == CW_JSON_MAX_DEPTH)
                return FALSE;
            closers[depth++] = array ? ']' : '}';
            scan_blanks (&scan);
            if (scan_char (&scan, closers[depth - 1]))
                depth--;
            else if (array || scan_name (&scan))
                continue;
            else
                return FALSE;
        } else if (!scan_scalar (&scan)) {
            return FALSE;
        }
        if (!scan_on (&scan, closers, &depth))
            return FALSE;
    } while (depth > 0);
    scan_blanks (&scan);
    return scan.p == scan.end;
}

JsonNode *
cw_json_parse_object (const char *data, size_t len, GError **error)
{
    g_autoptr (JsonParser) parser = NULL;
    g_autoptr (GError) local = NULL;
    JsonNode *root;

    if (len == 0 || len > G_MAXSSIZE || memchr (data, '\0', len) != NULL
        || !g_utf8_validate (data, (gssize)len, NULL) || !is_json (data, len)) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "text is not JSON, or too deep");
        return NULL;
    }
    parser = json_parser_new_immutable ();
    if (!json_parser_load_from_data (parser, data, (gssize)len, &local)) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "text is not JSON: %s",
                     local->message);
        return NULL;
    }
    root = json_parser_get_root (parser);
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root)) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "text is not a JSON object");
        return NULL;
    }
    return json_parser_steal_root (parser);
}

const char *
cw_json_get_string (JsonObject *object, const char *member)
{
    JsonNode *node = json_object_get_member (object, member);

    return node != NULL && JSON_NODE_HOLDS_VALUE (node)
                   && json_node_get_value_type (node) == G_TYPE_STRING
               ? json_node_get_string (node)
               : NULL;
}

JsonObject *
cw_json_get_object (JsonObject *object, const char *member)
{
    JsonNode *node = json_object_get_member (object, member);

    return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

JsonArray *
cw_json_get_array (JsonObject *object, const char *member)
{
    JsonNode *node = json_object_get_member (object, member);

    return node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}

gboolean
cw_json_get_uint (JsonObject *object, const char *member, guint64 *ret)
{
    JsonNode *node = json_object_get_member (object, member);
    GType type = node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node)
                                                              : G_TYPE_INVALID;

    if (type == G_TYPE_INT64 && json_node_get_int (node) >= 0) {
        *ret = (guint64)json_node_get_int (node);
        return TRUE;
    }
    if (type == G_TYPE_DOUBLE) {
        double value = json_node_get_double (node);
        /* Exact integers only; 2^63 itself no longer fits. */
        if (value >= 0 && value < 9223372036854775808.0 && value == floor (value)) {
            *ret = (guint64)value;
            return TRUE;
        }
    }
    return FALSE;
}
