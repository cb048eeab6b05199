/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-mailbox-message.h"

#include <sodium.h>
#include <string.h>

#include "cw-json.h"

#define MAX_NAMEPLATE 40
#define MAX_NAMEPLATES 10000
#define MAX_NAME 200 /* mailbox ids, sides, phases: 13, 10 and a few characters in practice */
#define MAX_PROSE 2000

/* What a server writes for people ends on somebody's terminal: no escape sequences, nothing that
 * turns the direction of writing around. */
static char *
dup_prose (const char *text)
{
    GString *out = g_string_new (NULL);

    for (const char *p = text; *p != '\0' && out->len < MAX_PROSE; p = g_utf8_next_char (p)) {
        gunichar c = g_utf8_get_char (p);
        GUnicodeType type = g_unichar_type (c);
        if (c == '\n'
            || (type != G_UNICODE_CONTROL && type != G_UNICODE_FORMAT
                && type != G_UNICODE_LINE_SEPARATOR && type != G_UNICODE_PARAGRAPH_SEPARATOR
                && type != G_UNICODE_UNASSIGNED && type != G_UNICODE_SURROGATE))
            g_string_append_unichar (out, c);
        else
            g_string_append_c (out, ' ');
    }
    return g_string_free (out, FALSE);
}

static char *
dup_name (JsonObject *object, const char *member)
{
    const char *text = cw_json_get_string (object, member);

    return text != NULL && *text != '\0' && strlen (text) <= MAX_NAME ? g_strdup (text) : NULL;
}

static gboolean
is_nameplate (const char *text)
{
    size_t digits = text != NULL ? strspn (text, "0123456789") : 0;

    return digits > 0 && digits <= MAX_NAMEPLATE && text[digits] == '\0';
}

static GBytes *
decode_hex (const char *hex)
{
    size_t hex_len = strlen (hex), len;
    g_autofree guint8 *bin = g_malloc (hex_len / 2 + 1);

    if (sodium_hex2bin (bin, hex_len / 2 + 1, hex, hex_len, NULL, &len, NULL) != 0
        || len * 2 != hex_len)
        return NULL;
    return g_bytes_new_take (g_steal_pointer (&bin), len);
}

static char *
encode_hex (GBytes *bytes)
{
    gsize len;
    const guint8 *data = g_bytes_get_data (bytes, &len);
    char *hex = g_malloc (len * 2 + 1);

    return sodium_bin2hex (hex, len * 2 + 1, data, len);
}

static void
parse_permission (JsonObject *welcome, CwMailboxMessage *ret)
{
    JsonObject *required = cw_json_get_object (welcome, "permission-required");
    JsonObject *hashcash;
    guint64 bits;

    if (!json_object_has_member (welcome, "permission-required")
        || (required != NULL && json_object_has_member (required, "none")))
        return;
    ret->permission = CW_MAILBOX_PERMISSION_UNKNOWN;
    hashcash = required != NULL ? cw_json_get_object (required, "hashcash") : NULL;
    if (hashcash == NULL || !cw_json_get_uint (hashcash, "bits", &bits))
        return;
    ret->resource = dup_name (hashcash, "resource");
    if (ret->resource == NULL) /* the name in the server's draft */
        ret->resource = dup_name (hashcash, "resource-string");
    if (ret->resource == NULL)
        return;
    ret->permission = CW_MAILBOX_PERMISSION_HASHCASH;
    ret->bits = (unsigned)MIN (bits, 1000);
}

static gboolean
parse_welcome (JsonObject *object, CwMailboxMessage *ret)
{
    JsonObject *welcome = cw_json_get_object (object, "welcome");
    const char *error, *motd;

    if (welcome == NULL)
        return FALSE;
    error = cw_json_get_string (welcome, "error");
    motd = cw_json_get_string (welcome, "motd");
    if (error != NULL)
        ret->error = dup_prose (error);
    if (motd != NULL && *motd != '\0')
        ret->motd = dup_prose (motd);
    parse_permission (welcome, ret);
    return TRUE;
}

static gboolean
parse_nameplates (JsonObject *object, CwMailboxMessage *ret)
{
    JsonArray *list = cw_json_get_array (object, "nameplates");
    g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);

    if (list == NULL)
        return FALSE;
    for (guint i = 0; i < json_array_get_length (list) && ids->len < MAX_NAMEPLATES; i++) {
        JsonNode *node = json_array_get_element (list, i);
        const char *id = JSON_NODE_HOLDS_OBJECT (node)
                             ? cw_json_get_string (json_node_get_object (node), "id")
                             : NULL;
        if (is_nameplate (id))
            g_ptr_array_add (ids, g_strdup (id));
    }
    g_ptr_array_add (ids, NULL);
    ret->nameplates = (char **)g_ptr_array_steal (ids, NULL);
    return TRUE;
}

