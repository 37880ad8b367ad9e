# Written by pykeepalived.cli.completions from the options of the programs.
complete -c ldirectord -s d -l debug -d 'Do not go into the background, write the log to the terminal'
complete -c ldirectord -s t -l config-test -d 'Only check the configuration file'
complete -c ldirectord -l compat -x -a 'strict' -d 'Check as ldirectord 4.12 does'
complete -c ldirectord -s h -l help -d 'Display the usage'
complete -c ldirectord -s v -l version -d 'Display the version'
complete -c ldirectord -a start
complete -c ldirectord -a stop
complete -c ldirectord -a restart
complete -c ldirectord -a try-restart
complete -c ldirectord -a reload
complete -c ldirectord -a force-reload
complete -c ldirectord -a status
complete -c pyldirectord -s d -l debug -d 'Do not go into the background, write the log to the terminal'
complete -c pyldirectord -s t -l config-test -d 'Only check the configuration file'
complete -c pyldirectord -l compat -x -a 'strict' -d 'Check as ldirectord 4.12 does'
complete -c pyldirectord -s h -l help -d 'Display the usage'
complete -c pyldirectord -s v -l version -d 'Display the version'
complete -c pyldirectord -a start
complete -c pyldirectord -a stop
complete -c pyldirectord -a restart
complete -c pyldirectord -a try-restart
complete -c pyldirectord -a reload
complete -c pyldirectord -a force-reload
complete -c pyldirectord -a status
