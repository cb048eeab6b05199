# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors

# Completes causeway in fish: commands, options, files, and the words of a code.

function __causeway_code
    causeway complete-code (commandline --current-token) 2>/dev/null
end

set -l send '__fish_seen_subcommand_from send'
set -l receive '__fish_seen_subcommand_from receive'
set -l session '__fish_seen_subcommand_from send receive'
set -l server '__fish_seen_subcommand_from mailbox relay'
set -l json '__fish_seen_subcommand_from send receive id mailbox relay'

complete -c causeway -f
complete -c causeway -n __fish_use_subcommand -a send -d 'Send files and folders'
complete -c causeway -n __fish_use_subcommand -a receive -d 'Receive with a code'
complete -c causeway -n __fish_use_subcommand -a id -d 'Show name and fingerprint'
complete -c causeway -n __fish_use_subcommand -a mailbox -d 'Run a mailbox'
complete -c causeway -n __fish_use_subcommand -a relay -d 'Run a relay'
complete -c causeway -n __fish_use_subcommand -a help -d 'Show how a command is used'
complete -c causeway -n __fish_use_subcommand -l version -d 'Show the version'
complete -c causeway -s h -l help -d 'Show how it is used'

complete -c causeway -n '__fish_seen_subcommand_from help' -a 'send receive id mailbox relay'
complete -c causeway -n $json -l json -d 'Print one JSON object a line'
complete -c causeway -n $json -s v -l verbose -d 'Tell what happens inside'

complete -c causeway -n $session -l verify -d 'Compare what both computers show'
complete -c causeway -n $session -l mailbox -x -d 'Meet at this mailbox'
complete -c causeway -n $session -l transit-relay -x -a 'none tcp:' -d 'Relay to use'
complete -c causeway -n $session -l no-direct -d 'Only through the relay'
complete -c causeway -n $session -l code-length -x -a '1 2 3 4 5 6 7 8' -d 'Words in a code'
complete -c causeway -n $session -s q -l quiet -d 'Say only what is needed'

complete -c causeway -n $send -F
complete -c causeway -n $send -s t -l text -x -d 'Send this text'
complete -c causeway -n $send -s n -l name -x -d 'Name of the file from standard input'
complete -c causeway -n $send -s c -l code -x -a '(__causeway_code)' -d 'Use this code'
complete -c causeway -n $send -l qr -d 'Show the code as a QR code too'

complete -c causeway -n $receive -a '(__causeway_code)'
complete -c causeway -n $receive -s y -l yes -d 'Accept without a question'
complete -c causeway -n $receive -s o -l output -x -a '(__fish_complete_directories)' -d 'Folder'
complete -c causeway -n $receive -l stdout -d 'Write the one file to standard output'

complete -c causeway -n $server -s l -l listen -x -d 'Where to listen'
complete -c causeway -n '__fish_seen_subcommand_from mailbox' -l motd -x -d 'Message for all'
