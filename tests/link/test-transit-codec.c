/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The pure parts of Transit: keys, records, handshake, hints. Vectors: magic-wormhole's
 * test_transit.py, and a run of Debian's magic-wormhole 0.12.0. */
#include <sodium.h>

#include "cw-transit-address.h"
#include "cw-transit-handshake.h"
#include "cw-transit-hints.h"
#include "cw-transit-keys.h"
#include "cw-transit-record.h"

static void
assert_secret (const CwSecret *secret, const char *hex)
{
    char text[65];

    sodium_bin2hex (text, sizeof text, secret->bytes, sizeof secret->bytes);
    g_assert_cmpstr (text, ==, hex);
}

static void
load_hex (guint8 *ret, size_t len, const char *hex)
{
    size_t got;

    g_assert_cmpint (sodium_hex2bin (ret, len, hex, strlen (hex), NULL, &got, NULL), ==, 0);
    g_assert_cmpuint (got, ==, len);
}

/* The transit key of the full run. */
static void
derive_run_keys (CwTransitKeys *keys)
{
    guint8 key[32];

    load_hex (key, sizeof key, "ab6f9490a2a47de9c51258a7910cb1989b5cf8012aa25d887aa452406c850c40");
    cw_transit_keys_derive (keys, key, sizeof key);
}

static void
test_keys (void)
{
    g_auto (CwTransitKeys) keys = { 0 };
    guint8 many_k[32];

    cw_transit_keys_derive (&keys, "123", 3);
    assert_secret (&keys.sender,
                   "559bdeae4b49fa6a23378d2b68f4c7e69378615d4af049c371c6a26e82391089");
    assert_secret (&keys.receiver,
                   "ed447528194bac4c00d0c854b12a97ce51413d89aa74d6304475f516fdc23a1b");
    assert_secret (&keys.record_sender,
                   "5a2fba3a9e524ab2e2823ff53b05f946896f6e4ce4e282ffd8e3ac0e5e9e0cda");
    assert_secret (&keys.record_receiver,
                   "eedb143117249f45b39da324decf6bd9aae33b7ccd58487436de611a3c6b871d");
    memset (many_k, 'k', sizeof many_k);
    cw_transit_keys_derive (&keys, many_k, sizeof many_k);
    assert_secret (&keys.relay_token,
                   "3f4147851dbd2589d25b654ee9fb35ed0d3e5f19c5c5403e8e6a195c70f0577a");
    derive_run_keys (&keys);
    assert_secret (&keys.relay_token,
                   "8270d19d2fc4872358b73c375b3727ccc50448797f5fb1d04aaa9cfb4796ca4f");
    assert_secret (&keys.record_receiver,
                   "56a9c3a513f4e679648a66aadb648ab35d0b9835f2c5f73f3ed9c88c420c0525");
}

/* --- Records --- */

static const char record_0[] = "0000002d000000000000000000000000000000000000000000000000"
                               "685dc2e06498fdc699d5b7587f5afd5d1e7c656fae";
static const char record_1[] = "0000002d000000000000000000000000000000000000000000000001"
                               "c1c0c735e5faea2fd29d8c81777b8bbf53829d33f2";

