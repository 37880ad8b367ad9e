" ldirectord: made by python -m pykeepalived.tools.editors
if exists("b:current_syntax")
  finish
endif
syntax iskeyword @,48-57,_,-
syntax keyword ldirectordBlock virtual virtual6
syntax keyword ldirectordKeyword autoreload callback checkcommand checkinterval checkport checktimeout
syntax keyword ldirectordKeyword checktype cleanstop comment database emailalert emailalertfreq emailalertfrom
syntax keyword ldirectordKeyword emailalertstatus execute failurecount fallback fallback6 fallbackcommand fork
syntax keyword ldirectordKeyword httpmethod logfile login maintenancedir monitorfile negotiatetimeout netmask
syntax keyword ldirectordKeyword ops passwd persistent protocol quiescent readdquiescent real real6 receive
syntax keyword ldirectordKeyword request schedflags scheduler secret service servicename smtp supervised tlsca
syntax keyword ldirectordKeyword tlscert tlskey tlsservername tlsverify virtualhost
syntax keyword ldirectordOption gate ipip masq
syntax keyword ldirectordOld checkcount connecttimeout load timeout
syntax match ldirectordNumber /\v<\d+(\.\d+){0,3}(\/\d+)?>/
syntax region ldirectordString start=/"/ skip=/\\"/ end=/"\|$/
syntax match ldirectordComment /#.*$/
highlight default link ldirectordBlock Structure
highlight default link ldirectordKeyword Keyword
highlight default link ldirectordOption Type
highlight default link ldirectordOld Todo
highlight default link ldirectordNumber Number
highlight default link ldirectordString String
highlight default link ldirectordComment Comment
highlight default link ldirectordVariable PreProc
highlight default link ldirectordInclude Include
let b:current_syntax = "ldirectord"
