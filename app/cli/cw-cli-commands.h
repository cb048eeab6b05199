/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The commands. argv[0] is the command's name; each returns the exit code (cw-messages.h). */

int cw_cli_send (int argc, char **argv);
int cw_cli_receive (int argc, char **argv);
int cw_cli_id (int argc, char **argv);
int cw_cli_mailbox (int argc, char **argv);
int cw_cli_relay (int argc, char **argv);
/* For shells: all ways to continue the code in argv[1], one a line. */
int cw_cli_complete_code (int argc, char **argv);
