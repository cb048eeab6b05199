/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The JSON of Wormhole file transfer v1. A phase is one object with any of the members
 *
 *   transit  {"abilities-v1": [...], "hints-v1": [...]}, for core/link/transit to judge
 *   offer    {"message": TEXT} or {"file": {"filename", "filesize"}} or
 *            {"directory": {"mode", "dirname", "zipsize", "numbytes", "numfiles"}}
 *   answer   {"message_ack": "ok"} or {"file_ack": "ok"}
 *   error    TEXT, which ends the transfer
 *
 * Clients group them as they like; we send one a phase, since the Rust client insists on that. The
 * acknowledgement {"ack": "ok", "sha256": HEX} is a record on the Transit stream. */

#include "cw-v1-private.h"

#include <string.h>

#include "cw-hash.h"
#include "cw-json.h"

/* The mailbox client takes no larger message anyway. */
#define MAX_MESSAGE (1024 * 1024)
/* Of a peer's error text, bytes. */
#define MAX_TEXT 1000
/* Python's client refuses any other mode. What it says of the compression is not meant: each entry
 * of a zip names its own method, and Python's newer versions store them too. */
#define ZIP_MODE "zipfile/deflated"

static gboolean
refuse (GError **error, CwDropError code, const char *what)
{
    g_set_error (error, CW_DROP_ERROR, code, "wormhole message: %s", what);
    return FALSE;
}

/* The last component of what the peer calls its file, as every client does it. */
static gboolean
parse_name (JsonObject *object, const char *member, char **ret, GError **error)
{
    const char *path = cw_json_get_string (object, member);
    const char *start;
    size_t len;

    if (path == NULL)
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "the offer has no name");
    len = strlen (path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    start = g_strrstr_len (path, (gssize)len, "/");
    start = start != NULL ? start + 1 : path;
    len -= (size_t)(start - path);
    if (len > CW_OFFER_MAX_NAME)
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "the offered name is too long");
    if (len == 0 || (len <= 2 && strncmp (start, "..", len) == 0))
        return refuse (error, CW_DROP_ERROR_BAD_NAME, "the offered name is not one");
    *ret = g_strndup (start, len);
    return TRUE;
}

static gboolean
parse_file (CwV1Message *message, JsonObject *file, GError **error)
{
    g_autofree char *name = NULL;
    guint64 size;

    if (file == NULL || !cw_json_get_uint (file, "filesize", &size))
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "the offered file has no size");
    if (!parse_name (file, "filename", &name, error))
        return FALSE;
    message->offer_kind = CW_V1_FILE;
    message->offer_wire_size = size;
    cw_offer_add (message->offer, CW_ITEM_FILE, name, (gint64)size, 1);
    return TRUE;
}

static gboolean
parse_directory (CwV1Message *message, JsonObject *directory, GError **error)
{
    const char *mode = directory != NULL ? cw_json_get_string (directory, "mode") : NULL;
    g_autofree char *name = NULL;
    guint64 zip_size, n_bytes, n_files;

    if (mode == NULL)
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "the offered directory has no mode");
    if (!g_str_has_prefix (mode, "zipfile"))
        return refuse (error, CW_DROP_ERROR_UNSUPPORTED, "unknown mode of a directory");
    if (!cw_json_get_uint (directory, "zipsize", &zip_size)
        || !cw_json_get_uint (directory, "numbytes", &n_bytes)
        || !cw_json_get_uint (directory, "numfiles", &n_files))
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "the offered directory has no size");
    if (!parse_name (directory, "dirname", &name, error))
        return FALSE;
    message->offer_kind = CW_V1_DIRECTORY;
    message->offer_wire_size = zip_size;
    cw_offer_add (message->offer, CW_ITEM_FOLDER, name, (gint64)n_bytes, n_files);
    message->offer->n_folders = 1;
    return TRUE;
}

