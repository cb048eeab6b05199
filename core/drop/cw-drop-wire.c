/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Heads are split by libsoup (2 µs for one of a file), after a check of our own that is stricter
 * than it: no bytes but printable ASCII, no folded or nameless lines, CRLF and nothing else. Each
 * header is then taken once; ours are exact, unknown ones are ignored, so that a later version can
 * add some. */

#include "cw-drop-wire.h"

#include <json-glib/json-glib.h>
#include <libsoup/soup.h>
#include <stdio.h>
#include <string.h>

#include "cw-json.h"
#include "cw-names.h"

#define ITEMS "/items/"
#define MAX_MESSAGE 300 /* characters of a peer's text that are kept */

typedef SoupMessageHeaders Headers;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Headers, soup_message_headers_unref)

static gboolean G_GNUC_PRINTF (2, 3) refuse (GError **error, const char *format, ...)
{
    va_list args;

    va_start (args, format);
    if (error != NULL)
        *error = g_error_new_valist (CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL, format, args);
    va_end (args);
    return FALSE;
}

static void G_GNUC_PRINTF (2, 3) append (GByteArray *to, const char *format, ...)
{
    char text[512];
    va_list args;
    int len;

    va_start (args, format);
    len = vsnprintf (text, sizeof text, format, args);
    va_end (args);
    g_assert (len >= 0 && (size_t)len < sizeof text);
    g_byte_array_append (to, (const guint8 *)text, (guint)len);
}

/* --- Values --- */

/* 1*DIGIT up to G_MAXINT64, of exactly @len bytes. */
static gboolean
parse_number (const char *text, size_t len, guint64 *ret)
{
    guint64 value = 0;

    if (len == 0 || len > 19)
        return FALSE;
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isdigit (text[i]))
            return FALSE;
        value = value * 10 + (guint64)(text[i] - '0');
    }
    if (value > G_MAXINT64)
        return FALSE;
    *ret = value;
    return TRUE;
}

static gboolean
parse_mode (const char *text, guint32 *ret)
{
    guint32 mode = 0;
    size_t len = strlen (text);

    if (len == 0 || len > 4)
        return FALSE;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '7')
            return FALSE;
        mode = mode << 3 | (guint32)(text[i] - '0');
    }
    *ret = mode;
    return TRUE;
}

/* Years that an int64 of nanoseconds holds. */
#define MAX_SECONDS (G_MAXINT64 / 1000000000 - 1)

/* ["-"] 1*DIGIT "." 9DIGIT: seconds since 1970, the fraction always added. */
static gboolean
parse_time (const char *text, gint64 *ret)
{
    gboolean negative = *text == '-';
    const char *digits = text + negative;
    const char *dot = strchr (digits, '.');
    guint64 seconds, ns;

    if (dot == NULL || !parse_number (digits, (size_t)(dot - digits), &seconds)
        || seconds > MAX_SECONDS || strlen (dot + 1) != 9 || !parse_number (dot + 1, 9, &ns))
        return FALSE;
    *ret = (negative ? -(gint64)seconds : (gint64)seconds) * 1000000000 + (gint64)ns;
    return TRUE;
}

static void
append_time (GByteArray *to, gint64 mtime_ns)
{
    gint64 seconds = mtime_ns / 1000000000, ns = mtime_ns % 1000000000;

    if (ns < 0) {
        seconds--;
        ns += 1000000000;
    }
    append (to, "Drop-Mtime: %" G_GINT64_FORMAT ".%09" G_GINT64_FORMAT "\r\n", seconds, ns);
}

