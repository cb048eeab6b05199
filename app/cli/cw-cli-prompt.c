/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <readline/readline.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cw-code.h"

#define LINE_MAX_BYTES 256

typedef enum {
    PROMPT_IDLE,
    PROMPT_YES_NO, /* the kernel's line editing; on_answer_readable() waits */
    PROMPT_CODE,   /* readline has the terminal; on_key_readable() feeds it */
} PromptState;

struct _CwPrompt {
    CwTerminal *terminal;
    int fd; /* -1: nobody to ask */
    PromptState state;
    guint source_id;
    gpointer user_data;
    gboolean keeps_input; /* NOFLSH was set by us */

    /* PROMPT_YES_NO */
    char *question;
    gboolean default_yes;
    CwPromptAnswered answered;

    /* PROMPT_CODE */
    FILE *in;
    FILE *out;
    guint winch_id;
    char **nameplates;
    unsigned n_words;
    CwPromptLine typing;
    CwPromptLine line_answered;
    gboolean have_line; /* Enter or end of input; line says which */
    char *line;
};

/* readline's callbacks carry no user data. */
static CwPrompt *active;

CwPrompt *
cw_prompt_new (CwTerminal *terminal, gboolean stdin_is_data)
{
    CwPrompt *self = g_new0 (CwPrompt, 1);

    self->terminal = terminal;
    self->fd = -1;
    if (stdin_is_data)
        self->fd = open ("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    else if (isatty (STDIN_FILENO))
        self->fd = fcntl (STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    /* A question that nobody can read cannot be answered either. */
    if (self->fd >= 0 && !isatty (cw_terminal_get_fd (terminal))) {
        close (self->fd);
        self->fd = -1;
    }
    return self;
}

void
cw_prompt_free (CwPrompt *self)
{
    cw_prompt_stop (self);
    if (self->in != NULL)
        fclose (self->in);
    if (self->out != NULL)
        fclose (self->out);
    if (self->fd >= 0)
        close (self->fd);
    g_strfreev (self->nameplates);
    g_free (self->question);
    g_free (self);
}

gboolean
cw_prompt_is_possible (CwPrompt *self)
{
    return self->fd >= 0;
}

/* At Ctrl-C the kernel throws away what was typed. If that happens between the main loop's poll()
 * and our read(), the read waits for the next key, and the Ctrl-C with it: so not while we read. */
static void
keep_input (CwPrompt *self, gboolean keep)
{
    struct termios mode;

    if (keep == self->keeps_input || tcgetattr (self->fd, &mode) < 0)
        return;
    if (keep && (mode.c_lflag & NOFLSH) != 0)
        return; /* the person's own choice */
    mode.c_lflag ^= NOFLSH;
    if (tcsetattr (self->fd, TCSANOW, &mode) == 0)
        self->keeps_input = keep;
}

void
cw_prompt_stop (CwPrompt *self)
{
    if (self->state == PROMPT_IDLE)
        return;
    if (self->state == PROMPT_CODE) {
        rl_callback_handler_remove ();
        active = NULL;
    }
    keep_input (self, FALSE);
    g_clear_handle_id (&self->source_id, g_source_remove);
    g_clear_handle_id (&self->winch_id, g_source_remove);
    self->state = PROMPT_IDLE;
    cw_terminal_print (self->terminal, "%s", ""); /* the cursor stands behind the question */
}

/* --- Yes or no --- */

static void
show_question (CwPrompt *self)
{
    /* TRANSLATORS: the answer that Enter gives is the capital one */
    g_autofree char *text
        = g_strdup_printf ("%s %s ", self->question, self->default_yes ? _ ("[Y/n]") : _ ("[y/N]"));

    cw_terminal_print_prompt (self->terminal, text);
}

/* @word's beginning or all of it, whatever the case; English is always understood. */
static gboolean
is_answer (const char *answer, const char *word, const char *english)
{
    g_autofree char *folded = g_utf8_casefold (answer, -1);
    g_autofree char *word_folded = g_utf8_casefold (word, -1);

    return g_str_has_prefix (word_folded, folded) || g_str_has_prefix (english, folded);
}

/* TRUE when @answer is one. */
static gboolean
parse_answer (const char *answer, gboolean default_yes, gboolean *ret_yes)
{
    if (answer[0] == '\0') {
        *ret_yes = default_yes;
        return TRUE;
    }
    /* TRANSLATORS: what a person types to agree; its first letter is enough */
    if (is_answer (answer, C_ ("answer", "yes"), "yes")) {
        *ret_yes = TRUE;
        return TRUE;
    }
    /* TRANSLATORS: what a person types to refuse; its first letter is enough */
    if (is_answer (answer, C_ ("answer", "no"), "no")) {
        *ret_yes = FALSE;
        return TRUE;
    }
    return FALSE;
}

static gboolean
on_answer_readable (int fd, GIOCondition condition, gpointer data)
{
    CwPrompt *self = data;
    char buffer[LINE_MAX_BYTES];
    ssize_t n = read (fd, buffer, sizeof buffer - 1);
    g_autofree char *answer = NULL;
    gboolean yes = FALSE;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return G_SOURCE_CONTINUE;
    if (n > 0) {
        buffer[n] = '\0';
        answer = g_utf8_make_valid (g_strstrip (buffer), -1);
        if (!parse_answer (answer, self->default_yes, &yes)) {
            show_question (self);
            return G_SOURCE_CONTINUE;
        }
    } else {
        cw_terminal_print (self->terminal, "%s", ""); /* Ctrl-D leaves the cursor in the line */
    }
    self->source_id = 0;
    self->state = PROMPT_IDLE;
    keep_input (self, FALSE);
    self->answered (yes, self->user_data);
    return G_SOURCE_REMOVE;
}

void
cw_prompt_ask (CwPrompt *self,
               const char *question,
               gboolean default_yes,
               CwPromptAnswered answered,
               gpointer user_data)
{
    g_return_if_fail (self->fd >= 0 && self->state == PROMPT_IDLE);
    g_free (self->question);
    self->question = g_strdup (question);
    self->default_yes = default_yes;
    self->answered = answered;
    self->user_data = user_data;
    self->state = PROMPT_YES_NO;
    keep_input (self, TRUE);
    tcflush (self->fd, TCIFLUSH);
    show_question (self);
    self->source_id
        = g_unix_fd_add (self->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_answer_readable, self);
}

/* --- A code --- */

/* readline wants malloc()ed strings, the common beginning of all in front. */
static char **
make_matches (char **found)
{
    size_t n = g_strv_length (found), common = n > 0 ? strlen (found[0]) : 0;
    char **matches;

    if (n == 0)
        return NULL;
    for (size_t i = 1; i < n; i++) {
        size_t same = 0;
        while (same < common && found[i][same] == found[0][same])
            same++;
        common = same;
    }
    matches = malloc ((n + 2) * sizeof *matches);
    matches[0] = strndup (found[0], common);
    if (n == 1) {
        matches[1] = NULL;
        return matches;
    }
    for (size_t i = 0; i < n; i++)
        matches[i + 1] = strdup (found[i]);
    matches[n + 1] = NULL;
    return matches;
}

static char **
complete (const char *text, int start, int end)
{
    g_autofree char *typed = g_strndup (rl_line_buffer, (size_t)end);
    g_auto (GStrv) found = NULL;

    rl_attempted_completion_over = 1; /* never file names */
    rl_completion_append_character = '\0';
    found = cw_code_complete (typed, (const char *const *)active->nameplates, active->n_words);
    return found != NULL ? make_matches (found) : NULL;
}

static void
on_line (char *line)
{
    active->have_line = TRUE;
    active->line = line;
    /* Here, not later: readline would show a new prompt as soon as this returns. */
    rl_callback_handler_remove ();
}

static gboolean
on_key_readable (int fd, GIOCondition condition, gpointer data)
{
    CwPrompt *self = data;

    if ((condition & G_IO_IN) != 0) {
        rl_callback_read_char ();
    } else { /* the terminal is gone */
        self->have_line = TRUE;
        rl_callback_handler_remove ();
    }
    if (!self->have_line) {
        self->typing (rl_line_buffer, self->user_data);
        return G_SOURCE_CONTINUE;
    }
    if (self->line == NULL)
        cw_terminal_print (self->terminal, "%s", "");
    self->source_id = 0;
    g_clear_handle_id (&self->winch_id, g_source_remove);
    self->state = PROMPT_IDLE;
    active = NULL;
    keep_input (self, FALSE);
    {
        char *line = g_steal_pointer (&self->line);
        self->line_answered (line, self->user_data);
        free (line);
    }
    return G_SOURCE_REMOVE;
}

static gboolean
on_window_changed (gpointer data)
{
    rl_resize_terminal ();
    return G_SOURCE_CONTINUE;
}

static void
set_up_readline (CwPrompt *self)
{
    int out = fcntl (cw_terminal_get_fd (self->terminal), F_DUPFD_CLOEXEC, 3);
    int in = fcntl (self->fd, F_DUPFD_CLOEXEC, 3);

    self->in = fdopen (in, "r");
    self->out = fdopen (out, "w");
    rl_readline_name = "causeway";
    rl_instream = self->in;
    rl_outstream = self->out;
    rl_catch_signals = 0; /* the main loop does */
    rl_catch_sigwinch = 0;
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = (char *)""; /* the whole line is one word */
    rl_basic_word_break_characters = "";
    /* Both would wait for a key inside of readline and stop the main loop. */
    rl_completion_query_items = -1;
    rl_variable_bind ("page-completions", "off");
}

void
cw_prompt_ask_code (CwPrompt *self,
                    const char *label,
                    const char *typed,
                    unsigned n_words,
                    CwPromptLine typing,
                    CwPromptLine answered,
                    gpointer user_data)
{
    g_return_if_fail (self->fd >= 0 && self->state == PROMPT_IDLE);
    cw_terminal_end_moving (self->terminal);
    if (self->in == NULL)
        set_up_readline (self);
    active = self;
    self->n_words = n_words;
    self->typing = typing;
    self->line_answered = answered;
    self->user_data = user_data;
    self->have_line = FALSE;
    self->state = PROMPT_CODE;
    keep_input (self, TRUE); /* before readline looks at the mode it begins with */
    rl_callback_handler_install (label, on_line);
    if (typed != NULL && typed[0] != '\0') {
        rl_insert_text (typed);
        rl_redisplay ();
    }
    self->source_id
        = g_unix_fd_add (self->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_key_readable, self);
    self->winch_id = g_unix_signal_add (SIGWINCH, on_window_changed, self);
}

void
cw_prompt_set_nameplates (CwPrompt *self, const char *const *nameplates)
{
    g_strfreev (self->nameplates);
    self->nameplates = g_strdupv ((char **)nameplates);
}

void
cw_prompt_print_above (CwPrompt *self, const char *text)
{
    const char *clear = cw_terminal_can_move (self->terminal) ? "\r\033[K" : "\n";

    switch (self->state) {
    case PROMPT_IDLE:
        cw_terminal_print (self->terminal, "%s", text);
        break;
    case PROMPT_YES_NO:
        cw_terminal_print (self->terminal, "%s%s", clear, text);
        show_question (self);
        break;
    case PROMPT_CODE:
        rl_clear_visible_line ();
        fflush (self->out);
        cw_terminal_print (self->terminal, "%s", text);
        rl_on_new_line ();
        rl_redisplay ();
        break;
    }
}