static gboolean
parse_offer (CwV1Message *message, JsonObject *offer, GError **error)
{
    if (offer == NULL)
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "the offer is not an object");
    message->offer = cw_offer_new ();
    if (json_object_has_member (offer, "message")) {
        const char *text = cw_json_get_string (offer, "message");
        if (text == NULL)
            return refuse (error, CW_DROP_ERROR_PROTOCOL, "the offered message is not text");
        message->offer_kind = CW_V1_TEXT;
        message->offer->text = g_strdup (text);
        return TRUE;
    }
    if (json_object_has_member (offer, "file"))
        return parse_file (message, cw_json_get_object (offer, "file"), error);
    if (json_object_has_member (offer, "directory"))
        return parse_directory (message, cw_json_get_object (offer, "directory"), error);
    return refuse (error, CW_DROP_ERROR_UNSUPPORTED, "unknown kind of offer");
}

/* A peer's words, cut at a character. */
static char *
shorten (const char *text)
{
    size_t len = strlen (text);

    if (len > MAX_TEXT)
        len = (size_t)(g_utf8_find_prev_char (text, text + MAX_TEXT) - text);
    return g_strndup (text, len);
}

static gboolean
parse_members (CwV1Message *message, JsonObject *root, GError **error)
{
    if (json_object_has_member (root, "error")) {
        const char *text = cw_json_get_string (root, "error");
        if (text == NULL)
            return refuse (error, CW_DROP_ERROR_PROTOCOL, "the error is not text");
        message->error = shorten (text);
    }
    if (json_object_has_member (root, "transit")) {
        if (cw_json_get_object (root, "transit") == NULL)
            return refuse (error, CW_DROP_ERROR_PROTOCOL, "transit is not an object");
        message->transit = json_node_ref (json_object_get_member (root, "transit"));
    }
    if (json_object_has_member (root, "answer")) {
        JsonObject *answer = cw_json_get_object (root, "answer");
        if (answer == NULL)
            return refuse (error, CW_DROP_ERROR_PROTOCOL, "the answer is not an object");
        message->message_ack = g_strcmp0 (cw_json_get_string (answer, "message_ack"), "ok") == 0;
        message->file_ack = g_strcmp0 (cw_json_get_string (answer, "file_ack"), "ok") == 0;
    }
    if (json_object_has_member (root, "offer"))
        return parse_offer (message, cw_json_get_object (root, "offer"), error);
    return TRUE;
}

CwV1Message *
cw_v1_message_parse (const char *data, size_t len, GError **error)
{
    g_autoptr (CwV1Message) message = g_new0 (CwV1Message, 1);
    g_autoptr (JsonNode) root = NULL;
    g_autoptr (GError) local = NULL;

    if (len > MAX_MESSAGE) {
        refuse (error, CW_DROP_ERROR_PROTOCOL, "it is too long");
        return NULL;
    }
    root = cw_json_parse_object (data, len, &local);
    if (root == NULL) {
        refuse (error, CW_DROP_ERROR_PROTOCOL, local->message);
        return NULL;
    }
    if (!parse_members (message, json_node_get_object (root), error))
        return NULL;
    return g_steal_pointer (&message);
}

void
cw_v1_message_free (CwV1Message *message)
{
    g_clear_pointer (&message->transit, json_node_unref);
    g_clear_pointer (&message->offer, cw_offer_free);
    g_free (message->error);
    g_free (message);
}

/* --- Writing --- */

static GBytes *
finish (JsonBuilder *builder)
{
    g_autoptr (JsonNode) root = NULL;
    char *text;

    json_builder_end_object (builder);
    root = json_builder_get_root (builder);
    text = json_to_string (root, FALSE);
    return g_bytes_new_take (text, strlen (text));
}

static JsonBuilder *
begin (const char *member)
{
    JsonBuilder *builder = json_builder_new_immutable ();

    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, member);
    return builder;
}

static void
add_text (JsonBuilder *builder, const char *member, const char *text)
{
    json_builder_set_member_name (builder, member);
    json_builder_add_string_value (builder, text);
}

static void
add_size (JsonBuilder *builder, const char *member, guint64 size)
{
    json_builder_set_member_name (builder, member);
    json_builder_add_int_value (builder, (gint64)MIN (size, (guint64)G_MAXINT64));
}

