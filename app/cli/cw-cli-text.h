/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Text as a terminal shows it: in columns, not in bytes. Pure. All results are freed with
 * g_free(). */

#include <glib.h>

G_BEGIN_DECLS

/* Columns that valid UTF-8 without control characters takes. */
unsigned cw_text_columns (const char *text);

/* @text in at most @columns, the middle replaced by an ellipsis when it is longer. */
char *cw_text_cut_middle (const char *text, unsigned columns);

/* @text with blanks up to @columns. */
char *cw_text_pad (const char *text, unsigned columns);

/* A text from a peer for a terminal: control characters and what reorders a line are shown as
 * "<U+001B>"; line ends and tabs stay. */
char *cw_text_dup_visible (const char *text);

/* A path or name from anywhere (not even UTF-8) for showing, home as "~". */
char *cw_text_dup_path (const char *path);

/* For a shell to read back: as it is when that is safe, else quoted. */
char *cw_text_dup_shell_word (const char *word);

G_END_DECLS
