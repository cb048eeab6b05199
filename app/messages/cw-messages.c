/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-messages.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#include "cw-drop-error.h"
#include "cw-identity.h"
#include "cw-mailbox-client.h"
#include "cw-names.h"
#include "cw-settings.h"
#include "cw-transit.h"

typedef struct {
    int code;
    CwSide side; /* CW_SIDE_ANY comes after the others of the same code */
    CwMessage message;
} Entry;

static const Entry mailbox_entries[] = {
    { CW_MAILBOX_ERROR_UNREACHABLE,
      CW_SIDE_ANY,
      { "mailbox-unreachable", CW_EXIT_SERVER, CW_DETAIL_OURS,
        N_ ("the mailbox, where the two computers meet, cannot be reached."),
        N_ ("This computer may be offline, or the mailbox is."),
        N_ ("Check the connection and try again."), NULL } },
    { CW_MAILBOX_ERROR_LOST,
      CW_SIDE_ANY,
      { "mailbox-lost", CW_EXIT_SERVER, CW_DETAIL_OURS,
        N_ ("the connection to the mailbox broke and did not come back."),
        N_ ("The two computers had not met yet, so nothing was sent."),
        N_ ("Check the connection and start again on both computers."), NULL } },
    { CW_MAILBOX_ERROR_UNWELCOME,
      CW_SIDE_ANY,
      { "mailbox-unwelcome", CW_EXIT_SERVER, CW_DETAIL_PEER, N_ ("the mailbox does not let us in."),
        NULL, N_ ("Use another mailbox, on both computers (--mailbox)."), NULL } },
    { CW_MAILBOX_ERROR_PERMISSION,
      CW_SIDE_ANY,
      { "mailbox-permission", CW_EXIT_SERVER, CW_DETAIL_OURS,
        N_ ("the mailbox asks for a permission that this version cannot give."), NULL,
        N_ ("Look for a newer version of Causeway, or use another mailbox on both computers."),
        NULL } },
    { CW_MAILBOX_ERROR_SERVER,
      CW_SIDE_ANY,
      { "mailbox-failed", CW_EXIT_SERVER, CW_DETAIL_PEER,
        N_ ("the mailbox answered with an error."), N_ ("Nothing was sent."),
        N_ ("Try again with a new code."), NULL } },
    { CW_MAILBOX_ERROR_CROWDED,
      CW_SIDE_ANY,
      { "code-crowded", CW_EXIT_WRONG_CODE, CW_DETAIL_NONE,
        N_ ("two others are using this code already."),
        N_ ("Either the number at its beginning is wrong, or the code was used before."),
        N_ ("Start again with a new code."), NULL } },
    { CW_MAILBOX_ERROR_BAD_CODE,
      CW_SIDE_ANY,
      { "bad-code", CW_EXIT_USAGE, CW_DETAIL_OURS, N_ ("this is not a code."), NULL,
        N_ ("A code is a number and some words, like 7-crossover-clockwork."), NULL } },
    { CW_MAILBOX_ERROR_WRONG_CODE,
      CW_SIDE_SENDER,
      { "wrong-code", CW_EXIT_WRONG_CODE, CW_DETAIL_NONE,
        N_ ("the other person typed a wrong code, or somebody guessed at it."),
        N_ ("Nothing was sent, and the code is used up."), N_ ("Send again and give the new code."),
        NULL } },
    { CW_MAILBOX_ERROR_WRONG_CODE,
      CW_SIDE_ANY,
      { "wrong-code", CW_EXIT_WRONG_CODE, CW_DETAIL_NONE,
        N_ ("the code was wrong, or somebody guessed at it."),
        N_ ("Nothing was sent, and the code is used up."),
        N_ ("Ask for a new one and type it again."), NULL } },
    { CW_MAILBOX_ERROR_INCOMPATIBLE,
      CW_SIDE_ANY,
      { "incompatible", CW_EXIT_FAILED, CW_DETAIL_NONE,
        N_ ("the program on the other computer cannot exchange files with this one."),
        N_ ("It speaks another language; the code was right."),
        N_ ("Use Causeway or another wormhole program there."), NULL } },
    { CW_MAILBOX_ERROR_BAD_URL,
      CW_SIDE_ANY,
      { "bad-mailbox-address", CW_EXIT_USAGE, CW_DETAIL_OURS,
        N_ ("the address of the mailbox is not one."), NULL,
        N_ ("It looks like wss://HOST/v1 or ws://HOST:PORT/v1."), NULL } },
};

