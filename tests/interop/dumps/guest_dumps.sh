#!/bin/sh
# In the test kernel: keepalived reads each of the files, and writes what it has understood to $OUT/NAME.data.
ip link add eth0 type dummy
ip link set eth0 up
ip address add 192.168.7.250/16 dev eth0
ip address add 2001:db8::2/32 dev eth0 nodad
for file in "$@"; do
    name=$(basename "$file" .conf)
    mkdir -p "/run/dumps/$name"
    TMPDIR=/run/dumps/$name keepalived -n -l -D -C -f "$file" >"$OUT/$name.log" 2>&1 &
    parent=$!
    tries=0
    while [ $tries -lt 60 ] && [ ! -s "/run/dumps/$name/keepalived_check.data" ]; do
        tries=$((tries + 1))
        sleep 0.1
        grep -q "Healthcheck child process" "$OUT/$name.log" && sleep 0.2 && kill -USR1 $parent
    done
    sleep 0.2
    kill $parent
    wait $parent
    cp "/run/dumps/$name/keepalived_check.data" "$OUT/$name.data" || exit 1
done