GBytes *
cw_v1_make_transit (JsonNode *transit)
{
    g_autoptr (JsonBuilder) builder = begin ("transit");

    json_builder_add_value (builder, json_node_copy (transit));
    return finish (builder);
}

GBytes *
cw_v1_make_text_offer (const char *text)
{
    g_autoptr (JsonBuilder) builder = begin ("offer");

    json_builder_begin_object (builder);
    add_text (builder, "message", text);
    json_builder_end_object (builder);
    return finish (builder);
}

GBytes *
cw_v1_make_file_offer (const char *name, guint64 size)
{
    g_autoptr (JsonBuilder) builder = begin ("offer");

    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "file");
    json_builder_begin_object (builder);
    add_text (builder, "filename", name);
    add_size (builder, "filesize", size);
    json_builder_end_object (builder);
    json_builder_end_object (builder);
    return finish (builder);
}

GBytes *
cw_v1_make_directory_offer (const char *name, guint64 zip_size, guint64 n_bytes, guint64 n_files)
{
    g_autoptr (JsonBuilder) builder = begin ("offer");

    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "directory");
    json_builder_begin_object (builder);
    add_text (builder, "mode", ZIP_MODE);
    add_text (builder, "dirname", name);
    add_size (builder, "zipsize", zip_size);
    add_size (builder, "numbytes", n_bytes);
    add_size (builder, "numfiles", n_files);
    json_builder_end_object (builder);
    json_builder_end_object (builder);
    return finish (builder);
}

GBytes *
cw_v1_make_answer (CwV1Kind kind)
{
    g_autoptr (JsonBuilder) builder = begin ("answer");

    json_builder_begin_object (builder);
    add_text (builder, kind == CW_V1_TEXT ? "message_ack" : "file_ack", "ok");
    json_builder_end_object (builder);
    return finish (builder);
}

GBytes *
cw_v1_make_error (const char *text)
{
    g_autoptr (JsonBuilder) builder = begin ("error");

    json_builder_add_string_value (builder, text);
    return finish (builder);
}

/* --- The acknowledgement --- */

static void
to_hex (const guint8 sha256[32], char ret[65])
{
    for (unsigned i = 0; i < 32; i++)
        g_snprintf (ret + 2 * i, 3, "%02x", sha256[i]);
}

GBytes *
cw_v1_make_ack (const guint8 sha256[32])
{
    g_autoptr (JsonBuilder) builder = begin ("ack");
    char hex[65];

    to_hex (sha256, hex);
    json_builder_add_string_value (builder, "ok");
    add_text (builder, "sha256", hex);
    return finish (builder);
}

GBytes *
cw_v1_make_nack (const char *reason)
{
    g_autoptr (JsonBuilder) builder = begin ("ack");

    json_builder_add_string_value (builder, "failed");
    add_text (builder, "error", reason);
    return finish (builder);
}

gboolean
cw_v1_check_ack (const char *data, size_t len, const guint8 sha256[32], GError **error)
{
    g_autoptr (JsonNode) root = cw_json_parse_object (data, len, NULL);
    JsonObject *ack = root != NULL ? json_node_get_object (root) : NULL;
    const char *word = ack != NULL ? cw_json_get_string (ack, "ack") : NULL;
    const char *hash;
    char ours[65];

    if (word == NULL)
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "the acknowledgement is not one");
    if (strcmp (word, "ok") != 0) {
        const char *text = cw_json_get_string (ack, "error");
        g_autofree char *reason = shorten (text != NULL ? text : word);
        g_set_error_literal (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED, reason);
        return FALSE;
    }
    if (!json_object_has_member (ack, "sha256"))
        return TRUE;
    hash = cw_json_get_string (ack, "sha256");
    to_hex (sha256, ours);
    if (hash == NULL || g_ascii_strcasecmp (hash, ours) != 0) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_VERIFY,
                     "the receiver got other bytes than were sent");
        return FALSE;
    }
    return TRUE;
}
