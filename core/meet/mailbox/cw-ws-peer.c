/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* States: HEAD until a blank line ends the request, then OPEN or, for anything that is no upgrade,
 * CLOSING with an answer queued. In OPEN, frames are taken apart byte by byte: header, mask and
 * payload are never kept as they came, so there is no receive buffer, only the message that is
 * being put together. */

#include "cw-ws-peer.h"

#include <libsoup/soup.h>
#include <string.h>

#include "cw-bytes.h"

/* RFC 6455, 1.3 */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define MAX_HEAD 8192
#define MAX_CONTROL 125
#define MAX_HEADER 14
/* Sent bytes at the front of the queue are cut off when there are so many, and at its end. */
#define COMPACT (64 * 1024)

enum {
    OPCODE_CONTINUATION = 0,
    OPCODE_TEXT = 1,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10,
};

enum {
    CODE_NORMAL = 1000,
    CODE_PROTOCOL = 1002,
    CODE_NOT_UTF8 = 1007,
    CODE_TOO_BIG = 1009,
};

typedef enum {
    STATE_HEAD,
    STATE_OPEN,
    STATE_CLOSING,
} State;

struct _CwWsPeer {
    const char *path;
    const char *greeting;
    gsize max_message;
    State state;
    GByteArray *out; /* NULL while there is nothing to send */
    gsize out_sent;
    GString *text;       /* the request's head, then the message under way; NULL: none */
    gboolean delivered;  /* text is the last event's message */
    gboolean in_message; /* a first fragment came, its last did not */
    guint8 header[MAX_HEADER];
    guint header_len;
    gboolean in_payload;
    guint64 payload_left;
    guint mask_at;
    guint8 control[MAX_CONTROL];
    guint control_len;
};

CwWsPeer *
cw_ws_peer_new (const char *path, const char *greeting, gsize max_message)
{
    CwWsPeer *self = g_new0 (CwWsPeer, 1);

    self->path = path;
    self->greeting = greeting;
    self->max_message = max_message;
    return self;
}

static void
clear_text (CwWsPeer *self)
{
    if (self->text != NULL)
        g_string_free (self->text, TRUE);
    self->text = NULL;
    self->delivered = FALSE;
}

void
cw_ws_peer_free (CwWsPeer *self)
{
    clear_text (self);
    g_clear_pointer (&self->out, g_byte_array_unref);
    g_free (self);
}

/* Output */

static void
queue_bytes (CwWsPeer *self, const void *data, gsize len)
{
    if (self->out == NULL)
        self->out = g_byte_array_new ();
    g_byte_array_append (self->out, data, (guint)len);
}

static void
queue_frame (CwWsPeer *self, guint8 opcode, const void *data, gsize len)
{
    guint8 header[10] = { 0x80 | opcode };
    gsize header_len = 2;

    if (len < 126) {
        header[1] = (guint8)len;
    } else if (len <= G_MAXUINT16) {
        header[1] = 126;
        cw_store_be16 (header + 2, (guint16)len);
        header_len = 4;
    } else {
        header[1] = 127;
        cw_store_be64 (header + 2, len);
        header_len = 10;
    }
    queue_bytes (self, header, header_len);
    queue_bytes (self, data, len);
}

void
cw_ws_peer_send_text (CwWsPeer *self, const char *text, gsize len)
{
    if (self->state == STATE_OPEN)
        queue_frame (self, OPCODE_TEXT, text, len);
}

void
cw_ws_peer_send_ping (CwWsPeer *self)
{
    if (self->state == STATE_OPEN)
        queue_frame (self, OPCODE_PING, "", 0);
}

void
cw_ws_peer_close (CwWsPeer *self, guint16 code)
{
    guint8 body[2];

    cw_store_be16 (body, code);
    if (self->state == STATE_OPEN)
        queue_frame (self, OPCODE_CLOSE, body, sizeof body);
    self->state = STATE_CLOSING;
    clear_text (self);
}

const guint8 *
cw_ws_peer_peek (const CwWsPeer *self, gsize *ret_len)
{
    *ret_len = self->out != NULL ? self->out->len - self->out_sent : 0;
    return self->out != NULL ? self->out->data + self->out_sent : NULL;
}

void
cw_ws_peer_sent (CwWsPeer *self, gsize len)
{
    if (self->out == NULL)
        return;
    self->out_sent += len;
    if (self->out_sent == self->out->len) {
        g_clear_pointer (&self->out, g_byte_array_unref);
        self->out_sent = 0;
    } else if (self->out_sent >= COMPACT) {
        g_byte_array_remove_range (self->out, 0, (guint)self->out_sent);
        self->out_sent = 0;
    }
}

gsize
cw_ws_peer_get_memory (const CwWsPeer *self)
{
    return (self->out != NULL ? self->out->len : 0)
           + (self->text != NULL ? self->text->allocated_len : 0);
}

