/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-hello.h"

#include <sodium.h>
#include <string.h>

#include "cw-hash.h"
#include "cw-json.h"
#include "cw-names.h"

#define VERSION 1
#define MAX_NAME 64
#define LINK_KEY_INFO "causeway/link-key/1"

char *
cw_hello_make (const char *name, const CwDeviceKey *key)
{
    g_autoptr (JsonBuilder) builder = json_builder_new ();
    g_autoptr (JsonNode) root = NULL;
    char hex[65];

    sodium_bin2hex (hex, sizeof hex, key->bytes, sizeof key->bytes);
    json_builder_begin_object (builder);
    /* What the Rust clients announce and look for. */
    json_builder_set_member_name (builder, "abilities");
    json_builder_begin_array (builder);
    json_builder_add_string_value (builder, "transfer-v1");
    json_builder_end_array (builder);
    json_builder_set_member_name (builder, "causeway");
    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "version");
    json_builder_add_int_value (builder, VERSION);
    json_builder_set_member_name (builder, "name");
    json_builder_add_string_value (builder, name);
    json_builder_set_member_name (builder, "identity");
    json_builder_add_string_value (builder, hex);
    json_builder_end_object (builder);
    json_builder_end_object (builder);
    root = json_builder_get_root (builder);
    return json_to_string (root, FALSE);
}

CwHello *
cw_hello_parse (const char *json)
{
    CwHello *hello = g_new0 (CwHello, 1);
    g_autoptr (JsonNode) root = cw_json_parse_object (json, strlen (json), NULL);
    JsonObject *ours
        = root != NULL ? cw_json_get_object (json_node_get_object (root), "causeway") : NULL;
    const char *identity = ours != NULL ? cw_json_get_string (ours, "identity") : NULL;
    const char *name = ours != NULL ? cw_json_get_string (ours, "name") : NULL;
    guint64 version = 0;
    size_t len;

    /* A later version announces that it still speaks this one by a number of at least 1; what
     * it adds is in members we do not know. */
    if (ours == NULL || !cw_json_get_uint (ours, "version", &version) || version < VERSION)
        return hello;
    if (identity == NULL || strlen (identity) != 64
        || sodium_hex2bin (hello->key.bytes, sizeof hello->key.bytes, identity, 64, NULL, &len,
                           NULL)
               != 0
        || len != sizeof hello->key.bytes)
        return hello;
    hello->is_causeway = TRUE;
    if (name != NULL && *name != '\0')
        hello->name = cw_name_dup_display (name, MAX_NAME);
    return hello;
}

void
cw_hello_free (CwHello *hello)
{
    g_free (hello->name);
    g_free (hello);
}

gboolean
cw_hello_derive_link_key (const CwHello *hello,
                          const CwIdentity *identity,
                          const CwSecret *session_key,
                          CwSecret *ret)
{
    g_auto (CwSecret) shared = CW_SECRET_INIT;
    const CwDeviceKey *own = cw_identity_get_key (identity);
    gboolean own_first = memcmp (own->bytes, hello->key.bytes, sizeof own->bytes) < 0;
    guint8 ikm[4 * 32];

    if (!cw_identity_shared_secret (identity, &hello->key, &shared))
        return FALSE;
    memcpy (ikm, session_key->bytes, 32);
    memcpy (ikm + 32, shared.bytes, 32);
    memcpy (ikm + 64, own_first ? own->bytes : hello->key.bytes, 32);
    memcpy (ikm + 96, own_first ? hello->key.bytes : own->bytes, 32);
    cw_hkdf_sha256 (ikm, sizeof ikm, NULL, 0, LINK_KEY_INFO, strlen (LINK_KEY_INFO), ret->bytes,
                    sizeof ret->bytes);
    sodium_memzero (ikm, sizeof ikm);
    return TRUE;
}
