/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Hashcash version 1: a stamp "1:BITS:DATE:RESOURCE::RANDOM:COUNTER" whose SHA-1 begins with so
 * many zero bits has cost somebody that much work. A mailbox server may ask for one before it
 * serves strangers. */

#include <gio/gio.h>

G_BEGIN_DECLS

/* 2^24 hashes are some seconds; a server that asks for more is to be left, not served. */
#define CW_HASHCASH_MAX_BITS 24

/* Blocks for as long as it takes: for a thread. @date as YYMMDDhhmmss in UTC, @random as text
 * without ":". NULL when cancelled. Free with g_free(). */
char *cw_hashcash_solve (unsigned bits,
                         const char *resource,
                         const char *date,
                         const char *random,
                         GCancellable *cancellable);

/* Zero bits at the start of a stamp's SHA-1. */
unsigned cw_hashcash_value (const char *stamp);

G_END_DECLS