/* The peer wrote side, phase and body, and the server checked none of them: odd ones are not the
 * server's fault. */
static gboolean
parse_phase (JsonObject *object, CwMailboxMessage *ret)
{
    g_autofree char *side = dup_name (object, "side");
    g_autofree char *phase = dup_name (object, "phase");
    const char *body = cw_json_get_string (object, "body");

    if (side == NULL || phase == NULL) {
        ret->type = CW_MAILBOX_MESSAGE_OTHER;
        return TRUE;
    }
    ret->side = g_steal_pointer (&side);
    ret->phase = g_steal_pointer (&phase);
    ret->body = body != NULL ? decode_hex (body) : NULL;
    return TRUE;
}

static gboolean
parse_error (JsonObject *object, CwMailboxMessage *ret)
{
    const char *text = cw_json_get_string (object, "error");
    JsonObject *orig = cw_json_get_object (object, "orig");

    ret->error = dup_prose (text != NULL ? text : "unknown error");
    ret->orig = orig != NULL ? dup_name (orig, "type") : NULL;
    return TRUE;
}

static gboolean
parse_members (JsonObject *object, CwMailboxMessage *ret)
{
    switch (ret->type) {
    case CW_MAILBOX_MESSAGE_WELCOME:
        return parse_welcome (object, ret);
    case CW_MAILBOX_MESSAGE_NAMEPLATES:
        return parse_nameplates (object, ret);
    case CW_MAILBOX_MESSAGE_ALLOCATED:
        ret->nameplate = dup_name (object, "nameplate");
        return is_nameplate (ret->nameplate);
    case CW_MAILBOX_MESSAGE_CLAIMED:
        ret->mailbox = dup_name (object, "mailbox");
        return ret->mailbox != NULL;
    case CW_MAILBOX_MESSAGE_PHASE:
        return parse_phase (object, ret);
    case CW_MAILBOX_MESSAGE_ERROR:
        return parse_error (object, ret);
    case CW_MAILBOX_MESSAGE_OTHER:
    case CW_MAILBOX_MESSAGE_RELEASED:
    case CW_MAILBOX_MESSAGE_CLOSED:
    case CW_MAILBOX_MESSAGE_PONG:
        return TRUE;
    }
    g_assert_not_reached ();
}

static CwMailboxMessageType
type_from_string (const char *type)
{
    static const char *const names[] = {
        [CW_MAILBOX_MESSAGE_OTHER] = "ack",
        [CW_MAILBOX_MESSAGE_WELCOME] = "welcome",
        [CW_MAILBOX_MESSAGE_NAMEPLATES] = "nameplates",
        [CW_MAILBOX_MESSAGE_ALLOCATED] = "allocated",
        [CW_MAILBOX_MESSAGE_CLAIMED] = "claimed",
        [CW_MAILBOX_MESSAGE_RELEASED] = "released",
        [CW_MAILBOX_MESSAGE_PHASE] = "message",
        [CW_MAILBOX_MESSAGE_CLOSED] = "closed",
        [CW_MAILBOX_MESSAGE_PONG] = "pong",
        [CW_MAILBOX_MESSAGE_ERROR] = "error",
    };

    for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
        if (strcmp (names[i], type) == 0)
            return (CwMailboxMessageType)i;
    }
    return CW_MAILBOX_MESSAGE_OTHER;
}

gboolean
cw_mailbox_message_parse (const char *text, size_t len, CwMailboxMessage *ret)
{
    g_autoptr (JsonNode) root = NULL;
    g_auto (CwMailboxMessage) message = { 0 };
    JsonObject *object;
    const char *type;

    if (len > CW_MAILBOX_MAX_TEXT)
        return FALSE;
    root = cw_json_parse_object (text, len, NULL);
    if (root == NULL)
        return FALSE;
    object = json_node_get_object (root);
    type = cw_json_get_string (object, "type");
    if (type == NULL)
        return FALSE;
    message.type = type_from_string (type);
    if (!parse_members (object, &message))
        return FALSE;
    *ret = message;
    memset (&message, 0, sizeof message);
    return TRUE;
}

void
cw_mailbox_message_clear (CwMailboxMessage *message)
{
    g_clear_pointer (&message->error, g_free);
    g_clear_pointer (&message->motd, g_free);
    g_clear_pointer (&message->resource, g_free);
    g_clear_pointer (&message->nameplates, g_strfreev);
    g_clear_pointer (&message->nameplate, g_free);
    g_clear_pointer (&message->mailbox, g_free);
    g_clear_pointer (&message->side, g_free);
    g_clear_pointer (&message->phase, g_free);
    g_clear_pointer (&message->body, g_bytes_unref);
    g_clear_pointer (&message->orig, g_free);
}

