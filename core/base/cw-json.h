/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* JSON from strangers. json-glib 1.6 descends by recursion without a limit: 100,000 "[" in a row
 * end the process. So every foreign text goes through here. */

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define CW_JSON_MAX_DEPTH 32

/* The parsed text, whose root must be an object; nested at most CW_JSON_MAX_DEPTH deep, UTF-8, no
 * NUL. NULL and a G_IO_ERROR_INVALID_DATA otherwise. Unref the node. */
JsonNode *cw_json_parse_object (const char *data, size_t len, GError **error);

/* Members of the kind asked for, or the stated nothing: NULL when missing or of another kind.
 * Borrowed. */
const char *cw_json_get_string (JsonObject *object, const char *member);
JsonObject *cw_json_get_object (JsonObject *object, const char *member);
JsonArray *cw_json_get_array (JsonObject *object, const char *member);
/* FALSE when missing, not an integer (1.0 counts as one) or negative. */
gboolean cw_json_get_uint (JsonObject *object, const char *member, guint64 *ret);

G_END_DECLS
