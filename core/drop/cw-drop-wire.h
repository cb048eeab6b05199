/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* drop/1 on the wire: request and response heads, chunk lines, trailers, problems. Pure; the
 * specification is DROP-PROTOCOL.md. Parsers take what a peer sent, without the empty line that
 * ends a head; what they refuse with CW_DROP_ERROR_PROTOCOL leaves the stream without framing, so
 * there is nothing to do but close it. */

#include <glib.h>

#include "cw-drop-error.h"

G_BEGIN_DECLS

#define CW_DROP_HELLO "drop/1\r\n"
#define CW_DROP_MAX_HEAD 16384    /* bytes of a head or of trailers */
#define CW_DROP_MAX_PATH 4096     /* bytes of an item's path */
#define CW_DROP_MAX_LINK 4095     /* bytes of a symlink's target */
#define CW_DROP_MAX_OFFER 4194304 /* bytes of an offer */
#define CW_DROP_MAX_ANSWER 65536  /* bytes of a response's content */
#define CW_DROP_MAX_CHUNK_LINE 64
#define CW_DROP_MAX_CHUNK 16777216
/* Who owes the other nothing but time shows every so often that it is there. */
#define CW_DROP_ALIVE_SECONDS 15

/* --- Requests --- */

typedef enum {
    CW_DROP_REQUEST_OFFER,  /* POST /offer */
    CW_DROP_REQUEST_LOOK,   /* HEAD /items/PATH: what is there of it? */
    CW_DROP_REQUEST_ITEM,   /* PUT /items/PATH */
    CW_DROP_REQUEST_DONE,   /* POST /done */
    CW_DROP_REQUEST_CANCEL, /* DELETE /offer */
} CwDropRequestKind;

typedef enum {
    CW_DROP_TYPE_FILE,    /* application/octet-stream */
    CW_DROP_TYPE_FOLDER,  /* inode/directory */
    CW_DROP_TYPE_SYMLINK, /* inode/symlink */
} CwDropType;

typedef struct {
    CwDropRequestKind kind;
    char *path; /* LOOK, ITEM: the bytes of it; NULL: it has an impossible one, and only it fails */
    guint64 length;   /* Content-Length; 0 when chunked */
    gboolean chunked; /* files only */
    /* ITEM: */
    CwDropType type;
    gboolean has_mode; /* a folder's PUT with a mode finishes it */
    guint32 mode;
    gint64 mtime_ns; /* G_MININT64: not stated */
    gint64 size;     /* -1: not known */
    guint64 keep;    /* bytes of it that are there already */
    gboolean sparse;
} CwDropRequest;

void cw_drop_request_clear (CwDropRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CwDropRequest, cw_drop_request_clear)

/* *@ret is left empty on failure. */
gboolean cw_drop_request_parse (const char *head, size_t len, CwDropRequest *ret, GError **error);
/* With the empty line. @request must be one that parse() would give. */
void cw_drop_request_append (GByteArray *to, const CwDropRequest *request);

/* --- Responses --- */

#define CW_DROP_STATUS_PROCESSING 102
#define CW_DROP_STATUS_OK 200
#define CW_DROP_STATUS_NO_CONTENT 204
#define CW_DROP_STATUS_NOT_FOUND 404

typedef struct {
    guint status;
    guint64 length; /* Content-Length; of content that follows unless this answers a HEAD */
    gboolean close; /* the last response */
    gboolean has_sha256;
    guint8 sha256[32]; /* Repr-Digest */
} CwDropResponse;

gboolean cw_drop_response_parse (const char *head, size_t len, CwDropResponse *ret, GError **error);
void cw_drop_response_append (GByteArray *to, const CwDropResponse *response);

/* What went wrong, from one side to the other: a response of its status, with JSON content. @close:
 * it ends the stream. */
void cw_drop_problem_append (GByteArray *to, const GError *problem, gboolean close);
/* Never NULL: whatever cannot be read is CW_DROP_ERROR_PEER_FAILED. */
GError *cw_drop_problem_parse (guint status, const char *json, size_t len);

/* --- The content of a file --- */

typedef struct {
    guint64 size;  /* 0: the last one, trailers follow */
    gint64 at;     /* where in the file it belongs; -1: behind the one before */
    gboolean idle; /* says only that the sender is alive */
} CwDropChunk;

/* @line: without its CRLF. */
gboolean cw_drop_chunk_parse (const char *line, size_t len, CwDropChunk *ret, GError **error);

/* How a file ended. */
typedef enum {
    CW_DROP_END_COMPLETE,
    CW_DROP_END_CHANGED,    /* it changed while it was read */
    CW_DROP_END_UNREADABLE, /* it could not be read (to the end) */
    CW_DROP_END_STOPPED,    /* the receiver refused it already, or the sender was stopped */
} CwDropEnd;

typedef struct {
    CwDropEnd end;
    guint64 size;      /* COMPLETE: the file's length */
    guint8 digest[16]; /* COMPLETE: XXH3-128 as DROP-PROTOCOL.md has it */
} CwDropTrailer;

gboolean cw_drop_trailer_parse (const char *lines, size_t len, CwDropTrailer *ret, GError **error);
/* The last chunk, the trailers and the empty line. */
void cw_drop_trailer_append (GByteArray *to, const CwDropTrailer *trailer);

G_END_DECLS