static JsonBuilder *
begin_message (unsigned id, const char *type)
{
    JsonBuilder *builder = json_builder_new ();
    char id_text[9];

    g_snprintf (id_text, sizeof id_text, "%04x", id & 0xffff);
    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "type");
    json_builder_add_string_value (builder, type);
    json_builder_set_member_name (builder, "id");
    json_builder_add_string_value (builder, id_text);
    return builder;
}

static void
add_text (JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name (builder, name);
    json_builder_add_string_value (builder, value);
}

static char *
end_message (JsonBuilder *builder)
{
    g_autoptr (JsonNode) root = NULL;

    json_builder_end_object (builder);
    root = json_builder_get_root (builder);
    return json_to_string (root, FALSE);
}

char *
cw_mailbox_message_write (unsigned id, const char *type, ...)
{
    g_autoptr (JsonBuilder) builder = begin_message (id, type);
    const char *name;
    va_list args;

    va_start (args, type);
    while ((name = va_arg (args, const char *)) != NULL)
        add_text (builder, name, va_arg (args, const char *));
    va_end (args);
    return end_message (builder);
}

char *
cw_mailbox_message_write_bind (unsigned id, const char *app_id, const char *side)
{
    g_autoptr (JsonBuilder) builder = begin_message (id, "bind");

    add_text (builder, "appid", app_id);
    add_text (builder, "side", side);
    json_builder_set_member_name (builder, "client_version");
    json_builder_begin_array (builder);
    json_builder_add_string_value (builder, "causeway");
    json_builder_add_string_value (builder, CW_VERSION);
    json_builder_end_array (builder);
    return end_message (builder);
}

char *
cw_mailbox_message_write_add (unsigned id, const char *phase, GBytes *body)
{
    g_autofree char *hex = encode_hex (body);

    return cw_mailbox_message_write (id, "add", "phase", phase, "body", hex, NULL);
}

char *
cw_mailbox_message_write_ping (unsigned id)
{
    g_autoptr (JsonBuilder) builder = begin_message (id, "ping");

    json_builder_set_member_name (builder, "ping");
    json_builder_add_int_value (builder, id & 0xffff);
    return end_message (builder);
}

const char *
cw_mailbox_mood_to_string (CwMood mood)
{
    switch (mood) {
    case CW_MOOD_HAPPY:
        return "happy";
    case CW_MOOD_LONELY:
        return "lonely";
    case CW_MOOD_SCARY:
        return "scary";
    case CW_MOOD_ERRORY:
        return "errory";
    }
    g_assert_not_reached ();
}

GBytes *
cw_mailbox_pake_body (const guint8 message[CW_SPAKE2_MESSAGE_SIZE])
{
    char hex[CW_SPAKE2_MESSAGE_SIZE * 2 + 1];
    char *json;

    sodium_bin2hex (hex, sizeof hex, message, CW_SPAKE2_MESSAGE_SIZE);
    json = g_strdup_printf ("{\"pake_v1\":\"%s\"}", hex);
    return g_bytes_new_take (json, strlen (json));
}

gboolean
cw_mailbox_pake_body_parse (GBytes *body, guint8 ret[CW_SPAKE2_MESSAGE_SIZE])
{
    gsize len;
    const char *data = g_bytes_get_data (body, &len);
    g_autoptr (JsonNode) root = data != NULL ? cw_json_parse_object (data, len, NULL) : NULL;
    const char *hex = NULL;
    guint8 message[CW_SPAKE2_MESSAGE_SIZE];
    size_t message_len;

    if (root != NULL)
        hex = cw_json_get_string (json_node_get_object (root), "pake_v1");
    if (hex == NULL || strlen (hex) != 2 * sizeof message
        || sodium_hex2bin (message, sizeof message, hex, strlen (hex), NULL, &message_len, NULL)
               != 0
        || message_len != sizeof message)
        return FALSE;
    memcpy (ret, message, sizeof message);
    return TRUE;
}

char *
cw_mailbox_version_body_parse (GBytes *body)
{
    gsize len;
    const char *data = g_bytes_get_data (body, &len);
    g_autoptr (JsonNode) root = data != NULL ? cw_json_parse_object (data, len, NULL) : NULL;
    JsonObject *versions;

    if (root == NULL)
        return NULL;
    versions = cw_json_get_object (json_node_get_object (root), "app_versions");
    if (versions == NULL)
        return g_strdup ("{}");
    return json_to_string (json_object_get_member (json_node_get_object (root), "app_versions"),
                           FALSE);
}
