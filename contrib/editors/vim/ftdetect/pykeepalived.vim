" keepalived.conf and ldirectord.cf: made by python -m pykeepalived.tools.editors
autocmd BufNewFile,BufRead keepalived.conf,*/keepalived/*.conf setfiletype keepalived
autocmd BufNewFile,BufRead ldirectord.cf,*/ha.d/ldirectord*.cf setfiletype ldirectord
