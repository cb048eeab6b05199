/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Codes: "7-crossover-clockwork", their words and their completion. Pure. */

#include <glib.h>

G_BEGIN_DECLS

/* What a person typed, pasted or read in a link, as the code both sides must agree on: surrounding
 * blanks go, blanks between become "-", lower case, Unicode NFC; "wormhole-transfer:" URIs are
 * taken apart (the role must be the default, unknown query keys are refused, a rendezvous server
 * goes to @ret_mailbox as "ws://HOST:PORT/v1" or is NULL). NULL and CW_MAILBOX_ERROR_BAD_CODE with
 * a sentence-like reason otherwise. @ret_mailbox may be NULL. Free with g_free(). */
char *cw_code_normalize (const char *text, char **ret_mailbox, GError **error);

/* The number in front, or NULL. Free with g_free(). */
char *cw_code_dup_nameplate (const char *code);

/* @n_words words from the PGP list, odd column first, from @random (one byte each). */
char *cw_code_make (const char *nameplate, const guint8 *random, unsigned n_words);

/* All ways to continue @typed (number known or not): full strings for a line editor, with "-"
 * appended while fewer than @n_words words are there. @nameplates: those in use, or NULL. */
char **cw_code_complete (const char *typed, const char *const *nameplates, unsigned n_words);

/* "wormhole-transfer:7-crossover-clockwork", with the mailbox when it is not the usual one (NULL:
 * it is). For QR codes. */
char *cw_code_to_uri (const char *code, const char *mailbox_url);

/* A PGP word: column 0 even (two syllables), 1 odd (three). Static. */
const char *cw_code_word (guint8 index, unsigned column);

G_END_DECLS
