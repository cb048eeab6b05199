/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* PKWARE APPNOTE 6.3, the records we write and read. Little-endian; offset, size, meaning.
 *
 * Local header, 30 bytes         Central header, 46 bytes
 *   0 4 signature                  0 4 signature
 *   4 2 version needed             4 2 version made by (high byte: host system)
 *   6 2 flags                      6 2 version needed
 *   8 2 method                     8 2 flags
 *  10 4 DOS time and date         10 2 method
 *  14 4 CRC-32                    12 4 DOS time and date
 *  18 4 size in the zip           16 4 CRC-32
 *  22 4 size                      20 4 size in the zip
 *  26 2 length of the name        24 4 size
 *  28 2 length of the extra       28 2 length of the name
 *  30   name, extra, data         30 2 length of the extra
 *                                 32 2 length of the comment
 * Descriptor, 16 or 24 bytes      34 2 disk
 *   0 4 signature                 36 2 internal attributes
 *   4 4 CRC-32                    38 4 external attributes (high half: Unix mode)
 *   8 4 or 8 size in the zip      42 4 offset of the local header
 *     4 or 8 size                 46   name, extra, comment
 *
 * End, 22 bytes                  ZIP64 end, 56 bytes
 *   0 4 signature                  0 4 signature
 *   4 2 disk                       4 8 size of the rest (44)
 *   6 2 disk of the directory     12 2 version made by
 *   8 2 entries on this disk      14 2 version needed
 *  10 2 entries                   16 4 disk
 *  12 4 size of the directory     20 4 disk of the directory
 *  16 4 its offset                24 8 entries on this disk
 *  20 2 length of the comment     32 8 entries
 *                                 40 8 size of the directory
 * ZIP64 locator, 20 bytes,        48 8 its offset
 * right before the end
 *   0 4 signature                Extra: 2 id, 2 length, data
 *   4 4 disk of the ZIP64 end      1       ZIP64: 8 each for what is all ones in the header,
 *   8 8 its offset                         in the order size, size in the zip, offset
 *  16 4 disks                      0x5455  flags (1: mtime is there), 4 mtime
 */

#define CW_ZIP_LOCAL_SIG 0x04034b50u
#define CW_ZIP_CENTRAL_SIG 0x02014b50u
#define CW_ZIP_DESCRIPTOR_SIG 0x08074b50u
#define CW_ZIP_END_SIG 0x06054b50u
#define CW_ZIP_END64_SIG 0x06064b50u
#define CW_ZIP_LOCATOR64_SIG 0x07064b50u

#define CW_ZIP_LOCAL_SIZE 30
#define CW_ZIP_CENTRAL_SIZE 46
#define CW_ZIP_END_SIZE 22
#define CW_ZIP_END64_SIZE 56
#define CW_ZIP_LOCATOR64_SIZE 20

#define CW_ZIP_FLAG_ENCRYPTED 0x0001
#define CW_ZIP_FLAG_DESCRIPTOR 0x0008
#define CW_ZIP_FLAG_UTF8 0x0800

#define CW_ZIP_STORED 0
#define CW_ZIP_DEFLATED 8

#define CW_ZIP_EXTRA_ZIP64 0x0001
#define CW_ZIP_EXTRA_TIME 0x5455

#define CW_ZIP_HOST_UNIX 3
#define CW_ZIP_HOST_DARWIN 19