static const Entry transit_entries[] = {
    { CW_TRANSIT_ERROR_NO_ROUTE,
      CW_SIDE_ANY,
      { "no-route", CW_EXIT_CONNECTION, CW_DETAIL_OURS,
        N_ ("the two computers found no way to each other."),
        N_ ("Neither a direct connection nor the relay worked."),
        N_ ("Check the network of both, or name a relay that both can reach (--transit-relay), "
            "and start again."),
        NULL } },
    { CW_TRANSIT_ERROR_BAD_RELAY,
      CW_SIDE_ANY,
      { "bad-relay-address", CW_EXIT_USAGE, CW_DETAIL_OURS,
        N_ ("the address of the relay is not one."), NULL,
        N_ ("It looks like tcp:HOST:PORT, or is “none”."), NULL } },
    { CW_TRANSIT_ERROR_RECORD,
      CW_SIDE_ANY,
      { "connection-damaged", CW_EXIT_CONNECTION, CW_DETAIL_NONE,
        N_ ("what came over the connection was damaged or tampered with."),
        N_ ("The transfer was stopped at once, and nothing of the damaged part was used."),
        N_ ("Start again on both computers."), NULL } },
    { CW_TRANSIT_ERROR_HINTS,
      CW_SIDE_ANY,
      { "peer-nonsense", CW_EXIT_FAILED, CW_DETAIL_NONE,
        N_ ("the other computer described its address in a way nobody understands."),
        N_ ("The program there may be too old or too new."), N_ ("Update both, and start again."),
        NULL } },
};