/* "NAME=:BASE64:" as in RFC 9530, for exactly @size bytes. */
static gboolean
parse_digest (const char *text, const char *name, guint8 *ret, size_t size)
{
    size_t name_len = strlen (name), len = strlen (text);
    g_autofree char *base64 = NULL;
    g_autofree guint8 *bytes = NULL;
    gsize n;

    if (len < name_len + 4 || strncmp (text, name, name_len) != 0 || text[name_len] != '='
        || text[name_len + 1] != ':' || text[len - 1] != ':' || len - name_len - 3 > 64)
        return FALSE;
    base64 = g_strndup (text + name_len + 2, len - name_len - 3);
    bytes = g_base64_decode (base64, &n);
    if (n != size)
        return FALSE;
    memcpy (ret, bytes, size);
    return TRUE;
}

static void
append_digest (GByteArray *to, const char *header, const char *name, const guint8 *data, size_t len)
{
    g_autofree char *base64 = g_base64_encode (data, len);

    append (to, "%s: %s=:%s:\r\n", header, name, base64);
}

/* --- Heads --- */

static gboolean
is_clean_line (const char *line, size_t len)
{
    if (len == 0 || line[0] == ' ' || line[0] == ':')
        return FALSE;
    for (size_t i = 0; i < len; i++)
        if (line[i] < 0x20 || line[i] > 0x7e)
            return FALSE;
    return TRUE;
}

/* A field line has a name of token characters, then a colon. The first line of a head has not. */
static gboolean
is_field_line (const char *line, size_t len)
{
    const char *colon = memchr (line, ':', len);

    if (colon == NULL)
        return FALSE;
    for (const char *p = line; p < colon; p++)
        if (!g_ascii_isalnum (*p) && *p != '-' && *p != '_')
            return FALSE;
    return TRUE;
}

/* Every line ends with CRLF, the first (@first_is_field FALSE) is of another kind. */
static gboolean
check_lines (const char *head, size_t len, gboolean first_is_field, GError **error)
{
    gboolean is_field = first_is_field;

    if (len > CW_DROP_MAX_HEAD)
        return refuse (error, "a head of %" G_GSIZE_FORMAT " bytes", len);
    while (len > 0) {
        const char *end = memchr (head, '\n', len);
        size_t line_len;
        if (end == NULL || end == head || end[-1] != '\r')
            return refuse (error, "a line of a head has no end");
        line_len = (size_t)(end - head) - 1;
        if (!is_clean_line (head, line_len) || (is_field && !is_field_line (head, line_len)))
            return refuse (error, "a line of a head is malformed");
        is_field = TRUE;
        len -= line_len + 2;
        head += line_len + 2;
    }
    return TRUE;
}

typedef enum {
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_TRANSFER_ENCODING,
    FIELD_CONNECTION,
    FIELD_REPR_DIGEST,
    FIELD_MODE,
    FIELD_MTIME,
    FIELD_SIZE,
    FIELD_KEEP,
    FIELD_SPARSE,
    FIELD_DIGEST,
    FIELD_END,
    N_FIELDS,
} Field;

static const char *const field_names[] = {
    [FIELD_CONTENT_LENGTH] = "Content-Length",
    [FIELD_CONTENT_TYPE] = "Content-Type",
    [FIELD_TRANSFER_ENCODING] = "Transfer-Encoding",
    [FIELD_CONNECTION] = "Connection",
    [FIELD_REPR_DIGEST] = "Repr-Digest",
    [FIELD_MODE] = "Drop-Mode",
    [FIELD_MTIME] = "Drop-Mtime",
    [FIELD_SIZE] = "Drop-Size",
    [FIELD_KEEP] = "Drop-Keep",
    [FIELD_SPARSE] = "Drop-Sparse",
    [FIELD_DIGEST] = "Drop-Digest",
    [FIELD_END] = "Drop-End",
};
G_STATIC_ASSERT (G_N_ELEMENTS (field_names) == N_FIELDS);

/* Values borrowed from @headers; NULL for those that are not there. One that comes twice could be
 * read in two ways. */