static void
test_record_vectors (void)
{
    g_auto (CwTransitKeys) keys = { 0 };
    CwTransitRecords out, in;
    guint8 wire[49], expected[49], plain[5];
    size_t size;

    derive_run_keys (&keys);
    cw_transit_records_init (&out, &keys.record_sender);
    cw_transit_records_init (&in, &keys.record_sender);

    load_hex (expected, sizeof expected, record_0);
    g_assert_cmpuint (cw_transit_records_seal (&out, (const guint8 *)"hello", 5, wire), ==, 49);
    g_assert_cmpmem (wire, 49, expected, 49);
    g_assert_cmpint (cw_transit_record_peek (wire, 49, &size), ==, CW_TRANSIT_RECORD_WHOLE);
    g_assert_cmpuint (size, ==, 49);
    g_assert_true (cw_transit_records_open (&in, wire, size, plain));
    g_assert_cmpmem (plain, 5, "hello", 5);

    /* In place. */
    load_hex (expected, sizeof expected, record_1);
    memcpy (wire + CW_TRANSIT_RECORD_OVERHEAD, "world", 5);
    cw_transit_records_seal (&out, wire + CW_TRANSIT_RECORD_OVERHEAD, 5, wire);
    g_assert_cmpmem (wire, 49, expected, 49);
    g_assert_true (cw_transit_records_open (&in, wire, 49, wire + CW_TRANSIT_RECORD_OVERHEAD));
    g_assert_cmpmem (wire + CW_TRANSIT_RECORD_OVERHEAD, 5, "world", 5);
    cw_transit_records_clear (&out);
    cw_transit_records_clear (&in);
    g_assert_true (sodium_is_zero (out.key.bytes, sizeof out.key.bytes));
}

/* Every bit matters, and so does the order. */
static void
test_record_forged (void)
{
    g_auto (CwTransitKeys) keys = { 0 };
    CwTransitRecords in;
    guint8 first[49], second[49], plain[5] = "-----";

    derive_run_keys (&keys);
    cw_transit_records_init (&in, &keys.record_sender);
    load_hex (first, sizeof first, record_0);
    load_hex (second, sizeof second, record_1);
    g_assert_false (cw_transit_records_open (&in, second, sizeof second, plain));
    for (size_t bit = 4 * 8; bit < sizeof first * 8; bit++) {
        first[bit / 8] ^= (guint8)(1 << bit % 8);
        g_assert_false (cw_transit_records_open (&in, first, sizeof first, plain));
        first[bit / 8] ^= (guint8)(1 << bit % 8);
    }
    g_assert_false (cw_transit_records_open (&in, first, sizeof first - 1, plain));
    g_assert_cmpmem (plain, 5, "-----", 5);
    g_assert_true (cw_transit_records_open (&in, first, sizeof first, plain));
    /* A replay. */
    g_assert_false (cw_transit_records_open (&in, first, sizeof first, plain));
    g_assert_true (cw_transit_records_open (&in, second, sizeof second, plain));
    cw_transit_records_clear (&in);
    /* The other direction's key. */
    cw_transit_records_init (&in, &keys.record_receiver);
    g_assert_false (cw_transit_records_open (&in, first, sizeof first, plain));
    cw_transit_records_clear (&in);
}

static void
test_record_peek (void)
{
    static const struct {
        guint8 head[4];
        CwTransitRecordResult result;
    } table[] = {
        { { 0, 0, 0, 0 }, CW_TRANSIT_RECORD_BAD },
        { { 0, 0, 0, 39 }, CW_TRANSIT_RECORD_BAD },
        { { 0, 0, 0, 40 }, CW_TRANSIT_RECORD_SHORT },
        { { 0, 0x40, 0, 40 }, CW_TRANSIT_RECORD_SHORT }, /* 4 MiB */
        { { 0, 0x40, 0, 41 }, CW_TRANSIT_RECORD_BAD },
        { { 0xff, 0xff, 0xff, 0xff }, CW_TRANSIT_RECORD_BAD },
    };
    guint8 first[49];
    size_t size;

    for (size_t i = 0; i < G_N_ELEMENTS (table); i++)
        g_assert_cmpint (cw_transit_record_peek (table[i].head, 4, &size), ==, table[i].result);
    load_hex (first, sizeof first, record_0);
    for (size_t len = 0; len < sizeof first; len++) {
        g_assert_cmpint (cw_transit_record_peek (first, len, &size), ==, CW_TRANSIT_RECORD_SHORT);
        g_assert_cmpuint (size, ==, len < 4 ? 0 : 49);
    }
}

/* --- Handshake --- */

#define SENDER_LINE                                                                                \
    "transit sender e26c594a0776010df4b9fddd686ad2650bba51f580986c1f8be3733319144729 ready\n\n"
