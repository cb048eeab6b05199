/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The lines of drop/1. The first byte says which: a request's head, a response's head, a chunk's
 * line, trailers, a problem. What is taken is the same once more when it is written and read. */

#include <string.h>

#include "cw-drop-wire.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

/* What append() wrote, without the empty line. */
static size_t
head_length (const GByteArray *bytes)
{
    g_assert (bytes->len >= 4);
    g_assert_cmpmem (bytes->data + bytes->len - 4, 4, "\r\n\r\n", 4);
    return bytes->len - 2;
}

static void
fuzz_request (const char *text, size_t len)
{
    g_auto (CwDropRequest) request = { 0 };
    g_auto (CwDropRequest) again = { 0 };
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_autoptr (GError) error = NULL;

    if (!cw_drop_request_parse (text, len, &request, &error)) {
        g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL);
        g_assert_null (request.path);
        return;
    }
    g_assert (request.length <= CW_DROP_MAX_OFFER);
    g_assert (request.keep == 0 || request.keep <= (guint64)request.size);
    if (request.path != NULL) {
        size_t path_len = strlen (request.path);
        g_assert (path_len > 0 && path_len <= CW_DROP_MAX_PATH);
        g_assert (request.path[0] != '/' && request.path[path_len - 1] != '/');
        g_assert_null (strstr (request.path, "//"));
    } else if (request.kind == CW_DROP_REQUEST_ITEM || request.kind == CW_DROP_REQUEST_LOOK) {
        return; /* of an impossible path: there is no writing it */
    }
    cw_drop_request_append (bytes, &request);
    g_assert (cw_drop_request_parse ((const char *)bytes->data, head_length (bytes), &again, NULL));
    g_assert_cmpint (again.kind, ==, request.kind);
    g_assert_cmpstr (again.path, ==, request.path);
    g_assert_cmpuint (again.length, ==, request.length);
    g_assert_cmpint (again.chunked, ==, request.chunked);
    g_assert_cmpint (again.type, ==, request.type);
    g_assert_cmpint (again.has_mode, ==, request.has_mode);
    g_assert_cmpuint (again.mode, ==, request.mode);
    g_assert_cmpint (again.mtime_ns, ==, request.mtime_ns);
    g_assert_cmpint (again.size, ==, request.size);
    g_assert_cmpuint (again.keep, ==, request.keep);
    g_assert_cmpint (again.sparse, ==, request.sparse);
}

static void
fuzz_response (const char *text, size_t len)
{
    CwDropResponse response, again;
    g_autoptr (GByteArray) bytes = g_byte_array_new ();

    if (!cw_drop_response_parse (text, len, &response, NULL))
        return;
    g_assert (response.status >= 100 && response.status < 600);
    cw_drop_response_append (bytes, &response);
    g_assert (
        cw_drop_response_parse ((const char *)bytes->data, head_length (bytes), &again, NULL));
    g_assert_cmpuint (again.status, ==, response.status);
    g_assert_cmpint (again.close, ==, response.close);
    g_assert_cmpint (again.has_sha256, ==, response.has_sha256);
    g_assert_cmpmem (again.sha256, 32, response.sha256, 32);
}

static void
fuzz_chunk (const char *text, size_t len)
{
    CwDropChunk chunk;

    if (!cw_drop_chunk_parse (text, len, &chunk, NULL))
        return;
    g_assert (chunk.size <= CW_DROP_MAX_CHUNK && chunk.at >= -1);
    g_assert (chunk.size > 0 || (chunk.at < 0 && !chunk.idle));
    g_assert (!chunk.idle || chunk.at < 0);
}

static void
fuzz_trailer (const char *text, size_t len)
{
    CwDropTrailer trailer, again;
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_autoptr (GError) error = NULL;

    if (!cw_drop_trailer_parse (text, len, &trailer, &error)) {
        g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL);
        cw_drop_trailer_parse (text, len, &trailer, NULL);
        return;
    }
    cw_drop_trailer_append (bytes, &trailer);
    g_assert (cw_drop_trailer_parse ((const char *)bytes->data + 3, head_length (bytes) - 3, &again,
                                     NULL));
    g_assert_cmpint (again.end, ==, trailer.end);
    g_assert_cmpuint (again.size, ==, trailer.size);
    g_assert_cmpmem (again.digest, 16, trailer.digest, 16);
}

static void
fuzz_problem (const char *text, size_t len)
{
    g_autoptr (GError) problem = cw_drop_problem_parse (500, text, len);
    g_autoptr (GByteArray) bytes = g_byte_array_new ();

    g_assert_nonnull (problem);
    g_assert (problem->domain == CW_DROP_ERROR && g_utf8_validate (problem->message, -1, NULL));
    cw_drop_problem_append (bytes, problem, TRUE);
    g_assert (bytes->len <= CW_DROP_MAX_ANSWER);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    static void (*const parsers[]) (const char *text, size_t len)
        = { fuzz_request, fuzz_response, fuzz_chunk, fuzz_trailer, fuzz_problem };

    if (size > 0)
        parsers[data[0] % G_N_ELEMENTS (parsers)]((const char *)data + 1, size - 1);
    return 0;
}