gboolean
cw_ws_peer_is_open (const CwWsPeer *self)
{
    return self->state == STATE_OPEN;
}

gboolean
cw_ws_peer_is_closing (const CwWsPeer *self)
{
    return self->state == STATE_CLOSING;
}

/* The request */

static void
answer_http (CwWsPeer *self, const char *status, const char *body)
{
    g_autofree char *text
        = g_strdup_printf ("HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                           "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                           status, strlen (body), body);

    queue_bytes (self, text, strlen (text));
    self->state = STATE_CLOSING;
}

static char *
dup_accept_key (const char *key)
{
    g_autoptr (GChecksum) sha1 = g_checksum_new (G_CHECKSUM_SHA1);
    guint8 digest[20];
    gsize len = sizeof digest;

    g_checksum_update (sha1, (const guchar *)key, -1);
    g_checksum_update (sha1, (const guchar *)ACCEPT_GUID, -1);
    g_checksum_get_digest (sha1, digest, &len);
    return g_base64_encode (digest, len);
}

static void
answer_upgrade (CwWsPeer *self, SoupMessageHeaders *headers)
{
    const char *key = soup_message_headers_get_one (headers, "Sec-WebSocket-Key");
    const char *version = soup_message_headers_get_one (headers, "Sec-WebSocket-Version");
    g_autofree char *accept = NULL;
    g_autofree char *text = NULL;

    if (!soup_message_headers_header_contains (headers, "Upgrade", "websocket")
        || !soup_message_headers_header_contains (headers, "Connection", "upgrade")
        || key == NULL) {
        answer_http (self, "426 Upgrade Required\r\nUpgrade: websocket",
                     "This address speaks WebSocket only.\n");
        return;
    }
    if (version == NULL || !g_str_equal (version, "13")) {
        answer_http (self, "426 Upgrade Required\r\nSec-WebSocket-Version: 13",
                     "This server speaks version 13 of WebSocket.\n");
        return;
    }
    accept = dup_accept_key (key);
    text = g_strdup_printf ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                            accept);
    queue_bytes (self, text, strlen (text));
    self->state = STATE_OPEN;
}

static void
answer_head (CwWsPeer *self)
{
    SoupMessageHeaders *headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_REQUEST);
    g_autofree char *method = NULL;
    g_autofree char *path = NULL;
    SoupHTTPVersion version;
    guint status = soup_headers_parse_request (self->text->str, (int)self->text->len, headers,
                                               &method, &path, &version);
    char *query = path != NULL ? strchr (path, '?') : NULL;

    if (query != NULL)
        *query = '\0';
    if (status != SOUP_STATUS_OK)
        answer_http (self, "400 Bad Request", "This is not HTTP.\n");
    else if (!g_str_equal (method, "GET"))
        answer_http (self, "405 Method Not Allowed\r\nAllow: GET", "Only GET works here.\n");
    else if (g_str_equal (path, "/"))
        answer_http (self, "200 OK", self->greeting);
    else if (g_str_equal (path, self->path))
        answer_upgrade (self, headers);
    else
        answer_http (self, "404 Not Found", "There is nothing here.\n");
    soup_message_headers_unref (headers);
}

static CwWsEvent
receive_head (CwWsPeer *self, const guint8 **data, gsize *len)
{
    if (self->text == NULL)
        self->text = g_string_new (NULL);
    while (*len > 0) {
        g_string_append_c (self->text, (char)**data);
        (*data)++;
        (*len)--;
        if (self->text->len >= 4
            && memcmp (self->text->str + self->text->len - 4, "\r\n\r\n", 4) == 0) {
            /* The parser wants the head without the blank line. */
            g_string_truncate (self->text, self->text->len - 2);
            answer_head (self);
            clear_text (self);
            return self->state == STATE_OPEN ? CW_WS_OPEN : CW_WS_CLOSING;
        }
        if (self->text->len >= MAX_HEAD) {
            answer_http (self, "431 Request Header Fields Too Large", "Too much to read.\n");
            clear_text (self);
            return CW_WS_CLOSING;
        }
    }
    return CW_WS_MORE;
}

/* Frames */

static guint8
frame_opcode (const CwWsPeer *self)
{
    return self->header[0] & 0x0f;
}

static gboolean
frame_is_last (const CwWsPeer *self)
{
    return (self->header[0] & 0x80) != 0;
}

static gboolean
frame_is_control (const CwWsPeer *self)
{
    return (self->header[0] & 0x08) != 0;
}

/* Two bytes, 0, 2 or 8 of length, 4 of mask. */
static guint
header_wanted (const CwWsPeer *self)
{
    if (self->header_len < 2)
        return 2;
    switch (self->header[1] & 0x7f) {
    case 126:
        return 2 + 2 + 4;
    case 127:
        return 2 + 8 + 4;
    default:
        return 2 + 4;
    }
}

