/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-json.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

static gboolean
is_shallow (const char *data, size_t len)
{
    gboolean in_string = FALSE;
    unsigned depth = 0;

    for (size_t i = 0; i < len; i++) {
        char c = data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = FALSE;
        } else if (c == '"') {
            in_string = TRUE;
        } else if (c == '[' || c == '{') {
            if (++depth > CW_JSON_MAX_DEPTH)
                return FALSE;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == '\'' || c == '/') {
            /* json-glib's scanner knows 'strings' and comments, which are not JSON and would
             * make this count differ from its own. */
            return FALSE;
        }
    }
    return TRUE;
}

JsonNode *
cw_json_parse_object (const char *data, size_t len, GError **error)
{
    g_autoptr (JsonParser) parser = NULL;
    g_autoptr (GError) local = NULL;
    JsonNode *root;

    if (len == 0 || len > G_MAXSSIZE || memchr (data, '\0', len) != NULL
        || !g_utf8_validate (data, (gssize)len, NULL) || !is_shallow (data, len)) {
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