#define RECEIVER_LINE                                                                              \
    "transit receiver 0c29b75d8a2236b8fe810a290eee811c1bf098a15c1df3c3fbdb37f1b4ba1c70 ready\n\n"
#define RELAY_LINE                                                                                 \
    "please relay 8270d19d2fc4872358b73c375b3727ccc50448797f5fb1d04aaa9cfb4796ca4f for side "      \
    "0123456789abcdef\n"

static void
start (CwTransitHandshake *hs, CwTransitRole role, gboolean relay)
{
    g_auto (CwTransitKeys) keys = { 0 };

    derive_run_keys (&keys);
    cw_transit_handshake_init (hs, role, &keys, relay ? "0123456789abcdef" : NULL);
}

/* What it says now must be @text, and is sent. */
static void
assert_says (CwTransitHandshake *hs, const char *text)
{
    g_assert_cmpmem (hs->out, hs->out_len, text, strlen (text));
    cw_transit_handshake_sent (hs, hs->out_len);
}

static size_t
feed (CwTransitHandshake *hs, const char *text)
{
    return cw_transit_handshake_receive (hs, (const guint8 *)text, strlen (text));
}

static void
feed_one_by_one (CwTransitHandshake *hs, const char *text, CwTransitHandshakeState until)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        g_assert_cmpint (hs->state, !=, until);
        g_assert_cmpuint (cw_transit_handshake_receive (hs, (const guint8 *)text + i, 1), ==, 1);
    }
    g_assert_cmpint (hs->state, ==, until);
}

static void
test_handshake_sender (void)
{
    CwTransitHandshake hs;

    g_assert_cmpuint (strlen (SENDER_LINE), ==, 87);
    g_assert_cmpuint (strlen (RECEIVER_LINE), ==, 89);
    start (&hs, CW_TRANSIT_SENDER, FALSE);
    assert_says (&hs, SENDER_LINE);
    feed_one_by_one (&hs, RECEIVER_LINE, CW_TRANSIT_HANDSHAKE_READY);
    g_assert_cmpuint (feed (&hs, "early"), ==, 0);
    cw_transit_handshake_choose (&hs);
    assert_says (&hs, "go\n");
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_DONE);

    start (&hs, CW_TRANSIT_SENDER, FALSE);
    assert_says (&hs, SENDER_LINE);
    g_assert_cmpuint (feed (&hs, RECEIVER_LINE "early"), ==, 89);
    cw_transit_handshake_refuse (&hs);
    assert_says (&hs, "nevermind\n");
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_REFUSED);
    cw_transit_handshake_clear (&hs);
    g_assert_true (sodium_is_zero ((const guint8 *)hs.own_line, sizeof hs.own_line));
}

static void
test_handshake_receiver (void)
{
    CwTransitHandshake hs;

    start (&hs, CW_TRANSIT_RECEIVER, FALSE);
    assert_says (&hs, RECEIVER_LINE);
    feed_one_by_one (&hs, SENDER_LINE, CW_TRANSIT_HANDSHAKE_VERDICT);
    feed_one_by_one (&hs, "go\n", CW_TRANSIT_HANDSHAKE_DONE);

    /* Everything in one read, with the first record behind it. */
    start (&hs, CW_TRANSIT_RECEIVER, FALSE);
    g_assert_cmpuint (feed (&hs, SENDER_LINE "go\nrecord"), ==, 90);
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_DONE);

    start (&hs, CW_TRANSIT_RECEIVER, FALSE);
    feed (&hs, SENDER_LINE);
    feed_one_by_one (&hs, "nevermind\n", CW_TRANSIT_HANDSHAKE_REFUSED);

    start (&hs, CW_TRANSIT_RECEIVER, FALSE);
    feed (&hs, SENDER_LINE "gone\n");
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_FAILED);
    start (&hs, CW_TRANSIT_RECEIVER, FALSE);
    feed (&hs, SENDER_LINE "nevermore\n");
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_FAILED);
}

