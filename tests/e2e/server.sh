# shellcheck shell=bash
# Starts and stops caption-server (tests/server) for tests. Sourced with $lens set, the server's neighbour; needs bash alone.
# A server ends with the shell that started it, however that ends.
#
#   server_start NAME [OPTION]...   sets server_url (http://127.0.0.1:PORT/v1), server_port, server_pid; NAME.port,
#                                   NAME.err in the current folder; NAME may be started again with --port "$server_port"
#   server_stop PID                 SIGTERM, and waits; fails where the server did not end well (a sanitizer's word)
#   server_stat PORT NAME           one number of /stats: requests_total, 'answers_total{kind="ok"}', cpu_seconds_total
#   server_control PORT JSON        {"error-rate":0.2,"die-ms":500}
caption_server=$(dirname "$(realpath "${lens:?}")")/caption-server

server_start() {
    local name=$1 i
    shift
    rm -f "$name.port"
    "$caption_server" --port-file "$name.port" --with-parent "$@" 2>"$name.err" &
    server_pid=$!
    for ((i = 0; i < 1000; i++)); do
        [ ! -s "$name.port" ] || break
        kill -0 "$server_pid" 2>/dev/null || break
        read -rt 0.02 <> <(:) || true # a nap without a process
    done
    [ -s "$name.port" ] || { cat "$name.err"; echo "FAILED: $name: caption-server does not start"; return 1; }
    server_port=$(<"$name.port")
    server_url=http://127.0.0.1:$server_port/v1
}

server_stop() {
    kill "$1" 2>/dev/null
    wait "$1"
}

# server_http PORT METHOD TARGET [BODY]: the answer's body on stdout; fails unless the status is 200.
server_http() {
    local body=${4:-} line status in_head=1
    exec 9<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
        "$2" "$3" "${#body}" "$body" >&9
    read -r _ status _ <&9
    while IFS= read -r line <&9 || [ -n "$line" ]; do
        line=${line%$'\r'}
        if [ $in_head = 0 ]; then printf '%s\n' "$line"; elif [ -z "$line" ]; then in_head=0; fi
    done
    exec 9>&-
    [ "$status" = 200 ]
}

server_stat() {
    local name value
    while read -r name value; do
        if [ "$name" = "caption_server_$2" ]; then echo "$value"; return; fi
    done < <(server_http "$1" GET /stats)
    echo "no counter $2" >&2
    return 1
}

server_control() {
    server_http "$1" POST /control "$2" >/dev/null
}
