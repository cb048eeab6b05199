/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <gio/gio.h>
#include <string.h>

#include "cw-drop-wire.h"

static void
assert_bytes (GByteArray *got, const char *expected)
{
    g_autofree char *text = g_strndup ((const char *)got->data, got->len);

    g_assert_cmpstr (text, ==, expected);
    g_byte_array_set_size (got, 0);
}

/* Both ways: @text is what a request looks like, its end is the empty line. */
static void
assert_request (const CwDropRequest *request, const char *text)
{
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_auto (CwDropRequest) parsed = { 0 };
    g_autoptr (GError) error = NULL;

    cw_drop_request_append (bytes, request);
    assert_bytes (bytes, text);
    g_assert_true (cw_drop_request_parse (text, strlen (text) - 2, &parsed, &error));
    g_assert_no_error (error);
    g_assert_cmpint (parsed.kind, ==, request->kind);
    g_assert_cmpstr (parsed.path, ==, request->path);
    g_assert_cmpuint (parsed.length, ==, request->length);
    g_assert_cmpint (parsed.chunked, ==, request->chunked);
    g_assert_cmpint (parsed.type, ==, request->type);
    g_assert_cmpint (parsed.has_mode, ==, request->has_mode);
    g_assert_cmpuint (parsed.mode, ==, request->mode);
    g_assert_cmpint (parsed.mtime_ns, ==, request->mtime_ns);
    g_assert_cmpint (parsed.size, ==, request->size);
    g_assert_cmpuint (parsed.keep, ==, request->keep);
    g_assert_cmpint (parsed.sparse, ==, request->sparse);
}

static void
test_requests (void)
{
    CwDropRequest offer = { .kind = CW_DROP_REQUEST_OFFER, .length = 12, .size = -1 };
    CwDropRequest look = { .kind = CW_DROP_REQUEST_LOOK, .path = (char *)"a/\xff %2F\n~é" };
    CwDropRequest done = { .kind = CW_DROP_REQUEST_DONE };
    CwDropRequest cancel = { .kind = CW_DROP_REQUEST_CANCEL };
    CwDropRequest file = {
        .kind = CW_DROP_REQUEST_ITEM,
        .path = (char *)"a",
        .chunked = TRUE,
        .has_mode = TRUE,
        .mode = 0640,
        .mtime_ns = 1500000000,
        .size = G_MAXINT64,
        .keep = 7,
        .sparse = TRUE,
    };
    CwDropRequest folder = {
        .kind = CW_DROP_REQUEST_ITEM,
        .type = CW_DROP_TYPE_FOLDER,
        .path = (char *)"a/b",
        .mtime_ns = -1,
        .size = -1,
    };
    CwDropRequest symlink = {
        .kind = CW_DROP_REQUEST_ITEM,
        .type = CW_DROP_TYPE_SYMLINK,
        .path = (char *)"a/c",
        .length = 3,
        .mtime_ns = G_MININT64,
        .size = -1,
    };

    offer.mtime_ns = look.mtime_ns = done.mtime_ns = cancel.mtime_ns = G_MININT64;
    look.size = done.size = cancel.size = -1;
    assert_request (&offer, "POST /offer HTTP/1.1\r\nHost:\r\nContent-Type: application/json\r\n"
                            "Content-Length: 12\r\n\r\n");
    assert_request (&look, "HEAD /items/a/%FF%20%252F%0A~%C3%A9 HTTP/1.1\r\nHost:\r\n\r\n");
    assert_request (&done, "POST /done HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n");
    assert_request (&cancel, "DELETE /offer HTTP/1.1\r\nHost:\r\n\r\n");
    assert_request (&file, "PUT /items/a HTTP/1.1\r\nHost:\r\n"
                           "Content-Type: application/octet-stream\r\nDrop-Mode: 640\r\n"
                           "Drop-Mtime: 1.500000000\r\nDrop-Size: 9223372036854775807\r\n"
                           "Drop-Keep: 7\r\nDrop-Sparse: ?1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_request (&folder, "PUT /items/a/b HTTP/1.1\r\nHost:\r\nContent-Type: inode/directory\r\n"
                             "Drop-Mtime: -1.999999999\r\nContent-Length: 0\r\n\r\n");
    assert_request (&symlink, "PUT /items/a/c HTTP/1.1\r\nHost:\r\nContent-Type: inode/symlink\r\n"
                              "Content-Length: 3\r\n\r\n");
}