static void
test_handshake_relay (void)
{
    static const char *const refusals[]
        = { "impatient\n", "bad handshake\n", "ok \n", "\n", SENDER_LINE };
    CwTransitHandshake hs;

    start (&hs, CW_TRANSIT_RECEIVER, TRUE);
    assert_says (&hs, RELAY_LINE);
    feed_one_by_one (&hs, "ok\n", CW_TRANSIT_HANDSHAKE_PEER);
    /* Not before the relay said ok, or it answers "impatient". */
    assert_says (&hs, RECEIVER_LINE);
    g_assert_cmpuint (feed (&hs, SENDER_LINE "go\nrecord"), ==, 90);
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_DONE);

    start (&hs, CW_TRANSIT_SENDER, TRUE);
    g_assert_cmpuint (feed (&hs, "ok\n" RECEIVER_LINE), ==, 92);
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_READY);
    assert_says (&hs, RELAY_LINE SENDER_LINE);

    for (size_t i = 0; i < G_N_ELEMENTS (refusals); i++) {
        start (&hs, CW_TRANSIT_SENDER, TRUE);
        feed (&hs, refusals[i]);
        g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_FAILED);
    }
}

/* A wrong byte anywhere fails; one in the key only when the whole line is there, so that a stranger
 * does not learn which one it was. */
static void
test_handshake_wrong (void)
{
    static const char right[] = RECEIVER_LINE;

    for (size_t wrong = 0; wrong < strlen (right); wrong++) {
        CwTransitHandshake hs;
        char line[] = RECEIVER_LINE;
        line[wrong] ^= 1;
        start (&hs, CW_TRANSIT_SENDER, FALSE);
        for (size_t i = 0; i < strlen (right); i++) {
            gboolean seen = wrong < strlen ("transit receiver ") ? i > wrong : FALSE;
            g_assert_cmpint (hs.state, ==,
                             seen ? CW_TRANSIT_HANDSHAKE_FAILED : CW_TRANSIT_HANDSHAKE_PEER);
            cw_transit_handshake_receive (&hs, (const guint8 *)line + i, 1);
        }
        g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_FAILED);
    }
    /* Our own line sent back. */
    CwTransitHandshake hs;
    start (&hs, CW_TRANSIT_SENDER, FALSE);
    feed (&hs, SENDER_LINE);
    g_assert_cmpint (hs.state, ==, CW_TRANSIT_HANDSHAKE_FAILED);
}

/* --- Addresses and hints --- */

static void
test_address_kinds (void)
{
    static const struct {
        const char *text;
        CwTransitAddressKind kind;
    } table[] = {
        { "0.0.0.0", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "0.1.2.3", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "127.0.0.1", CW_TRANSIT_ADDRESS_LOOPBACK },
        { "127.9.9.9", CW_TRANSIT_ADDRESS_LOOPBACK },
        { "10.0.0.1", CW_TRANSIT_ADDRESS_LOCAL },
        { "172.31.0.1", CW_TRANSIT_ADDRESS_LOCAL },
        { "192.168.1.1", CW_TRANSIT_ADDRESS_LOCAL },
        { "169.254.3.4", CW_TRANSIT_ADDRESS_LOCAL },
        { "172.32.0.1", CW_TRANSIT_ADDRESS_PUBLIC },
        { "192.0.2.7", CW_TRANSIT_ADDRESS_PUBLIC },
        { "224.0.0.1", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "240.0.0.1", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "255.255.255.255", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "::", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "::1", CW_TRANSIT_ADDRESS_LOOPBACK },
        { "::7f00:1", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "::ffff:127.0.0.1", CW_TRANSIT_ADDRESS_LOOPBACK },
        { "::ffff:0.0.0.0", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "::ffff:192.0.2.7", CW_TRANSIT_ADDRESS_PUBLIC },
        { "fe80::1", CW_TRANSIT_ADDRESS_UNUSABLE },
        { "fd00::1", CW_TRANSIT_ADDRESS_LOCAL },
        { "fc00::1", CW_TRANSIT_ADDRESS_LOCAL },
        { "2001:db8::7", CW_TRANSIT_ADDRESS_PUBLIC },
        { "ff02::1", CW_TRANSIT_ADDRESS_UNUSABLE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS (table); i++) {
        g_autoptr (GInetAddress) address = g_inet_address_new_from_string (table[i].text);
        g_test_message ("%s", table[i].text);
        g_assert_cmpint (cw_transit_address_get_kind (address), ==, table[i].kind);
    }
}

static GPtrArray *
make_own (void)
{
    static const struct {
        const char *text;
        unsigned prefix;
    } table[] = {
        { "192.0.2.2", 25 }, { "10.1.2.3", 8 }, { "2001:db8::2", 61 },
        { "127.0.0.1", 8 },  { "::1", 128 },
    };
    GPtrArray *own = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_transit_own_address_free);

    for (size_t i = 0; i < G_N_ELEMENTS (table); i++) {
        g_autoptr (GInetAddress) address = g_inet_address_new_from_string (table[i].text);
        g_ptr_array_add (own, cw_transit_own_address_new (address, table[i].prefix));
    }
    return own;
}