static const Entry drop_entries[] = {
    { CW_DROP_ERROR_DECLINED,
      CW_SIDE_SENDER,
      { "declined", CW_EXIT_DECLINED, CW_DETAIL_NONE, N_ ("the other person declined."),
        N_ ("Nothing was sent."), NULL, NULL } },
    { CW_DROP_ERROR_DECLINED,
      CW_SIDE_ANY,
      { "declined", CW_EXIT_DECLINED, CW_DETAIL_NONE, N_ ("declined."),
        N_ ("Nothing was received."), NULL, NULL } },
    { CW_DROP_ERROR_PEER_CANCELLED,
      CW_SIDE_SENDER,
      { "peer-cancelled", CW_EXIT_DECLINED, CW_DETAIL_NONE,
        N_ ("the other person stopped the transfer."), NULL,
        N_ ("To go on where it stopped, send the same again."), NULL } },
    { CW_DROP_ERROR_PEER_CANCELLED,
      CW_SIDE_ANY,
      { "peer-cancelled", CW_EXIT_DECLINED, CW_DETAIL_NONE,
        N_ ("the other person stopped the transfer."), NULL,
        N_ ("To go on where it stopped, ask for the same again."), NULL } },
    { CW_DROP_ERROR_PEER_FAILED,
      CW_SIDE_ANY,
      { "peer-failed", CW_EXIT_FAILED, CW_DETAIL_PEER,
        N_ ("something went wrong on the other computer."), NULL,
        N_ ("When that is mended, start again."), N_ ("failed on the other computer") } },
    { CW_DROP_ERROR_PEER_LOST,
      CW_SIDE_ANY,
      { "connection-lost", CW_EXIT_CONNECTION, CW_DETAIL_NONE,
        N_ ("the connection to the other computer was lost."),
        N_ ("It may have been switched off, or the network changed."),
        N_ ("Run the same commands again. Between two Causeways, what has arrived is not sent "
            "twice."),
        N_ ("was interrupted") } },
    { CW_DROP_ERROR_PROTOCOL,
      CW_SIDE_ANY,
      { "protocol", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("the other computer sent something nobody understands."),
        N_ ("The program there may be too old or too new."), N_ ("Update both, and start again."),
        N_ ("was not understood") } },
    { CW_DROP_ERROR_VERIFY,
      CW_SIDE_SENDER,
      { "verification-failed", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("what arrived on the other computer is not what was sent."),
        N_ ("It was damaged on the way."), N_ ("Send it again."), N_ ("was damaged on the way") } },
    { CW_DROP_ERROR_VERIFY,
      CW_SIDE_ANY,
      { "verification-failed", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("what arrived is not what was sent."), N_ ("The damaged data was thrown away."),
        N_ ("Ask for it again."), N_ ("was damaged on the way") } },
    { CW_DROP_ERROR_INCOMPLETE,
      CW_SIDE_SENDER,
      { "incomplete", CW_EXIT_INCOMPLETE, CW_DETAIL_NONE, N_ ("not everything could be sent."),
        N_ ("All the rest arrived and is verified."),
        N_ ("To send what is missing, mend the cause and send the same again."), NULL } },
    { CW_DROP_ERROR_INCOMPLETE,
      CW_SIDE_ANY,
      { "incomplete", CW_EXIT_INCOMPLETE, CW_DETAIL_NONE, N_ ("not everything arrived."),
        N_ ("All the rest is there and verified."), N_ ("Ask for what is missing again."), NULL } },
    { CW_DROP_ERROR_SOURCE_UNREADABLE,
      CW_SIDE_ANY,
      { "source-unreadable", CW_EXIT_DISK, CW_DETAIL_OURS,
        N_ ("something to be sent cannot be read."), NULL,
        N_ ("Check its name, and that you may read it."), N_ ("cannot be read") } },
    { CW_DROP_ERROR_SOURCE_CHANGED,
      CW_SIDE_ANY,
      { "source-changed", CW_EXIT_DISK, CW_DETAIL_OURS,
        N_ ("a file changed while it was being sent."),
        N_ ("What was sent of it would have been neither the old nor the new one."),
        N_ ("Send it again when nothing writes to it."), N_ ("changed while it was being sent") } },
    { CW_DROP_ERROR_NOTHING,
      CW_SIDE_ANY,
      { "nothing-to-send", CW_EXIT_USAGE, CW_DETAIL_NONE, N_ ("there is nothing to send."), NULL,
        N_ ("Name a file or a folder that is not empty."), NULL } },
    { CW_DROP_ERROR_NO_SPACE,
      CW_SIDE_ANY,
      { "no-space", CW_EXIT_DISK, CW_DETAIL_OURS,
        N_ ("there is not enough free space for what is coming."), NULL,
        N_ ("Free some, or choose another folder (--output), and start again: what has arrived is "
            "not sent twice."),
        N_ ("no space left") } },
    { CW_DROP_ERROR_NO_PERMISSION,
      CW_SIDE_ANY,
      { "no-permission", CW_EXIT_DISK, CW_DETAIL_OURS,
        N_ ("you may not write to the folder for received files."), NULL,
        N_ ("Choose another one (--output), and start again."), N_ ("may not be written") } },
    { CW_DROP_ERROR_TARGET_GONE,
      CW_SIDE_ANY,
      { "target-gone", CW_EXIT_DISK, CW_DETAIL_OURS,
        N_ ("the folder for received files is not there."), NULL,
        N_ ("Make it, or choose another one (--output), and start again."),
        N_ ("its folder is gone") } },
    { CW_DROP_ERROR_BAD_NAME,
      CW_SIDE_ANY,
      { "bad-name", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("a name that was sent cannot be used for a file here."), NULL,
        N_ ("Ask the other person to rename it."), N_ ("its name cannot be used here") } },
    { CW_DROP_ERROR_BAD_LINK,
      CW_SIDE_ANY,
      { "bad-link", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("a link that was sent points out of its folder."),
        N_ ("Such a link could be used to reach your other files, so it is refused."), NULL,
        N_ ("a link out of its folder is refused") } },
    { CW_DROP_ERROR_BAD_ARCHIVE,
      CW_SIDE_ANY,
      { "bad-archive", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("the folder that arrived is damaged or made to do harm."),
        N_ ("Nothing of it was kept."), N_ ("Ask for it again."), N_ ("is damaged") } },
    { CW_DROP_ERROR_TOO_LARGE,
      CW_SIDE_ANY,
      { "too-large", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("the other computer sends more than it announced, or than can be received at once."),
        N_ ("The transfer was stopped."), N_ ("Ask for it in smaller parts."),
        N_ ("is larger than announced") } },
    { CW_DROP_ERROR_BUSY,
      CW_SIDE_ANY,
      { "busy", CW_EXIT_FAILED, CW_DETAIL_OURS, N_ ("the same files are being received already."),
        N_ ("Another causeway on this computer is at it."), N_ ("Wait for it, or stop it."),
        N_ ("is being received already") } },
    { CW_DROP_ERROR_STORE,
      CW_SIDE_ANY,
      { "write-failed", CW_EXIT_DISK, CW_DETAIL_OURS, N_ ("what arrives cannot be written."), NULL,
        N_ ("Check the disk, or choose another folder (--output), and start again."),
        N_ ("cannot be written") } },
    { CW_DROP_ERROR_UNSUPPORTED,
      CW_SIDE_ANY,
      { "unsupported", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("the other computer offers something this version does not know."), NULL,
        N_ ("Look for a newer version of Causeway."), N_ ("is of an unknown kind") } },
    { CW_DROP_ERROR_LONG_TEXT,
      CW_SIDE_ANY,
      { "text-too-long", CW_EXIT_FAILED, CW_DETAIL_NONE,
        N_ ("the text is too long for the program on the other computer."),
        N_ ("Nothing was sent."), N_ ("Send it as a file, or to another Causeway."), NULL } },
};