/* Every byte that can be in a path, and the longest one. */
static void
test_paths (void)
{
    char path[CW_DROP_MAX_PATH + 1];
    CwDropRequest request = { .kind = CW_DROP_REQUEST_LOOK, .path = path };
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_auto (CwDropRequest) parsed = { 0 };

    for (guint i = 0; i < CW_DROP_MAX_PATH; i++)
        path[i] = (char)(i % 255 + 1 == '/' ? 'x' : i % 255 + 1);
    path[CW_DROP_MAX_PATH] = '\0';
    cw_drop_request_append (bytes, &request);
    g_assert_cmpuint (bytes->len, <, CW_DROP_MAX_HEAD - 2048);
    g_assert_true (
        cw_drop_request_parse ((const char *)bytes->data, bytes->len - 2, &parsed, NULL));
    g_assert_cmpstr (parsed.path, ==, path);
}

/* An impossible path is that item's failure, the framing stands. */
static void
test_bad_paths (void)
{
    static const char *const targets[]
        = { "", "/a", "a/", "a//b", "%00", "%2f", "%", "%1", "%zz", "a%2Fb" };

    for (guint i = 0; i < G_N_ELEMENTS (targets); i++) {
        g_autofree char *head = g_strdup_printf ("HEAD /items/%s HTTP/1.1\r\n", targets[i]);
        g_auto (CwDropRequest) parsed = { 0 };
        g_assert_true (cw_drop_request_parse (head, strlen (head), &parsed, NULL));
        g_assert_cmpint (parsed.kind, ==, CW_DROP_REQUEST_LOOK);
        g_assert_null (parsed.path);
    }
}

static void
test_bad_requests (void)
{
#define PUT "PUT /items/a HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
    static const char *const heads[] = {
        "",
        "\r\n",
        "GET / HTTP/1.1\r\n",
        "GET /items/a HTTP/1.1\r\n",
        "POST /offer HTTP/1.0\r\n",
        "POST /offer\r\n",
        "POST /offer HTTP/1.1\n",
        "POST /offer HTTP/1.1\r\nA: b\nC: d\r\n",
        "POST /offer HTTP/1.1\r\n A: b\r\n",
        "POST /offer HTTP/1.1\r\nA: b\r\n c\r\n",
        "POST /offer HTTP/1.1\r\n: b\r\n",
        "POST /offer HTTP/1.1\r\nA\r\n",
        "POST /offer HTTP/1.1\r\nA : b\r\n",
        "POST /offer HTTP/1.1\r\nA: \x01\r\n",
        "POST /offer HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        "POST /offer HTTP/1.1\r\nContent-Length: -1\r\n",
        "POST /offer HTTP/1.1\r\nContent-Length: +1\r\n",
        "POST /offer HTTP/1.1\r\nContent-Length: 1, 1\r\n",
        "POST /offer HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n",
        "POST /offer HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n",
        "POST /offer HTTP/1.1\r\nContent-Length: 4194305\r\n",
        "POST /offer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        "POST /done HTTP/1.1\r\nContent-Length: 1\r\n",
        "DELETE /offer HTTP/1.1\r\nContent-Length: 1\r\n",
        "PUT /items/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        "PUT /items/a HTTP/1.1\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n",
        "PUT /items/a HTTP/1.1\r\nContent-Type: inode/directory\r\n"
        "Transfer-Encoding: chunked\r\n",
        "PUT /items/a HTTP/1.1\r\nContent-Type: inode/directory\r\nContent-Length: 1\r\n",
        "PUT /items/a HTTP/1.1\r\nContent-Type: inode/symlink\r\nContent-Length: 4096\r\n",
        PUT,
        PUT "Content-Length: 3\r\n",
        PUT "Transfer-Encoding: gzip\r\n",
        PUT "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Mode: 888\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Mode: 77777\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Mtime: 1\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Mtime: 1.5\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Mtime: 9999999999999.000000000\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Size: x\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Keep: 1\r\n",
        PUT "Transfer-Encoding: chunked\r\nDrop-Size: 1\r\nDrop-Keep: 2\r\n",
    };
    g_autofree char *name = g_strnfill (CW_DROP_MAX_HEAD, 'x');
    g_autofree char *large = g_strdup_printf ("POST /done HTTP/1.1\r\nA: %s\r\n", name);

    for (guint i = 0; i <= G_N_ELEMENTS (heads); i++) {
        const char *head = i < G_N_ELEMENTS (heads) ? heads[i] : large;
        g_auto (CwDropRequest) parsed = { 0 };
        g_autoptr (GError) error = NULL;
        if (cw_drop_request_parse (head, strlen (head), &parsed, &error))
            g_error ("accepted: %s", head);
        g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL);
        g_assert_null (parsed.path);
    }
}