static void
test_address_near (void)
{
    static const struct {
        const char *text;
        gboolean own, near;
    } table[] = {
        { "192.0.2.2", TRUE, TRUE },         { "192.0.2.127", FALSE, TRUE },
        { "192.0.2.128", FALSE, FALSE },     { "::ffff:192.0.2.2", TRUE, TRUE },
        { "2001:db8::9", FALSE, TRUE },      { "2001:db8:0:7::9", FALSE, TRUE },
        { "2001:db8:0:8::9", FALSE, FALSE },
    };
    g_autoptr (GPtrArray) own = make_own ();

    for (size_t i = 0; i < G_N_ELEMENTS (table); i++) {
        g_autoptr (GInetAddress) address = g_inet_address_new_from_string (table[i].text);
        g_test_message ("%s", table[i].text);
        g_assert_cmpint (cw_transit_address_is_own (address, own), ==, table[i].own);
        g_assert_cmpint (cw_transit_address_is_near (address, own), ==, table[i].near);
    }
}

/* This machine has at least its loopback, and lists it after everything else. */
static void
test_address_list (void)
{
    g_autoptr (GPtrArray) own = cw_transit_address_list_own ();
    gboolean loopback = FALSE;

    for (guint i = 0; i < own->len; i++) {
        const CwTransitOwnAddress *o = g_ptr_array_index (own, i);
        gboolean is = cw_transit_address_get_kind (o->address) == CW_TRANSIT_ADDRESS_LOOPBACK;
        g_assert_true (is || !loopback);
        g_assert_true (cw_transit_address_is_near (o->address, own));
        loopback = is;
    }
    g_assert_true (loopback);
}

