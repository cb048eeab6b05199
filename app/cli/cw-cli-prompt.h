/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Questions to a person on a terminal, answered from the main loop. One question at a time, and
 * one object a process, since the line editor (GNU readline) is one. Its types stay in the .c. */

#include <glib.h>

#include "cw-cli-terminal.h"

G_BEGIN_DECLS

typedef struct _CwPrompt CwPrompt;

/* @yes FALSE also when the input ended. */
typedef void (*CwPromptAnswered) (gboolean yes, gpointer user_data);
/* @line NULL: the input ended. */
typedef void (*CwPromptLine) (const char *line, gpointer user_data);

/* Questions appear on @terminal (borrowed) and are answered on standard input, or on the
 * controlling terminal when standard input is data. */
CwPrompt *cw_prompt_new (CwTerminal *terminal, gboolean stdin_is_data);
/* Also puts the terminal back as it was. */
void cw_prompt_free (CwPrompt *self);

/* FALSE: there is nobody to ask. */
gboolean cw_prompt_is_possible (CwPrompt *self);

/* What was typed before the question is thrown away: an Enter that was meant for something else
 * must not accept anything. */
void cw_prompt_ask (CwPrompt *self,
                    const char *question,
                    gboolean default_yes,
                    CwPromptAnswered answered,
                    gpointer user_data);

/* A code, with Tab to complete its number and words. @typed is what stands there already.
 * @typing: after each key. */
void cw_prompt_ask_code (CwPrompt *self,
                         const char *label,
                         const char *typed,
                         unsigned n_words,
                         CwPromptLine typing,
                         CwPromptLine answered,
                         gpointer user_data);
/* The numbers that completion offers. */
void cw_prompt_set_nameplates (CwPrompt *self, const char *const *nameplates);

/* Whole lines above a question that may be waiting. */
void cw_prompt_print_above (CwPrompt *self, const char *text);

/* Takes a waiting question back; no callback comes. */
void cw_prompt_stop (CwPrompt *self);

G_END_DECLS
