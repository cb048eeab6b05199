/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What a person may set: built-in values, then $XDG_CONFIG_HOME/causeway/causeway.conf, then the
 * environment, then options. Plain values; copies are cheap. */

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    CW_SETTINGS_ERROR_FILE,  /* the file cannot be read or is not a key file */
    CW_SETTINGS_ERROR_VALUE, /* a value is not of its kind; message names key and value */
} CwSettingsError;
#define CW_SETTINGS_ERROR cw_settings_error_quark ()
GQuark cw_settings_error_quark (void);

typedef struct {
    char **mailbox_urls;  /* tried in order; one when a person set it */
    gboolean mailbox_set; /* by a person, not built in */
    char *transit_relay;  /* "tcp:HOST:PORT"; NULL: none */
    char *name;           /* what others call this device */
    char *folder;         /* where received files go */
    unsigned code_length; /* words */
} CwSettings;

/* File and environment (CAUSEWAY_MAILBOX, CAUSEWAY_TRANSIT_RELAY, CAUSEWAY_NAME,
 * CAUSEWAY_FOLDER, CAUSEWAY_CODE_LENGTH; "none" switches the relay off). A missing file is fine. */
CwSettings *cw_settings_load (GError **error);
/* One setting by its name in the file ("mailbox", "transit-relay", "name", "folder",
 * "code-length"), checked. */
gboolean cw_settings_set (CwSettings *settings, const char *key, const char *value, GError **error);
CwSettings *cw_settings_copy (const CwSettings *settings);
void cw_settings_free (CwSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwSettings, cw_settings_free)

G_END_DECLS