static const Entry identity_entries[] = {
    { CW_IDENTITY_ERROR_STORE,
      CW_SIDE_ANY,
      { "identity-unavailable", CW_EXIT_DISK, CW_DETAIL_OURS,
        N_ ("the key that names this device cannot be read or written."), NULL,
        N_ ("Check that the disk is not full and that the folder is yours."), NULL } },
    { CW_IDENTITY_ERROR_DAMAGED,
      CW_SIDE_ANY,
      { "identity-damaged", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("the key that names this device is damaged."),
        N_ ("It is left as it is, since with a new one this device would be a stranger to "
            "everybody."),
        N_ ("Put it back from a backup, or delete it to get a new one."), NULL } },
    { CW_IDENTITY_ERROR_EXPOSED,
      CW_SIDE_ANY,
      { "identity-exposed", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("other people of this computer can read or replace the key that names this device."),
        N_ ("Somebody may have copied it."),
        N_ ("Delete it to get a new one, or, if you are sure, take their permission away "
            "(chmod 600)."),
        NULL } },
};

static const Entry settings_entries[] = {
    { CW_SETTINGS_ERROR_FILE,
      CW_SIDE_ANY,
      { "settings-unreadable", CW_EXIT_USAGE, CW_DETAIL_OURS, N_ ("the settings cannot be read."),
        NULL, N_ ("Mend the file, or move it away to start with the usual settings."), NULL } },
    { CW_SETTINGS_ERROR_VALUE,
      CW_SIDE_ANY,
      { "bad-setting", CW_EXIT_USAGE, CW_DETAIL_OURS,
        N_ ("a setting has a value that it cannot have."), NULL,
        N_ ("“man causeway” lists the settings and what they may be."), NULL } },
};