static void
test_relay_text (void)
{
    static const char *const good[][2] = {
        { "tcp:relay.example:4001", "relay.example:4001" },
        { "tcp:192.0.2.7:1", "192.0.2.7:1" },
        { "tcp:[2001:db8::7]:65535", "[2001:db8::7]:65535" },
    };
    static const char *const bad[] = {
        "",
        "tcp:",
        "tcp:host",
        "relay.example:4001",
        "tcp::4001",
        "tcp:h:0",
        "tcp:h:65536",
        "tcp:h:4001x",
        "tcp:2001:db8::7:1",
        "tcp:[::1:1",
        "tcp:[h]:1",
        "tcp:a b:4001",
        "tcp:[fe80::1%1]:2",
        "ws:h:1",
        "tcp:-h:1",
    };

    for (size_t i = 0; i < G_N_ELEMENTS (good); i++) {
        g_autoptr (CwTransitHint) hint = cw_transit_hint_parse_relay (good[i][0], NULL);
        g_autofree char *text = cw_transit_hint_dup_text (hint);
        g_assert_cmpstr (text, ==, good[i][1]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
        g_autoptr (GError) error = NULL;
        g_test_message ("%s", bad[i]);
        g_assert_null (cw_transit_hint_parse_relay (bad[i], &error));
        g_assert_error (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_BAD_RELAY);
    }
}

static void
assert_encodes (gboolean direct,
                guint16 port_ipv4,
                guint16 port_ipv6,
                const char *relay_text,
                const char *expected)
{
    g_autoptr (GPtrArray) own = make_own ();
    g_autoptr (CwTransitHint) relay
        = relay_text != NULL ? cw_transit_hint_parse_relay (relay_text, NULL) : NULL;
    g_autoptr (JsonNode) node = cw_transit_hints_encode (direct, own, port_ipv4, port_ipv6, relay);
    g_autofree char *text = json_to_string (node, FALSE);

    g_assert_cmpstr (text, ==, expected);
}

#define DIRECT(host, port)                                                                         \
    "{\"type\":\"direct-tcp-v1\",\"priority\":0.0,\"hostname\":\"" host "\",\"port\":" port "}"

static void
test_hints_encode (void)
{
    assert_encodes (
        TRUE, 1000, 1001, "tcp:[2001:db8::9]:4001",
        "{\"abilities-v1\":[{\"type\":\"direct-tcp-v1\"},{\"type\":\"relay-v1\"}],"
        "\"hints-v1\":[" DIRECT ("192.0.2.2", "1000") "," DIRECT ("10.1.2.3", "1000") "," DIRECT (
            "2001:db8::2",
            "1001") "," DIRECT ("127.0.0.1",
                                "1000") "," DIRECT ("::1",
                                                    "1001") ",{\"type\":\"relay-v1\",\"hints\":"
                                                            "[" DIRECT ("2001:db8::9",
                                                                        "4001") "]}]}");
    assert_encodes (
        TRUE, 0, 1001, NULL,
        "{\"abilities-v1\":[{\"type\":\"direct-tcp-v1\"},{\"type\":\"relay-v1\"}],"
        "\"hints-v1\":[" DIRECT ("2001:db8::2", "1001") "," DIRECT ("::1", "1001") "]}");
    assert_encodes (FALSE, 0, 0, "tcp:r.example:4001",
                    "{\"abilities-v1\":[{\"type\":\"relay-v1\"}],\"hints-v1\":[{\"type\":"
                    "\"relay-v1\",\"hints\":[" DIRECT ("r.example", "4001") "]}]}");
}

/* Many addresses: the list stays short, and loopback is still in it. */
static void
test_hints_encode_many (void)
{
    g_autoptr (GPtrArray) own = make_own ();
    g_autoptr (JsonNode) node = NULL;
    JsonArray *hints;

    for (unsigned i = 0; i < 100; i++) {
        g_autofree char *text = g_strdup_printf ("10.0.0.%u", i + 1);
        g_autoptr (GInetAddress) address = g_inet_address_new_from_string (text);
        g_ptr_array_insert (own, 0, cw_transit_own_address_new (address, 24));
    }
    node = cw_transit_hints_encode (TRUE, own, 1, 2, NULL);
    hints = json_object_get_array_member (json_node_get_object (node), "hints-v1");
    g_assert_cmpuint (json_array_get_length (hints), ==, CW_TRANSIT_HINTS_TOLD_MAX);
    for (unsigned i = 0; i < 2; i++)
        g_assert_cmpstr (json_object_get_string_member (
                             json_array_get_object_element (hints, 14 + i), "hostname"),
                         ==, i == 0 ? "127.0.0.1" : "::1");
}

/* The hosts of @hints, one after the other. */
static char *
list_hosts (GPtrArray *hints)
{
    GString *text = g_string_new (NULL);

    for (guint i = 0; i < hints->len; i++) {
        g_autofree char *one = cw_transit_hint_dup_text (g_ptr_array_index (hints, i));
        g_string_append_printf (text, "%s%s", i > 0 ? " " : "", one);
    }
    return g_string_free (text, FALSE);
}

static void
assert_decodes (const char *json, const char *direct, const char *relays, gboolean direct_off)
{
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) own = make_own ();
    g_autoptr (JsonNode) node = json_from_string (json, &error);
    g_autoptr (CwTransitPeerHints) hints = NULL;
    g_autofree char *got_direct = NULL, *got_relays = NULL;

    g_assert_no_error (error);
    hints = cw_transit_peer_hints_decode (node, own, &error);
    g_assert_no_error (error);
    got_direct = list_hosts (hints->direct);
    got_relays = list_hosts (hints->relays);
    g_assert_cmpstr (got_direct, ==, direct);
    g_assert_cmpstr (got_relays, ==, relays);
    g_assert_cmpint (hints->direct_off, ==, direct_off);
}