/* Unknown headers are ignored. */
static void
test_growth (void)
{
    const char *head = PUT "Transfer-Encoding: chunked\r\nDrop-Colour: red\r\nA:\r\n";
    g_auto (CwDropRequest) parsed = { 0 };

    g_assert_true (cw_drop_request_parse (head, strlen (head), &parsed, NULL));
    g_assert_cmpstr (parsed.path, ==, "a");
    g_assert_cmpint (parsed.size, ==, -1);
    g_assert_false (parsed.has_mode);
}

static void
assert_response (const CwDropResponse *response, const char *text)
{
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    CwDropResponse parsed;
    g_autoptr (GError) error = NULL;

    cw_drop_response_append (bytes, response);
    assert_bytes (bytes, text);
    g_assert_true (cw_drop_response_parse (text, strlen (text) - 2, &parsed, &error));
    g_assert_no_error (error);
    g_assert_cmpuint (parsed.status, ==, response->status);
    g_assert_cmpuint (parsed.length, ==, response->length);
    g_assert_cmpint (parsed.close, ==, response->close);
    g_assert_cmpint (parsed.has_sha256, ==, response->has_sha256);
    g_assert_cmpmem (parsed.sha256, 32, response->sha256, 32);
}

static void
test_responses (void)
{
    CwDropResponse look = { .status = 200, .length = 12345, .has_sha256 = TRUE };

    for (guint i = 0; i < 32; i++)
        look.sha256[i] = (guint8)i;
    assert_response (&(CwDropResponse){ .status = 102 }, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_response (&(CwDropResponse){ .status = 204 }, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_response (&(CwDropResponse){ .status = 204, .close = TRUE },
                     "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_response (&(CwDropResponse){ .status = 404 },
                     "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert_response (&look,
                     "HTTP/1.1 200 OK\r\n"
                     "Repr-Digest: sha-256=:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:\r\n"
                     "Content-Length: 12345\r\n\r\n");
}

static void
test_bad_responses (void)
{
    static const char *const heads[] = {
        "",
        "HTTP/1.1\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 600 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nRepr-Digest: sha-256=:AAAA:\r\n",
        "HTTP/1.1 200 OK\r\nRepr-Digest: md5=:AAAA:\r\n",
        "HTTP/1.1 200 OK\r\nRepr-Digest: sha-256\r\n",
    };

    for (guint i = 0; i < G_N_ELEMENTS (heads); i++) {
        CwDropResponse parsed;
        if (cw_drop_response_parse (heads[i], strlen (heads[i]), &parsed, NULL))
            g_error ("accepted: %s", heads[i]);
    }
}

/* Those that are never the other side's affair arrive as its failure. */
static int
expected_code (int code)
{
    return code == CW_DROP_ERROR_PEER_LOST || code == CW_DROP_ERROR_INCOMPLETE
                   || code == CW_DROP_ERROR_NOTHING || code == CW_DROP_ERROR_BAD_ARCHIVE
               ? (int)CW_DROP_ERROR_PEER_FAILED
               : code;
}

static void
test_problems (void)
{
    for (int code = 0; code <= (int)CW_DROP_ERROR_UNSUPPORTED; code++) {
        g_autoptr (GError) problem = g_error_new (CW_DROP_ERROR, code, "it \"broke\"\n");
        g_autoptr (GByteArray) bytes = g_byte_array_new ();
        g_autoptr (GError) parsed = NULL;
        CwDropResponse response;
        const char *head, *content;

        cw_drop_problem_append (bytes, problem, code == CW_DROP_ERROR_DECLINED);
        g_byte_array_append (bytes, (const guint8 *)"", 1);
        head = (const char *)bytes->data;
        content = strstr (head, "\r\n\r\n") + 4;
        g_assert_true (cw_drop_response_parse (head, (gsize)(content - head) - 2, &response, NULL));
        g_assert_cmpuint (response.status, >=, 400);
        g_assert_cmpint (response.close, ==, code == CW_DROP_ERROR_DECLINED);
        g_assert_cmpuint (response.length, ==, strlen (content));
        parsed = cw_drop_problem_parse (response.status, content, response.length);
        g_assert_cmpstr (parsed->message, ==, "it \"broke\"\357\277\275");
        g_assert_error (parsed, CW_DROP_ERROR, expected_code (code));
    }
}

static void
test_odd_problems (void)
{
    static const char *const texts[] = { "",
                                         "x",
                                         "{}",
                                         "[1]",
                                         "{\"error\":5,\"message\":\"\"}",
                                         "{\"error\":\"no-such\",\"message\":\"m\"}",
                                         "{\"message\":\"m\"}" };

    for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
        g_autoptr (GError) parsed = cw_drop_problem_parse (500, texts[i], strlen (texts[i]));
        g_assert_error (parsed, CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED);
    }
}

static void
test_chunks (void)
{
    static const struct {
        const char *line;
        guint64 size;
        gint64 at;
        gboolean idle;
    } good[] = {
        { "0", 0, -1, FALSE },
        { "00000000", 0, -1, FALSE },
        { "00040000", 262144, -1, FALSE },
        { "fF", 255, -1, FALSE },
        { "1000000", 16777216, -1, FALSE },
        { "1;idle", 1, -1, TRUE },
        { "a;at=9223372036854775807", 10, G_MAXINT64, FALSE },
    };
    static const char *const bad[] = { "",
                                       ";at=1",
                                       "x",
                                       "1000001",
                                       "1;",
                                       "1;at=",
                                       "1;at=-1",
                                       "1;at=9223372036854775808",
                                       "1;foo",
                                       "0;at=1",
                                       "0;idle",
                                       "00000000000000001",
                                       "1 ",
                                       "-1",
                                       "0x1",
                                       "1;at=1;idle",
                                       "fffffffffffffffff",
                                       "ffffffffffffffff" };

    for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
        CwDropChunk chunk;
        g_assert_true (cw_drop_chunk_parse (good[i].line, strlen (good[i].line), &chunk, NULL));
        g_assert_cmpuint (chunk.size, ==, good[i].size);
        g_assert_cmpint (chunk.at, ==, good[i].at);
        g_assert_cmpint (chunk.idle, ==, good[i].idle);
    }
    for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
        CwDropChunk chunk;
        if (cw_drop_chunk_parse (bad[i], strlen (bad[i]), &chunk, NULL))
            g_error ("accepted: %s", bad[i]);
    }
}