/* The few that GIO itself gives us; the rest of its codes say no more to a person than
 * their message. */
static const Entry io_entries[] = {
    { G_IO_ERROR_CANCELLED,
      CW_SIDE_ANY,
      { "cancelled", CW_EXIT_INTERRUPTED, CW_DETAIL_NONE, N_ ("stopped."), NULL, NULL,
        N_ ("was stopped") } },
    { G_IO_ERROR_ADDRESS_IN_USE,
      CW_SIDE_ANY,
      { "address-in-use", CW_EXIT_FAILED, CW_DETAIL_OURS,
        N_ ("another program is using this address already."), NULL,
        N_ ("Choose another port (--listen)."), NULL } },
    { G_IO_ERROR_INVALID_ARGUMENT,
      CW_SIDE_ANY,
      { "bad-address", CW_EXIT_USAGE, CW_DETAIL_OURS, N_ ("this is not an address to listen on."),
        NULL, N_ ("It looks like 127.0.0.1:4000, [::1]:4000 or :4000."), NULL } },
};

static const CwMessage other_message = {
    "failed",       CW_EXIT_FAILED,
    CW_DETAIL_OURS, N_ ("something failed that was not expected."),
    NULL,           N_ ("Try again; with --verbose it tells more."),
    N_ ("failed"),
};

#define TABLE(entries) entries, G_N_ELEMENTS (entries)

static const struct {
    GQuark (*get_domain) (void);
    const Entry *entries;
    size_t n_entries;
} tables[] = {
    { cw_mailbox_error_quark, TABLE (mailbox_entries) },
    { cw_transit_error_quark, TABLE (transit_entries) },
    { cw_drop_error_quark, TABLE (drop_entries) },
    { cw_identity_error_quark, TABLE (identity_entries) },
    { cw_settings_error_quark, TABLE (settings_entries) },
    { g_io_error_quark, TABLE (io_entries) },
};

static CwMessage
translate (const CwMessage *message)
{
    CwMessage translated = *message;

    translated.title = _ (message->title);
    translated.cause = message->cause != NULL ? _ (message->cause) : NULL;
    translated.next = message->next != NULL ? _ (message->next) : NULL;
    translated.item = message->item != NULL ? _ (message->item) : NULL;
    return translated;
}

gboolean
cw_message_look_up (GQuark domain, int code, CwSide side, CwMessage *ret)
{
    for (size_t t = 0; t < G_N_ELEMENTS (tables); t++) {
        if (tables[t].get_domain () != domain)
            continue;
        for (size_t i = 0; i < tables[t].n_entries; i++) {
            const Entry *entry = &tables[t].entries[i];

            if (entry->code != code || (entry->side != CW_SIDE_ANY && entry->side != side))
                continue;
            *ret = translate (&entry->message);
            return TRUE;
        }
    }
    return FALSE;
}

CwMessage
cw_message_for_error (const GError *error, CwSide side)
{
    CwMessage message;

    if (!cw_message_look_up (error->domain, error->code, side, &message))
        message = translate (&other_message);
    return message;
}

CwMessage
cw_message_verifier_differs (void)
{
    static const CwMessage message = {
        "verifier-differs",
        CW_EXIT_WRONG_CODE,
        CW_DETAIL_NONE,
        N_ ("stopped, since the two computers do not show the same."),
        N_ ("Somebody may be between them. Nothing was sent, and the code is used up."),
        N_ ("Start again with a new code, and pass it on in another way."),
        NULL,
    };

    return translate (&message);
}

char *
cw_message_dup_detail (const CwMessage *message, const GError *error, size_t max_chars)
{
    if (message->detail == CW_DETAIL_NONE || error->message[0] == '\0')
        return NULL;
    return cw_name_dup_display (error->message, max_chars);
}