#define HINTS(list) "{\"hints-v1\":[" list "]}"
#define HOST(host) "{\"type\":\"direct-tcp-v1\",\"hostname\":\"" host "\",\"port\":99}"

static void
test_hints_decode (void)
{
    /* As Debian's wormhole sends it. */
    assert_decodes (
        "{\"abilities-v1\": [{\"type\": \"direct-tcp-v1\"}, {\"type\": \"relay-v1\"}], "
        "\"hints-v1\": [{\"priority\": 0.0, \"hostname\": \"192.0.2.9\", \"port\": 40935, "
        "\"type\": \"direct-tcp-v1\"}, {\"type\": \"relay-v1\", \"hints\": [{\"priority\": "
        "0.0, \"hostname\": \"relay.example\", \"port\": 4001, \"type\": "
        "\"direct-tcp-v1\"}]}]}",
        "192.0.2.9:40935", "relay.example:4001", FALSE);
    assert_decodes ("{}", "", "", FALSE);
    assert_decodes ("{\"abilities-v1\":[{\"type\":\"relay-v1\"}]}", "", "", TRUE);
    assert_decodes ("{\"abilities-v1\":[],\"hints-v1\":[" HOST ("a.example") "]}", "a.example:99",
                    "", TRUE);
    /* Odd ones are left out, each for one reason. */
    assert_decodes (HINTS ("1,null,[],\"x\",{},{\"type\":7},{\"type\":\"tor-tcp-v1\",\"hostname\":"
                           "\"a\",\"port\":1},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"a\"},{\"type\":\"direct-tcp-"
                           "v1\",\"port\":1},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"a\",\"port\":0},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"a\",\"port\":65536},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"a\",\"port\":-1},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"a\",\"port\":1.5},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"a\",\"port\":\"1\"},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"a\",\"port\":null},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":[],\"port\":1},"
                           "{\"type\":\"direct-tcp-v1\",\"hostname\":\"ok.example\",\"port\":2,"
                           "\"priority\":\"x\"},"
                           "{\"type\":\"relay-v1\"},{\"type\":\"relay-v1\",\"hints\":{}},"
                           "{\"type\":\"relay-v1\",\"hints\":[null,{\"type\":\"websocket-v1\","
                           "\"url\":\"wss://r\"},"
                           "{\"type\":\"websocket\",\"url\":\"wss://r\"}," HOST ("r.example") "]}"),
                    "ok.example:2", "r.example:99", FALSE);
    /* Places nobody should be sent to. */
    assert_decodes (
        HINTS (HOST ("224.0.0.1") "," HOST ("255.255.255.255") "," HOST ("0.0.0.0") "," HOST ("::") "," HOST ("ff02::1") "," HOST ("fe80::1") "," HOST ("fe80::1%eth0") "," HOST ("::ffff:127.0.0.1") "," HOST (
            "127.0.0.1") "," HOST ("::1") "," HOST ("localhost") "," HOST ("") "," HOST ("a b") "," HOST ("a/b") "," HOST ("198.51.100.1") ",{\"type\":\"relay-v1\",\"hints\":[" HOST ("127.0.0.1") "]}"),
        "198.51.100.1:99", "", FALSE);
    /* Loopback when the other is here: it has our address, or nothing else. */
    assert_decodes (HINTS (HOST ("192.0.2.2") "," HOST (
                        "127.0.0.1") ",{\"type\":\"relay-v1\",\"hints\":[" HOST ("127.0.0.1") "]}"),
                    "192.0.2.2:99 127.0.0.1:99", "127.0.0.1:99", FALSE);
    assert_decodes (HINTS (HOST ("127.0.0.1") "," HOST ("::1")), "127.0.0.1:99 [::1]:99", "",
                    FALSE);
    assert_decodes (HINTS (HOST ("A.example") "," HOST ("a.example")), "A.example:99", "", FALSE);
}