static gboolean
take_fields (SoupMessageHeaders *headers, const char *ret[N_FIELDS], GError **error)
{
    SoupMessageHeadersIter iter;
    const char *name, *value;

    memset (ret, 0, N_FIELDS * sizeof ret[0]);
    soup_message_headers_iter_init (&iter, headers);
    while (soup_message_headers_iter_next (&iter, &name, &value)) {
        for (guint i = 0; i < N_FIELDS; i++) {
            if (g_ascii_strcasecmp (name, field_names[i]) != 0)
                continue;
            if (ret[i] != NULL)
                return refuse (error, "two values of %s", field_names[i]);
            ret[i] = value;
            break;
        }
    }
    return TRUE;
}

static gboolean
take_number (const char *const fields[N_FIELDS], Field field, guint64 *ret, GError **error)
{
    const char *value = fields[field];

    if (value != NULL && !parse_number (value, strlen (value), ret))
        return refuse (error, "%s is not a number", field_names[field]);
    return TRUE;
}

/* --- Requests --- */

void
cw_drop_request_clear (CwDropRequest *request)
{
    g_clear_pointer (&request->path, g_free);
}

/* Percent-decodes @text; NULL when no file can be called that. */
static char *
decode_path (const char *text)
{
    g_autofree char *path = g_malloc (strlen (text) + 1);
    size_t len = 0;

    for (; *text != '\0'; text++) {
        char c = *text;
        if (c == '%') {
            int high = g_ascii_xdigit_value (text[1]);
            int low = high < 0 ? -1 : g_ascii_xdigit_value (text[2]);
            if (low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            if (c == '\0' || c == '/')
                return NULL;
            text += 2;
        } else if (c == '/' && (len == 0 || path[len - 1] == '/')) {
            return NULL;
        }
        path[len++] = c;
    }
    if (len == 0 || len > CW_DROP_MAX_PATH || path[len - 1] == '/')
        return NULL;
    path[len] = '\0';
    return g_steal_pointer (&path);
}

static void
append_path (GByteArray *to, const char *path)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[3 * CW_DROP_MAX_PATH];
    size_t len = 0;

    for (const char *p = path; *p != '\0'; p++) {
        guint8 c = (guint8)*p;
        g_assert (len + 3 <= sizeof text);
        if (g_ascii_isalnum (*p) || strchr ("/-._~!$&'()*+,;=:@", *p) != NULL) {
            text[len++] = *p;
        } else {
            text[len++] = '%';
            text[len++] = hex[c >> 4];
            text[len++] = hex[c & 15];
        }
    }
    g_byte_array_append (to, (const guint8 *)text, (guint)len);
}

static gboolean
parse_target (const char *method, const char *target, CwDropRequest *request, GError **error)
{
    gboolean is_item = g_str_has_prefix (target, ITEMS);

    if (is_item && strcmp (method, "PUT") == 0)
        request->kind = CW_DROP_REQUEST_ITEM;
    else if (is_item && strcmp (method, "HEAD") == 0)
        request->kind = CW_DROP_REQUEST_LOOK;
    else if (strcmp (method, "POST") == 0 && strcmp (target, "/offer") == 0)
        request->kind = CW_DROP_REQUEST_OFFER;
    else if (strcmp (method, "POST") == 0 && strcmp (target, "/done") == 0)
        request->kind = CW_DROP_REQUEST_DONE;
    else if (strcmp (method, "DELETE") == 0 && strcmp (target, "/offer") == 0)
        request->kind = CW_DROP_REQUEST_CANCEL;
    else
        return refuse (error, "a request that drop/1 does not have");
    if (is_item)
        request->path = decode_path (target + strlen (ITEMS));
    return TRUE;
}

static const char *const type_names[] = {
    [CW_DROP_TYPE_FILE] = "application/octet-stream",
    [CW_DROP_TYPE_FOLDER] = "inode/directory",
    [CW_DROP_TYPE_SYMLINK] = "inode/symlink",
};

