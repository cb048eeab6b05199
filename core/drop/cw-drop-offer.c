/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-drop-offer.h"

#include <string.h>

#include "cw-base32.h"
#include "cw-hash.h"
#include "cw-json.h"

#define VERSION 1
#define TAG_CHARS 26 /* 130 bits */

static const char *const kind_names[] = {
    [CW_ITEM_FILE] = "file",
    [CW_ITEM_FOLDER] = "folder",
};

/* --- Making --- */

static void
add_number (JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name (builder, name);
    json_builder_add_int_value (builder, (gint64)MIN (value, (guint64)G_MAXINT64));
}

static void
add_string (JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name (builder, name);
    json_builder_add_string_value (builder, value);
}

static char *
finish_json (JsonBuilder *builder)
{
    g_autoptr (JsonNode) root = NULL;

    json_builder_end_object (builder);
    root = json_builder_get_root (builder);
    return json_to_string (root, FALSE);
}

static void
add_item (JsonBuilder *builder, const CwOfferItem *item)
{
    g_return_if_fail (item->kind < G_N_ELEMENTS (kind_names));
    json_builder_begin_object (builder);
    add_string (builder, "kind", kind_names[item->kind]);
    add_string (builder, "name", item->name);
    if (item->size >= 0)
        add_number (builder, "size", (guint64)item->size);
    add_number (builder, "files", item->n_files);
    json_builder_end_object (builder);
}

char *
cw_drop_offer_make (const CwOffer *offer)
{
    g_autoptr (JsonBuilder) builder = json_builder_new ();

    json_builder_begin_object (builder);
    add_number (builder, "version", VERSION);
    if (offer->text != NULL) {
        add_string (builder, "text", offer->text);
        return finish_json (builder);
    }
    add_number (builder, "folders", offer->n_folders);
    json_builder_set_member_name (builder, "items");
    json_builder_begin_array (builder);
    for (guint i = 0; i < offer->items->len; i++)
        add_item (builder, g_ptr_array_index (offer->items, i));
    json_builder_end_array (builder);
    return finish_json (builder);
}

/* --- Parsing --- */

static gboolean
is_name (const char *name)
{
    /* A lone surrogate in an escape sequence comes out of json-glib as invalid UTF-8. */
    return name != NULL && *name != '\0' && strlen (name) <= CW_OFFER_MAX_NAME
           && g_utf8_validate (name, -1, NULL) && strchr (name, '/') == NULL
           && strcmp (name, ".") != 0 && strcmp (name, "..") != 0;
}

static gboolean
parse_kind (const char *name, CwItemKind *ret)
{
    for (guint i = 0; i < G_N_ELEMENTS (kind_names); i++) {
        if (strcmp (name, kind_names[i]) == 0) {
            *ret = (CwItemKind)i;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
refuse (GError **error, CwDropError code, const char *message)
{
    g_set_error_literal (error, CW_DROP_ERROR, (int)code, message);
    return FALSE;
}

/* Sums of these do not overflow. */
#define MAX_FILES (G_GUINT64_CONSTANT (1) << 40)

static gboolean
parse_item (JsonNode *node, CwOffer *offer, GHashTable *names, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *kind_name = object != NULL ? cw_json_get_string (object, "kind") : NULL;
    const char *name = object != NULL ? cw_json_get_string (object, "name") : NULL;
    gboolean has_size = object != NULL && json_object_has_member (object, "size");
    guint64 n_files, size = 0;
    CwItemKind kind;

    if (kind_name == NULL || !is_name (name) || !cw_json_get_uint (object, "files", &n_files)
        || (has_size && !cw_json_get_uint (object, "size", &size)))
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "an item of the offer is malformed");
    if (!parse_kind (kind_name, &kind))
        return refuse (error, CW_DROP_ERROR_UNSUPPORTED, "an item of the offer is of unknown kind");
    if (n_files > MAX_FILES || (kind == CW_ITEM_FILE && n_files != 1))
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "an item of the offer has impossible counts");
    if (!g_hash_table_add (names, (gpointer)name))
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "two items of the offer have one name");
    cw_offer_add (offer, kind, name, has_size ? (gint64)size : -1, n_files);
    return TRUE;
}