static void
test_hints_decode_bad (void)
{
    static const char *const bad[] = {
        "[]",
        "null",
        "7",
        "\"x\"",
        "{\"hints-v1\":{}}",
        "{\"hints-v1\":null}",
        "{\"hints-v1\":7}",
        "{\"abilities-v1\":\"x\"}",
    };
    g_autoptr (GPtrArray) own = make_own ();

    for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
        g_autoptr (GError) error = NULL;
        g_autoptr (JsonNode) node = json_from_string (bad[i], NULL);
        g_test_message ("%s", bad[i]);
        g_assert_null (cw_transit_peer_hints_decode (node, own, &error));
        g_assert_error (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_HINTS);
    }
}

static void
test_hints_decode_many (void)
{
    g_autoptr (GString) json = g_string_new ("{\"hints-v1\":[");
    g_autoptr (GPtrArray) own = make_own ();
    g_autoptr (JsonNode) node = NULL;
    g_autoptr (CwTransitPeerHints) hints = NULL;

    for (unsigned i = 0; i < 300; i++) {
        g_string_append_printf (json,
                                "%s{\"type\":\"direct-tcp-v1\",\"hostname\":\"h%u\",\"port\":1}",
                                i > 0 ? "," : "", i);
        g_string_append (json, ",{\"type\":\"relay-v1\",\"hints\":[");
        for (unsigned j = 0; j < 300; j++)
            g_string_append_printf (
                json, "%s{\"type\":\"direct-tcp-v1\",\"hostname\":\"r%u\",\"port\":%u}",
                j > 0 ? "," : "", i, j + 1);
        g_string_append (json, "]}");
    }
    g_string_append (json, "]}");
    node = json_from_string (json->str, NULL);
    hints = cw_transit_peer_hints_decode (node, own, NULL);
    g_assert_cmpuint (hints->direct->len, ==, CW_TRANSIT_HINTS_DIRECT_MAX);
    g_assert_cmpuint (hints->relays->len, ==, CW_TRANSIT_HINTS_RELAY_MAX);
}

int
main (int argc, char **argv)
{
    cw_crypto_init ();
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/transit/keys", test_keys);
    g_test_add_func ("/transit/record/vectors", test_record_vectors);
    g_test_add_func ("/transit/record/forged", test_record_forged);
    g_test_add_func ("/transit/record/peek", test_record_peek);
    g_test_add_func ("/transit/handshake/sender", test_handshake_sender);
    g_test_add_func ("/transit/handshake/receiver", test_handshake_receiver);
    g_test_add_func ("/transit/handshake/relay", test_handshake_relay);
    g_test_add_func ("/transit/handshake/wrong", test_handshake_wrong);
    g_test_add_func ("/transit/address/kinds", test_address_kinds);
    g_test_add_func ("/transit/address/near", test_address_near);
    g_test_add_func ("/transit/address/list", test_address_list);
    g_test_add_func ("/transit/relay-text", test_relay_text);
    g_test_add_func ("/transit/hints/encode", test_hints_encode);
    g_test_add_func ("/transit/hints/encode-many", test_hints_encode_many);
    g_test_add_func ("/transit/hints/decode", test_hints_decode);
    g_test_add_func ("/transit/hints/decode-bad", test_hints_decode_bad);
    g_test_add_func ("/transit/hints/decode-many", test_hints_decode_many);
    return g_test_run ();
}