static gboolean
parse_type (const char *value, CwDropType *ret)
{
    for (guint i = 0; value != NULL && i < G_N_ELEMENTS (type_names); i++) {
        if (strcmp (value, type_names[i]) == 0) {
            *ret = (CwDropType)i;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
parse_item (const char *const fields[N_FIELDS], CwDropRequest *request, GError **error)
{
    guint64 size = 0;

    if (!parse_type (fields[FIELD_CONTENT_TYPE], &request->type))
        return refuse (error, "an item of unknown type");
    if (request->chunked != (request->type == CW_DROP_TYPE_FILE))
        return refuse (error, "an item is framed as its type is not");
    request->has_mode = fields[FIELD_MODE] != NULL;
    if (request->has_mode && !parse_mode (fields[FIELD_MODE], &request->mode))
        return refuse (error, "Drop-Mode is malformed");
    if (fields[FIELD_MTIME] != NULL && !parse_time (fields[FIELD_MTIME], &request->mtime_ns))
        return refuse (error, "Drop-Mtime is malformed");
    if (!take_number (fields, FIELD_SIZE, &size, error)
        || !take_number (fields, FIELD_KEEP, &request->keep, error))
        return FALSE;
    request->size = fields[FIELD_SIZE] != NULL ? (gint64)size : -1;
    request->sparse = g_strcmp0 (fields[FIELD_SPARSE], "?1") == 0;
    if (request->keep > 0 && (request->size < 0 || request->keep > (guint64)request->size))
        return refuse (error, "Drop-Keep is more than the size");
    return TRUE;
}

/* How long the content is, by kind: no request may hide another one in its content. */
static gboolean
check_content (const CwDropRequest *request, gboolean has_length, GError **error)
{
    guint64 max = request->kind == CW_DROP_REQUEST_OFFER ? CW_DROP_MAX_OFFER
                  : request->kind == CW_DROP_REQUEST_ITEM && request->type == CW_DROP_TYPE_SYMLINK
                      ? CW_DROP_MAX_LINK
                      : 0;

    if (request->chunked && (request->kind != CW_DROP_REQUEST_ITEM || has_length))
        return refuse (error, "a request's length is stated in two ways");
    if (request->length > max)
        return refuse (error,
                       "%" G_GUINT64_FORMAT " bytes of content where %" G_GUINT64_FORMAT
                       " are the limit",
                       request->length, max);
    return TRUE;
}

static gboolean
parse_request (SoupMessageHeaders *headers,
               const char *method,
               const char *target,
               CwDropRequest *request,
               GError **error)
{
    const char *fields[N_FIELDS];
    const char *encoding;

    if (!take_fields (headers, fields, error) || !parse_target (method, target, request, error)
        || !take_number (fields, FIELD_CONTENT_LENGTH, &request->length, error))
        return FALSE;
    encoding = fields[FIELD_TRANSFER_ENCODING];
    request->chunked = encoding != NULL;
    if (encoding != NULL && strcmp (encoding, "chunked") != 0)
        return refuse (error, "an unknown transfer coding");
    if (request->kind == CW_DROP_REQUEST_ITEM && !parse_item (fields, request, error))
        return FALSE;
    return check_content (request, fields[FIELD_CONTENT_LENGTH] != NULL, error);
}

gboolean
cw_drop_request_parse (const char *head, size_t len, CwDropRequest *ret, GError **error)
{
    g_autoptr (Headers) headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_REQUEST);
    g_auto (CwDropRequest) request = { .mtime_ns = G_MININT64, .size = -1 };
    g_autofree char *method = NULL;
    g_autofree char *target = NULL;
    SoupHTTPVersion version;

    memset (ret, 0, sizeof *ret);
    if (!check_lines (head, len, FALSE, error))
        return FALSE;
    if (soup_headers_parse_request (head, (int)len, headers, &method, &target, &version) != 200
        || version != SOUP_HTTP_1_1)
        return refuse (error, "the head of a request is malformed");
    if (!parse_request (headers, method, target, &request, error))
        return FALSE;
    *ret = request;
    request.path = NULL;
    return TRUE;
}

static void
append_item (GByteArray *to, const CwDropRequest *request)
{
    append (to, "Content-Type: %s\r\n", type_names[request->type]);
    if (request->has_mode)
        append (to, "Drop-Mode: %o\r\n", request->mode & 07777);
    if (request->mtime_ns != G_MININT64)
        append_time (to, request->mtime_ns);
    if (request->size >= 0)
        append (to, "Drop-Size: %" G_GINT64_FORMAT "\r\n", request->size);
    if (request->keep > 0)
        append (to, "Drop-Keep: %" G_GUINT64_FORMAT "\r\n", request->keep);
    if (request->sparse)
        append (to, "Drop-Sparse: ?1\r\n");
}

void
cw_drop_request_append (GByteArray *to, const CwDropRequest *request)
{
    static const char *const starts[] = {
        [CW_DROP_REQUEST_OFFER] = "POST /offer",    [CW_DROP_REQUEST_LOOK] = "HEAD " ITEMS,
        [CW_DROP_REQUEST_ITEM] = "PUT " ITEMS,      [CW_DROP_REQUEST_DONE] = "POST /done",
        [CW_DROP_REQUEST_CANCEL] = "DELETE /offer",
    };

    append (to, "%s", starts[request->kind]);
    if (request->path != NULL)
        append_path (to, request->path);
    append (to, " HTTP/1.1\r\nHost:\r\n");
    if (request->kind == CW_DROP_REQUEST_OFFER)
        append (to, "Content-Type: application/json\r\n");
    if (request->kind == CW_DROP_REQUEST_ITEM)
        append_item (to, request);
    if (request->chunked)
        append (to, "Transfer-Encoding: chunked\r\n");
    else if (request->kind != CW_DROP_REQUEST_LOOK && request->kind != CW_DROP_REQUEST_CANCEL)
        append (to, "Content-Length: %" G_GUINT64_FORMAT "\r\n", request->length);
    append (to, "\r\n");
}

/* --- Responses --- */

gboolean
cw_drop_response_parse (const char *head, size_t len, CwDropResponse *ret, GError **error)
{
    g_autoptr (Headers) headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_RESPONSE);
    CwDropResponse response = { 0 };
    const char *fields[N_FIELDS];
    g_autofree char *reason = NULL;
    SoupHTTPVersion version;

    if (!check_lines (head, len, FALSE, error))
        return FALSE;
    if (!soup_headers_parse_response (head, (int)len, headers, &version, &response.status, &reason)
        || version != SOUP_HTTP_1_1 || response.status < 100 || response.status > 599)
        return refuse (error, "the head of a response is malformed");
    if (!take_fields (headers, fields, error)
        || !take_number (fields, FIELD_CONTENT_LENGTH, &response.length, error))
        return FALSE;
    if (fields[FIELD_TRANSFER_ENCODING] != NULL)
        return refuse (error, "a response in a transfer coding");
    response.close = fields[FIELD_CONNECTION] != NULL
                     && g_ascii_strcasecmp (fields[FIELD_CONNECTION], "close") == 0;
    if (fields[FIELD_REPR_DIGEST] != NULL) {
        if (!parse_digest (fields[FIELD_REPR_DIGEST], "sha-256", response.sha256, 32))
            return refuse (error, "Repr-Digest is malformed");
        response.has_sha256 = TRUE;
    }
    *ret = response;
    return TRUE;
}

static const char *
reason_of (guint status)
{
    switch (status) {
    case CW_DROP_STATUS_PROCESSING:
        return "Processing";
    case CW_DROP_STATUS_OK:
        return "OK";
    case CW_DROP_STATUS_NO_CONTENT:
        return "No Content";
    default:
        return soup_status_get_phrase (status);
    }
}

void
cw_drop_response_append (GByteArray *to, const CwDropResponse *response)
{
    append (to, "HTTP/1.1 %u %s\r\n", response->status, reason_of (response->status));
    if (response->close)
        append (to, "Connection: close\r\n");
    if (response->has_sha256)
        append_digest (to, "Repr-Digest", "sha-256", response->sha256, 32);
    if (response->status >= 200 && response->status != CW_DROP_STATUS_NO_CONTENT)
        append (to, "Content-Length: %" G_GUINT64_FORMAT "\r\n", response->length);
    append (to, "\r\n");
}

/* --- Problems --- */

static const struct {
    CwDropError code;
    guint status;
    const char *name;
} problems[] = {
    { CW_DROP_ERROR_DECLINED, 403, "declined" },
    { CW_DROP_ERROR_PEER_CANCELLED, 410, "cancelled" },
    { CW_DROP_ERROR_PEER_FAILED, 500, "failed" },
    { CW_DROP_ERROR_PROTOCOL, 400, "protocol" },
    { CW_DROP_ERROR_VERIFY, 422, "verify" },
    { CW_DROP_ERROR_SOURCE_UNREADABLE, 422, "source-unreadable" },
    { CW_DROP_ERROR_SOURCE_CHANGED, 422, "source-changed" },
    { CW_DROP_ERROR_NO_SPACE, 507, "no-space" },
    { CW_DROP_ERROR_NO_PERMISSION, 500, "no-permission" },
    { CW_DROP_ERROR_TARGET_GONE, 500, "target-gone" },
    { CW_DROP_ERROR_BAD_NAME, 422, "bad-name" },
    { CW_DROP_ERROR_BAD_LINK, 422, "bad-link" },
    { CW_DROP_ERROR_TOO_LARGE, 413, "too-large" },
    { CW_DROP_ERROR_BUSY, 409, "busy" },
    { CW_DROP_ERROR_STORE, 500, "store" },
    { CW_DROP_ERROR_UNSUPPORTED, 415, "unsupported" },
};

#define PROBLEM_FAILED 2

static guint
find_problem (const GError *problem)
{
    if (g_error_matches (problem, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return 1;
    for (guint i = 0; i < G_N_ELEMENTS (problems); i++)
        if (g_error_matches (problem, CW_DROP_ERROR, (int)problems[i].code))
            return i;
    return PROBLEM_FAILED;
}

void
cw_drop_problem_append (GByteArray *to, const GError *problem, gboolean close)
{
    guint index = find_problem (problem);
    g_autofree char *message = cw_name_dup_display (problem->message, MAX_MESSAGE);
    g_autoptr (JsonBuilder) builder = json_builder_new ();
    g_autoptr (JsonNode) root = NULL;
    g_autofree char *json = NULL;
    CwDropResponse response = { .status = problems[index].status, .close = close };

    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "error");
    json_builder_add_string_value (builder, problems[index].name);
    json_builder_set_member_name (builder, "message");
    json_builder_add_string_value (builder, message);
    json_builder_end_object (builder);
    root = json_builder_get_root (builder);
    json = json_to_string (root, FALSE);
    response.length = strlen (json);
    cw_drop_response_append (to, &response);
    g_byte_array_append (to, (const guint8 *)json, (guint)response.length);
}

GError *
cw_drop_problem_parse (guint status, const char *json, size_t len)
{
    g_autoptr (JsonNode) root = len > 0 ? cw_json_parse_object (json, len, NULL) : NULL;
    JsonObject *object = root != NULL ? json_node_get_object (root) : NULL;
    const char *name = object != NULL ? cw_json_get_string (object, "error") : NULL;
    const char *text = object != NULL ? cw_json_get_string (object, "message") : NULL;
    g_autofree char *message = NULL;

    if (text == NULL || *text == '\0')
        return g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED,
                            "the other side answered %u without a reason", status);
    message = cw_name_dup_display (text, MAX_MESSAGE);
    for (guint i = 0; name != NULL && i < G_N_ELEMENTS (problems); i++)
        if (strcmp (name, problems[i].name) == 0)
            return g_error_new_literal (CW_DROP_ERROR, (int)problems[i].code, message);
    return g_error_new_literal (CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED, message);
}

/* --- The content of a file --- */

/* 1*16HEXDIG, then ";at=NUMBER" or ";idle" or nothing. Other extensions would be skipped by any
 * HTTP reader, and so could not mean anything; they are refused. */
gboolean
cw_drop_chunk_parse (const char *line, size_t len, CwDropChunk *ret, GError **error)
{
    CwDropChunk chunk = { .at = -1 };
    guint64 at;
    size_t n = 0;

    for (; n < len && g_ascii_isxdigit (line[n]); n++) {
        if (n == 16 || chunk.size > CW_DROP_MAX_CHUNK)
            return refuse (error, "a chunk is too large");
        chunk.size = chunk.size << 4 | (guint64)g_ascii_xdigit_value (line[n]);
    }
    if (n == 0)
        return refuse (error, "a chunk without a size");
    if (chunk.size > CW_DROP_MAX_CHUNK)
        return refuse (error, "a chunk is too large");
    if (len - n == 5 && memcmp (line + n, ";idle", 5) == 0) {
        chunk.idle = TRUE;
    } else if (len - n > 4 && memcmp (line + n, ";at=", 4) == 0) {
        if (!parse_number (line + n + 4, len - n - 4, &at))
            return refuse (error, "a chunk's place is not a number");
        chunk.at = (gint64)at;
    } else if (len != n) {
        return refuse (error, "an unknown chunk extension");
    }
    if (chunk.size == 0 && len != n)
        return refuse (error, "the last chunk has an extension");
    *ret = chunk;
    return TRUE;
}

static const char *const end_names[] = {
    [CW_DROP_END_COMPLETE] = "complete",
    [CW_DROP_END_CHANGED] = "changed",
    [CW_DROP_END_UNREADABLE] = "unreadable",
    [CW_DROP_END_STOPPED] = "stopped",
};

static gboolean
parse_end (const char *value, CwDropEnd *ret)
{
    for (guint i = 0; value != NULL && i < G_N_ELEMENTS (end_names); i++) {
        if (strcmp (value, end_names[i]) == 0) {
            *ret = (CwDropEnd)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
cw_drop_trailer_parse (const char *lines, size_t len, CwDropTrailer *ret, GError **error)
{
    g_autoptr (Headers) headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_REQUEST);
    g_autofree char *head = NULL;
    const char *fields[N_FIELDS];
    CwDropTrailer trailer = { 0 };

    if (!check_lines (lines, len, TRUE, error))
        return FALSE;
    /* The parser skips the first line, which is a head's own. */
    head = g_malloc (len + 2);
    memcpy (head, "\r\n", 2);
    memcpy (head + 2, lines, len);
    if (!soup_headers_parse (head, (int)len + 2, headers))
        return refuse (error, "trailers are malformed");
    if (!take_fields (headers, fields, error))
        return FALSE;
    if (!parse_end (fields[FIELD_END], &trailer.end))
        return refuse (error, "an item ended without saying how");
    if (trailer.end == CW_DROP_END_COMPLETE) {
        if (fields[FIELD_DIGEST] == NULL || fields[FIELD_SIZE] == NULL
            || !parse_digest (fields[FIELD_DIGEST], "xxh3-128", trailer.digest, 16)
            || !take_number (fields, FIELD_SIZE, &trailer.size, error))
            return error != NULL && *error != NULL
                       ? FALSE
                       : refuse (error, "an item ended without size and digest");
    }
    *ret = trailer;
    return TRUE;
}

void
cw_drop_trailer_append (GByteArray *to, const CwDropTrailer *trailer)
{
    append (to, "0\r\nDrop-End: %s\r\n", end_names[trailer->end]);
    if (trailer->end == CW_DROP_END_COMPLETE) {
        append (to, "Drop-Size: %" G_GUINT64_FORMAT "\r\n", trailer->size);
        append_digest (to, "Drop-Digest", "xxh3-128", trailer->digest, sizeof trailer->digest);
    }
    append (to, "\r\n");
}