static void
test_trailers (void)
{
    CwDropTrailer complete = { .end = CW_DROP_END_COMPLETE, .size = 42 }, parsed;
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    static const char *const bad[] = {
        "",
        "Drop-End: fine\r\n",
        "Drop-End: complete\r\n",
        "Drop-End: complete\r\nDrop-Size: 1\r\n",
        "Drop-End: complete\r\nDrop-Digest: xxh3-128=:AAAAAAAAAAAAAAAAAAAAAA==:\r\n",
        "Drop-End: complete\r\nDrop-Size: 1\r\nDrop-Digest: xxh3-128=:AAAA:\r\n",
        "Drop-End: changed\r\nDrop-End: changed\r\n",
        "Drop-End: changed",
        "Drop-End changed\r\n",
    };

    for (guint i = 0; i < 16; i++)
        complete.digest[i] = (guint8)(i * 16);
    cw_drop_trailer_append (bytes, &complete);
    g_assert_true (cw_drop_trailer_parse ((char *)bytes->data + 3, bytes->len - 5, &parsed, NULL));
    g_assert_cmpint (parsed.end, ==, CW_DROP_END_COMPLETE);
    g_assert_cmpuint (parsed.size, ==, 42);
    g_assert_cmpmem (parsed.digest, 16, complete.digest, 16);
    assert_bytes (bytes, "0\r\nDrop-End: complete\r\nDrop-Size: 42\r\n"
                         "Drop-Digest: xxh3-128=:ABAgMEBQYHCAkKCwwNDg8A==:\r\n\r\n");
    cw_drop_trailer_append (bytes, &(CwDropTrailer){ .end = CW_DROP_END_STOPPED });
    assert_bytes (bytes, "0\r\nDrop-End: stopped\r\n\r\n");
    for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
        g_autoptr (GError) error = NULL;
        if (cw_drop_trailer_parse (bad[i], strlen (bad[i]), &parsed, &error))
            g_error ("accepted: %s", bad[i]);
        g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL);
        g_assert_false (cw_drop_trailer_parse (bad[i], strlen (bad[i]), &parsed, NULL));
    }
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/drop-wire/requests", test_requests);
    g_test_add_func ("/drop-wire/paths", test_paths);
    g_test_add_func ("/drop-wire/bad-paths", test_bad_paths);
    g_test_add_func ("/drop-wire/bad-requests", test_bad_requests);
    g_test_add_func ("/drop-wire/growth", test_growth);
    g_test_add_func ("/drop-wire/responses", test_responses);
    g_test_add_func ("/drop-wire/bad-responses", test_bad_responses);
    g_test_add_func ("/drop-wire/problems", test_problems);
    g_test_add_func ("/drop-wire/odd-problems", test_odd_problems);
    g_test_add_func ("/drop-wire/chunks", test_chunks);
    g_test_add_func ("/drop-wire/trailers", test_trailers);
    return g_test_run ();
}