static gboolean
parse_items (JsonObject *root, CwOffer *offer, GError **error)
{
    JsonArray *items = cw_json_get_array (root, "items");
    guint len = items != NULL ? json_array_get_length (items) : 0;
    g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
    guint64 n_folders;

    if (len == 0 || !cw_json_get_uint (root, "folders", &n_folders) || n_folders > MAX_FILES)
        return refuse (error, CW_DROP_ERROR_PROTOCOL, "an offer without items");
    if (len > CW_OFFER_MAX_ITEMS)
        return refuse (error, CW_DROP_ERROR_TOO_LARGE, "an offer of too many items");
    for (guint i = 0; i < len; i++)
        if (!parse_item (json_array_get_element (items, i), offer, names, error))
            return FALSE;
    offer->n_folders = n_folders;
    return TRUE;
}

CwOffer *
cw_drop_offer_parse (const char *json, size_t len, GError **error)
{
    g_autoptr (GError) reason = NULL;
    g_autoptr (JsonNode) root = cw_json_parse_object (json, len, &reason);
    g_autoptr (CwOffer) offer = cw_offer_new ();
    JsonObject *object;
    guint64 version;

    if (root == NULL) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL, "the offer is malformed: %s",
                     reason->message);
        return NULL;
    }
    object = json_node_get_object (root);
    if (!cw_json_get_uint (object, "version", &version)) {
        refuse (error, CW_DROP_ERROR_PROTOCOL, "an offer without a version");
        return NULL;
    }
    if (version != VERSION) {
        refuse (error, CW_DROP_ERROR_UNSUPPORTED, "an offer of another version");
        return NULL;
    }
    offer->text = g_strdup (cw_json_get_string (object, "text"));
    if (offer->text == NULL)
        return parse_items (object, offer, error) ? g_steal_pointer (&offer) : NULL;
    if (!g_utf8_validate (offer->text, -1, NULL)) {
        refuse (error, CW_DROP_ERROR_PROTOCOL, "the text is not UTF-8");
        return NULL;
    }
    if (strlen (offer->text) > CW_DROP_MAX_TEXT) {
        refuse (error, CW_DROP_ERROR_TOO_LARGE, "the text is too long");
        return NULL;
    }
    return g_steal_pointer (&offer);
}

/* --- The tag --- */

static int
compare_items (gconstpointer a, gconstpointer b)
{
    return strcmp ((*(CwOfferItem *const *)a)->name, (*(CwOfferItem *const *)b)->name);
}

char *
cw_drop_offer_make_tag (const CwOffer *offer, const char *sender_id)
{
    g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
    g_autoptr (CwSha256) hash = cw_sha256_new ();
    guint8 digest[CW_SHA256_SIZE];
    char *tag;

    if (offer->text != NULL || offer->size < 0)
        return NULL;
    for (guint i = 0; i < offer->items->len; i++)
        g_ptr_array_add (sorted, g_ptr_array_index (offer->items, i));
    g_ptr_array_sort (sorted, compare_items);
    cw_sha256_update (hash, "drop/1 tag", sizeof "drop/1 tag");
    cw_sha256_update (hash, sender_id, strlen (sender_id) + 1);
    for (guint i = 0; i < sorted->len; i++) {
        const CwOfferItem *item = g_ptr_array_index (sorted, i);
        cw_sha256_update (hash, kind_names[item->kind], strlen (kind_names[item->kind]) + 1);
        cw_sha256_update (hash, item->name, strlen (item->name) + 1);
    }
    cw_sha256_finish (hash, digest);
    tag = cw_base32_encode (digest, sizeof digest);
    tag[TAG_CHARS] = '\0';
    return tag;
}

/* --- Answers --- */

char *
cw_drop_accept_make (gboolean resume)
{
    return g_strdup_printf ("{\"decision\":\"accept\",\"resume\":%s}", resume ? "true" : "false");
}

gboolean
cw_drop_accept_parse (const char *json, size_t len, gboolean *ret_resume)
{
    g_autoptr (JsonNode) root = cw_json_parse_object (json, len, NULL);
    JsonObject *object = root != NULL ? json_node_get_object (root) : NULL;
    JsonNode *resume;

    if (object == NULL || g_strcmp0 (cw_json_get_string (object, "decision"), "accept") != 0)
        return FALSE;
    resume = json_object_get_member (object, "resume");
    *ret_resume
        = resume != NULL && JSON_NODE_HOLDS_VALUE (resume) && json_node_get_boolean (resume);
    return TRUE;
}

char *
cw_drop_delivered_make (guint64 n_files, guint64 n_failed)
{
    return g_strdup_printf ("{\"delivered\":%" G_GUINT64_FORMAT ",\"failed\":%" G_GUINT64_FORMAT
                            "}",
                            n_files, n_failed);
}