static guint64
header_length (const CwWsPeer *self)
{
    switch (self->header[1] & 0x7f) {
    case 126:
        return cw_load_be16 (self->header + 2);
    case 127:
        return cw_load_be64 (self->header + 2);
    default:
        return self->header[1] & 0x7f;
    }
}

/* 0, or the code to close with. */
static guint16
check_header (const CwWsPeer *self, guint64 length)
{
    guint8 opcode = frame_opcode (self);
    gsize held = self->text != NULL ? self->text->len : 0;

    if ((self->header[0] & 0x70) != 0 || (self->header[1] & 0x80) == 0)
        return CODE_PROTOCOL;
    if (frame_is_control (self)) {
        gboolean known = opcode == OPCODE_CLOSE || opcode == OPCODE_PING || opcode == OPCODE_PONG;
        return known && frame_is_last (self) && length <= MAX_CONTROL ? 0 : CODE_PROTOCOL;
    }
    if (opcode > OPCODE_BINARY || (opcode == OPCODE_CONTINUATION) != self->in_message)
        return CODE_PROTOCOL;
    return length <= self->max_message - held ? 0 : CODE_TOO_BIG;
}

/* FALSE: the header has not come whole, or it was the last straw. */
static gboolean
receive_header (CwWsPeer *self, const guint8 **data, gsize *len)
{
    guint16 code;

    while (self->header_len < header_wanted (self)) {
        if (*len == 0)
            return FALSE;
        self->header[self->header_len++] = **data;
        (*data)++;
        (*len)--;
    }
    self->payload_left = header_length (self);
    code = check_header (self, self->payload_left);
    if (code != 0) {
        cw_ws_peer_close (self, code);
        return FALSE;
    }
    self->in_payload = TRUE;
    self->mask_at = 0;
    self->control_len = 0;
    if (!frame_is_control (self) && self->text == NULL)
        self->text = g_string_new (NULL);
    return TRUE;
}

static void
receive_payload (CwWsPeer *self, const guint8 **data, gsize *len)
{
    gsize n = (gsize)MIN (self->payload_left, *len);
    const guint8 *mask = self->header + header_wanted (self) - 4;
    guint8 *target;

    if (frame_is_control (self)) {
        target = self->control + self->control_len;
        self->control_len += (guint)n;
    } else {
        gsize at = self->text->len;
        g_string_set_size (self->text, at + n);
        target = (guint8 *)self->text->str + at;
    }
    for (gsize i = 0; i < n; i++)
        target[i] = (*data)[i] ^ mask[(self->mask_at + i) & 3];
    self->mask_at = (guint)((self->mask_at + n) & 3);
    self->payload_left -= n;
    *data += n;
    *len -= n;
}

static CwWsEvent
end_of_control (CwWsPeer *self)
{
    switch (frame_opcode (self)) {
    case OPCODE_CLOSE:
        cw_ws_peer_close (self, CODE_NORMAL);
        return CW_WS_CLOSING;
    case OPCODE_PING:
        queue_frame (self, OPCODE_PONG, self->control, self->control_len);
        return CW_WS_MORE;
    default:
        return CW_WS_MORE;
    }
}

static CwWsEvent
end_of_frame (CwWsPeer *self)
{
    self->in_payload = FALSE;
    self->header_len = 0;
    if (frame_is_control (self))
        return end_of_control (self);
    self->in_message = !frame_is_last (self);
    if (self->in_message)
        return CW_WS_MORE;
    if (!g_utf8_validate (self->text->str, (gssize)self->text->len, NULL)) {
        cw_ws_peer_close (self, CODE_NOT_UTF8);
        return CW_WS_CLOSING;
    }
    self->delivered = TRUE;
    return CW_WS_MESSAGE;
}

static CwWsEvent
receive_frames (CwWsPeer *self, const guint8 **data, gsize *len)
{
    CwWsEvent event = CW_WS_MORE;

    while (event == CW_WS_MORE) {
        if (!self->in_payload && !receive_header (self, data, len))
            return self->state == STATE_CLOSING ? CW_WS_CLOSING : CW_WS_MORE;
        receive_payload (self, data, len);
        if (self->payload_left > 0)
            return CW_WS_MORE;
        event = end_of_frame (self);
    }
    return event;
}

CwWsEvent
cw_ws_peer_receive (CwWsPeer *self, const guint8 **data, gsize *len)
{
    if (self->delivered)
        clear_text (self);
    switch (self->state) {
    case STATE_HEAD:
        return receive_head (self, data, len);
    case STATE_OPEN:
        return receive_frames (self, data, len);
    case STATE_CLOSING:
        break;
    }
    *data += *len;
    *len = 0;
    return CW_WS_CLOSING;
}

const char *
cw_ws_peer_get_message (const CwWsPeer *self, gsize *ret_len)
{
    *ret_len = self->text->len;
    return self->text->str;
}
