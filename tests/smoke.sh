#!/usr/bin/env bash
# Starts each example as a user would, talks to it, and stops it with a signal: `bash tests/smoke.sh`.
set -euo pipefail
# Job control, so that the examples start with SIGINT at its default; a script's background
# processes otherwise ignore it.
set -m
cd "$(dirname "$0")/.."
# The profile `ci` is nearly `release`, and builds in a fraction of the time.
cargo build --quiet --profile ci --examples --all-features
examples=${CARGO_TARGET_DIR:-target}/ci/examples
patience=5 # seconds, for anything one waits for
scratch=$(mktemp -d)
mkfifo "$scratch/output"
running= upstream=

cleanup() {
    [ -z "$running$upstream" ] || kill -KILL $running $upstream 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

fail() {
    printf 'FAILED: %s: %s\n' "$title" "$*" >&2
    if [ -n "$running" ]; then
        kill -KILL "$running" 2>/dev/null || true
        echo 'its output from there on:' >&2
        timeout "$patience" cat <&3 >&2 || true
    fi
    exit 1
}

# start EXAMPLE [OPTION…]: on a free port; sets host and port from the line it prints. With
# address=PATH in front, on that path.
start() {
    title=$*
    printf -- '-- %s\n' "$title"
    # The shell opens the pipe's two ends together; the example's end closes when it ends.
    "$examples/$1" "${address:-127.0.0.1:0}" "${@:2}" >"$scratch/output" 2>&1 &
    running=$!
    exec 3<"$scratch/output"
    local line
    read -r -t "$patience" line <&3 || fail 'prints no line'
    [ -z "${address:-}" ] || return 0
    [[ $line =~ .*[^0-9.]([0-9.]+):([0-9]+) ]] || fail "prints no address: $line"
    host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
}

# stop SIGNAL: the example must end in time, with status 0.
stop() {
    kill -s "$1" "$running" || fail 'ended by itself'
    # Its output ends when it does.
    timeout "$patience" cat <&3 >"$scratch/log" || fail "still runs $patience s after SIG$1"
    local status=0
    wait "$running" || status=$?
    running=
    exec 3<&-
    if [ "$status" -ne 0 ]; then
        cat "$scratch/log" >&2
        fail "ended with status $status after SIG$1"
    fi
}

# request PATH [CURL OPTION…]: the head goes to $scratch/head, the body to $scratch/body.
request() {
    curl --silent --show-error --fail --noproxy '*' --max-time "$patience" \
        --dump-header "$scratch/head" --output "$scratch/body" "${@:2}" \
        "http://$host:$port$1" || fail "no good answer to a request for $1"
    tr -d '\r' <"$scratch/head" >"$scratch/fields"
}

# refused STATUS PATH [CURL OPTION…]: the answer has this status.
refused() {
    local status
    status=$(curl --silent --noproxy '*' --max-time "$patience" --output /dev/null \
        --write-out '%{http_code}' "${@:3}" "http://$host:$port$2") || true
    [ "$status" = "$1" ] || fail "answers $status to a request for $2, and not $1"
}

# expect FILE PATTERN: a line of the answer's body or fields matches, whatever its case.
expect() {
    grep -qiE -- "$2" "$scratch/$1" || {
        cat "$scratch/fields" "$scratch/body" >&2
        fail "no $2 in the $1 of the answer"
    }
}

# converse FD LINE…: sends the first line, if it is not empty, and expects the others.
converse() {
    local line expected
    [ -z "$2" ] || printf '%s\n' "$2" >&"$1"
    for expected in "${@:3}"; do
        read -r -t "$patience" line <&"$1" || fail "no line where '$expected' should be"
        [ "$line" = "$expected" ] || fail "'$line' where '$expected' should be"
    done
}

for signal in INT TERM; do
    start wsgi_app
    request /
    expect body '^Hello, world!$'
    stop "$signal"

    start wsgi_app --demo
    request '/?a=b'
    expect fields '^content-type: *text/plain'
    expect body 'wsgi\.version'
    stop "$signal"
    start middleware
    request /hello/world
    expect body '^Hello, world! This is /hello/world\.$'
    expect fields '^x-content-type-options: nosniff'
    request /sum --data '20 22'
    expect body '^42$'
    request /private/ --user guido:spam
    expect body '^Welcome, guido\.$'
    status=$(curl --silent --noproxy '*' --max-time "$patience" --output "$scratch/body" \
        --write-out '%{http_code}' --user guido:eggs "http://$host:$port/private/")
    [ "$status" = 401 ] || fail "a wrong password: $status"
    stop "$signal"

    start http_echo
    request '/path?a=b' --data ping
    expect fields '^content-type: *application/json'
    expect body '"method": *"POST"'
    expect body '"target": *"/path\?a=b"'
    expect body '"body": *"ping"'
    stop "$signal"

    start public_probes http-garden
    request '/path?a=b' --data ping
    expect body '"body":"cGluZw==","version":"SFRUUC8xLjE=","uri":"L3BhdGg/YT1i","method":"UE9TVA=="'
    stop "$signal"
    start public_probes http11probe
    request /cookie --cookie 'foo=bar; baz=qux'
    expect body '^baz=qux$'
    stop "$signal"

    start access_log
    request '/blocks?a=b' --referer 'http://h/"from"' --user-agent smoke
    stop "$signal"
    grep -qE '^127\.0\.0\.1 - - \[[^]]+ \+0000\] "GET /blocks\?a=b HTTP/1\.1" 200 81 "http://h/\\"from\\"" "smoke"$' \
        "$scratch/log" || fail "does not log: $(cat "$scratch/log")"

    start access_log --format=json
    request / --user-agent smoke
    stop "$signal"
    grep -qE '^\{"time":"[^"]+Z","client":"127\.0\.0\.1","request":"GET / HTTP/1\.1",.*"smoke"\}$' \
        "$scratch/log" || fail "does not log: $(cat "$scratch/log")"

    mkdir -p "$scratch/store"
    head -c 3000000 /dev/urandom >"$scratch/large"
    start upload "$scratch/store" 4000000
    request /file --upload-file "$scratch/large"
    expect fields '^HTTP/1.1 201 '
    request /file --upload-file "$scratch/large"
    expect fields '^HTTP/1.1 204 '
    request /file
    cmp "$scratch/body" "$scratch/large" || fail 'gives back another file'
    cp "$scratch/large" "$scratch/whole"
    head -c 3000000 /dev/urandom >>"$scratch/large"
    echo few >"$scratch/few"
    while read -r expected path options; do
        # Unquoted: they are words.
        status=$(curl --silent --noproxy '*' --max-time "$patience" --path-as-is --output /dev/null \
            --write-out '%{http_code}' $options "http://$host:$port$path") || true
        [ "$status" = "$expected" ] || fail "answers $status for $options $path"
    done <<END
413 /too-large --upload-file $scratch/large
409 /no/such/directory --upload-file $scratch/large
409 /../../file/x --upload-file $scratch/large
409 /file%2F --upload-file $scratch/few
400 /file --upload-file $scratch/few --header Content-Range:bytes
412 /file --upload-file $scratch/few --header If-None-Match:*
412 /file --upload-file $scratch/few --header If-Match:"other"
412 /new --upload-file $scratch/few --header If-Match:*
304 /file --header If-None-Match:*
412 /file --header If-None-Match:* --header If-Match:"other"
405 /file --request POST
404 /../large
END
    cmp "$scratch/store/file" "$scratch/whole" || fail 'changes the file although it refuses to'
    tag=$(curl --silent --noproxy '*' --max-time "$patience" --head "http://$host:$port/file" | tr -d '\r' |
        sed -n 's/^etag: //Ip')
    request /file --upload-file "$scratch/few" --header "If-Match: $tag"
    expect fields '^HTTP/1.1 204 '
    status=$(curl --silent --noproxy '*' --max-time "$patience" --output /dev/null --write-out '%{http_code}' \
        --upload-file "$scratch/whole" --header "If-Match: $tag" "http://$host:$port/file") || true
    [ "$status" = 412 ] || fail "answers $status although the file has changed"
    stop "$signal"
    [ "$(ls -A "$scratch/store")" = file ] || fail 'leaves more than the file'
    cmp "$scratch/store/file" "$scratch/few" || fail 'stores another file'
    rm "$scratch/store/file"

    start panel
    request /
    expect body EventSource
    refused 421 / --header 'Host: evil.example'
    exec 4<>"/dev/tcp/$host/$port"
    printf 'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n' >&4
    for part in $'Content-Type: text/event-stream\r' 'event: numbers' 'data: {"jobs": '; do
        line=
        until [[ $line == "$part"* ]]; do
            read -r -t "$patience" line <&4 || fail "sends no '$part'"
        done
    done
    stop "$signal"
    # The stream has ended in good order: after the last event comes the last chunk.
    rest=$(timeout "$patience" tail -c 5 <&4) || fail 'does not close the stream'
    [ "$rest" = $'0\r\n\r' ] || fail "ends the stream with '$rest'"
    exec 4>&-

    site=$scratch/site
    mkdir -p "$site/photos & more"
    printf 0123456789 >"$site/digits.txt"
    printf 'GIF89a' >"$site/photos & more/a%b.gif"
    for threads in 0 2; do
        start http_server --directory "$site" --threads=$threads
        request /
        expect body '<li><a href="digits\.txt">digits\.txt</a></li>'
        expect body '<li><a href="photos%20%26%20more/">photos &amp; more/</a></li>'
        request /photos%20%26%20more --location
        expect fields '^location: /photos%20%26%20more/$'
        expect body '<a href="a%25b\.gif">'
        request /photos%20%26%20more/a%25b.gif
        expect fields '^content-type: image/gif$'
        request /digits.txt --head
        expect fields '^content-length: 10$'
        # A part, the rest of it, several parts.
        request /digits.txt -r 2-4
        expect body '^234$'
        expect fields '^content-range: bytes 2-4/10$'
        printf 01234 >"$scratch/body"
        request /digits.txt --continue-at -
        expect body '^0123456789$'
        request /digits.txt -r 0-1,8-
        expect fields '^content-type: multipart/byteranges; '
        # Only if it is newer than that file, or than that day.
        touch -r "$site/digits.txt" "$scratch/reference"
        request /digits.txt -z "$scratch/reference"
        expect fields '^HTTP/1\.1 304 '
        request /digits.txt -z '3 Feb 2001'
        expect fields '^HTTP/1\.1 200 '
        stop "$signal"
        grep -q '^Interrupted, exiting\.$' "$scratch/log" || fail 'says no farewell'
        grep -qE '"GET /digits\.txt HTTP/1\.1" 206 3$' "$scratch/log" || fail 'logs nothing'
    done

    start plaintext
    for options in '' '--data ping'; do
        # Unquoted: no word, or two.
        request /plaintext $options
        expect fields '^content-length: *13$'
        expect body '^Hello, World!$'
    done
    stop "$signal"

    for example in echo inherited; do
        start "$example"
        exec 4<>"/dev/tcp/$host/$port"
        converse 4 'hello' 'hello'
        converse 4 'hello again' 'hello again'
        stop "$signal" # the handler waits for its client meanwhile
        exec 4>&-
    done

    while read -r example pattern; do
        start "$example"
        request /
        expect body "$pattern"
        stop "$signal"
    done <<'END'
incoming ^hit 0$
embed_in_your_poll ^0 datagrams
embed_as_one_fd says hello
game_tick ^frame [0-9]+:
two_servers_one_loop ^0 names$
reuse_port ^Loop [0-9]+ of
hooks ^ *ticks: [0-9]+
activated ^hello$
END

    start upstream 127.0.0.1:9 # the port `discard`, where nobody listens
    status=$(curl --silent --noproxy '*' --max-time "$patience" --output "$scratch/body" \
        --write-out '%{http_code}' "http://$host:$port/hello")
    [ "$status" = 502 ] || fail "nobody listens upstream: $status"
    stop "$signal"
    rm -f "$scratch/upstream"
    "$examples/threaded_echo" 127.0.0.1:0 >"$scratch/upstream" 2>&1 &
    upstream=$!
    until [ -s "$scratch/upstream" ] || ! kill -0 "$upstream"; do sleep 0.05; done
    start upstream "$(grep -oE '[0-9.]+:[0-9]+' "$scratch/upstream")"
    request '/hello[1-20]'
    expect body '^/hello[0-9]+$'
    stop "$signal"
    kill -TERM "$upstream"
    wait "$upstream" || fail 'the upstream fails'
    upstream=

    start rest
    request /notes
    expect body '^\{\}$'
    request /notes --header 'Content-Type: application/json' --data '{"title": "milk"}'
    expect fields '^HTTP/1.1 201 '
    expect fields '^location: /notes/1$'
    request /notes/1 --request PUT --header 'Content-Type: application/json' --data '{"title": "oat"}'
    expect fields '^HTTP/1.1 204 '
    request /notes
    expect body '^\{"1":\{"title":"oat"\}\}$'
    while read -r expected path options; do
        # Unquoted: they are words.
        status=$(curl --silent --noproxy '*' --max-time "$patience" --output "$scratch/body" \
            --write-out '%{http_code} %{content_type}' $options "http://$host:$port$path") || true
        [ "$status" = "$expected application/problem+json" ] ||
            fail "answers $status for $options $path"
        expect body "\"status\":$expected,"
    done <<END
400 /notes --header Content-Type:application/json --data {
400 /%ff
404 /notes/2
404 /notes/x --request DELETE
404 /notes%2F1
405 /notes --request DELETE
415 /notes --data {}
END
    request /notes/1 --request DELETE
    expect fields '^HTTP/1.1 204 '
    stop "$signal"

    mkdir -p "$scratch/drop"
    head -c 200000000 /dev/zero >"$scratch/zeros"
    echo 'first' >"$scratch/a & b.txt"
    start file_drop "$scratch/drop"
    request / --form 'file=@"'"$scratch/a & b.txt"'"' --form "file=@$scratch/zeros"
    expect fields '^HTTP/1.1 303 '
    request /
    expect body '<a href="/a%20%26%20b.txt">a &amp; b.txt</a>'
    request /a%20%26%20b.txt
    expect fields '^content-disposition: attachment$'
    cmp "$scratch/body" "$scratch/a & b.txt" || fail 'gives back another file'
    cmp "$scratch/drop/zeros" "$scratch/zeros" || fail 'stores another file'
    while read -r expected path options; do
        # Unquoted: they are words.
        status=$(curl --silent --noproxy '*' --max-time "$patience" --path-as-is --output /dev/null \
            --write-out '%{http_code}' $options "http://$host:$port$path") || true
        [ "$status" = "$expected" ] || fail "answers $status for $options $path"
    done <<END
409 / --form file=@$scratch/zeros
409 / --form file=@$scratch/few;filename=first --form file=@$scratch/zeros
404 /first
303 / --form file=@$scratch/few;filename=../../up
403 / --form file=@$scratch/few;filename=new --header Origin:http://evil.test
400 / --form file=@$scratch/few;filename=..
415 / --data a=b
404 /..%2Fup
404 /.
END
    # The files were larger than what the server may use.
    if [ -e "/proc/$running/status" ]; then
        peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$running/status")
        [ "$peak" -lt 30000 ] || fail "has used $peak kB"
    fi
    stop "$signal"
    [ "$(ls -A "$scratch/drop")" = $'a & b.txt\nup\nzeros' ] || fail "leaves $(ls -A "$scratch/drop")"
    rm -r "$scratch/drop" "$scratch/zeros"

    start chat
    exec 4<>"/dev/tcp/$host/$port"
    converse 4 '' 'You are number 1.'
    exec 5<>"/dev/tcp/$host/$port"
    converse 5 '' 'You are number 2.'
    converse 4 'good morning'
    converse 5 'good evening' '1: good morning'
    converse 4 '' '2: good evening'
    exec 4>&- 5>&-
    stop "$signal"

    for example in websocket_echo chat_websocket; do
        start "$example"
        exec 4<>"/dev/tcp/$host/$port"
        # The first frame, whose mask is zero, comes in the segment of the handshake.
        printf '%b' 'GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' \
            'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n' \
            '\0201\0205\0\0\0\0hello' >"$scratch/handshake"
        cat "$scratch/handshake" >&4 # in one write; printf makes one for each line
        accepted=
        while read -r -t "$patience" line <&4 && [ "$line" != $'\r' ]; do
            [ "$line" != $'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r' ] || accepted=yes
        done
        [ "$accepted" ] || fail 'does not accept the handshake'
        expected=$'\201\005hello'
        [ "$example" = websocket_echo ] || expected=$'\201\021Number 1 is here.\201\0101: hello'
        answer=$(timeout "$patience" head -c ${#expected} <&4) || fail 'sends no frame back'
        [ "$answer" = "$expected" ] || fail "sends '$answer' for 'hello'"
        stop "$signal"
        # Code 1001, and the reason; and then a reset, because this client does not answer.
        timeout "$patience" cat <&4 >"$scratch/body" 2>/dev/null || true
        expect body 'the server is stopping$'
        exec 4>&-
    done

    start graceful_shutdown
    request /slow &
    slow=$!
    read -r -t "$patience" line <&3 || fail 'gets no request'
    stop "$signal"
    wait "$slow" || fail 'leaves a client without its answer'
    grep -q '^Connections: 1 finished, 0 broken off, 0 reset$' "$scratch/log" || fail 'loses a connection'

    start threaded_echo
    # The first client stays, the second is served all the same, and neither delays the end.
    exec 4<>"/dev/tcp/$host/$port" 5<>"/dev/tcp/$host/$port"
    for client in 4 5 4; do
        converse "$client" "hello $client" "hello $client"
    done
    stop "$signal"
    exec 4>&- 5>&-

    start udp_echo
    exec 4<>"/dev/udp/$host/$port"
    printf 'hello\n' >&4
    # `read` would take a byte, and with it the whole datagram.
    answer=$(timeout "$patience" head -n 1 <&4) || fail 'sends no datagram back'
    [ "$answer" = hello ] || fail "echoes '$answer' for 'hello'"
    exec 4>&-
    stop "$signal"

    address=$scratch/socket start unix_echo
    # A Gopher client sends a line and reads what comes.
    answer=$(curl --silent --noproxy '*' --max-time "$patience" --unix-socket "$scratch/socket" \
        gopher://localhost/_hello) || fail 'closes no connection'
    [ "$answer" = $'hello\r' ] || fail "echoes '$answer' for 'hello'"
    stop "$signal"
    [ ! -e "$scratch/socket" ] || fail 'leaves its path'
done

# Whatever a silent client does not do: each example stops.
for example in access_log activated cgi_app chat chat_websocket echo embed_as_one_fd embed_in_your_poll \
    file_drop game_tick graceful_shutdown hooks http_echo http_server incoming inherited middleware panel \
    plaintext proxied rest reuse_port threaded_echo two_servers_one_loop upload upstream websocket_echo \
    wsgi_app wsgi_probe metrics oauth; do
    arguments=()
    case $example in
    upload | file_drop) arguments=("$scratch/store") ;;
    esac
    start "$example" "${arguments[@]}"
    exec 4<>"/dev/tcp/$host/$port"
    stop INT
    exec 4>&-
done

# What one adds to it. The second option is Python's.
printf 'the index' >"$site/index.html"
printf 'me:secret\n' >"$scratch/password"
for threads in 0 2; do
    start http_server --directory "$site" --protocol HTTP/1.1 --threads=$threads --upload --spa --cors \
        --header 'X-A: b' --auth-file "$scratch/password"
    auth=(--user me:secret)
    request /digits.txt "${auth[@]}"
    expect fields '^x-a: b$'
    expect fields '^access-control-allow-origin: \*$'
    request /a/page --header 'Accept: text/html' "${auth[@]}"
    expect body '^the index$'
    request /stored.bin --upload-file "$scratch/large" "${auth[@]}"
    expect fields '^HTTP/1.1 201 '
    cmp "$site/stored.bin" "$scratch/large" || fail 'stores another file'
    rm "$site/stored.bin"
    request '/?upload' "${auth[@]}"
    expect body '<form method="post"'
    request '/photos%20%26%20more/' --form "files=@$scratch/large;filename=../b c" "${auth[@]}"
    expect fields '^HTTP/1.1 303 '
    cmp "$site/photos & more/b c" "$scratch/large" || fail 'stores another file of the form'
    rm "$site/photos & more/b c"
    request / --request OPTIONS --header 'Origin: http://h' --header 'Access-Control-Request-Method: PUT'
    expect fields '^access-control-allow-methods: GET, HEAD, OPTIONS, POST, PUT$'
    while read -r expected options; do
        # Unquoted: they are words.
        refused "$expected" /digits.txt $options
    done <<END
401 --request GET
401 --user me:guess
401 --upload-file $scratch/large
421 --user me:secret --header Host:evil.example
409 --user me:secret --upload-file $scratch/large --path-as-is --request-target /none/x
END
    stop INT
done
rm "$site/index.html"
status=0
HTTP_SERVER_AUTH=me "$examples/http_server" 127.0.0.1:0 2>"$scratch/log" || status=$?
[ "$status" -eq 1 ] || fail "ends with $status without a password in the variable"
status=0
"$examples/http_server" --cgi 2>"$scratch/log" || status=$?
[ "$status" -eq 2 ] && grep -q '^http_server: --cgi: ' "$scratch/log" || fail 'says nothing about --cgi'

# It serves although it cannot print, on the port that was free a moment ago.
title='http_server, with a full standard output'
printf -- '-- %s\n' "$title"
"$examples/http_server" "$host:$port" --directory "$site" >/dev/full 2>"$scratch/output" &
running=$!
exec 3<"$scratch/output"
request /digits.txt --retry 50 --retry-connrefused --retry-delay 0
expect body '^0123456789$'
stop INT

start metrics
request /metrics
expect fields '^content-type: text/plain; version=0\.0\.4; charset=utf-8$'
expect body '^# TYPE jobs_total counter$'
expect body '^jobs_total [1-9][0-9]*$'
expect body '^connections [0-9]+$'
refused 421 /metrics --header 'Host: evil.example'
stop INT

# The browser's other requests, its connections ahead of time, and guesses do not end the wait. It
# comes by IPv6 if the machine has that.
for answer in 'code=a%20b' 'error=access_denied'; do
    start oauth
    read -r -t "$patience" line <&3 || fail 'says no address'
    state=${line##*state=} state=${state%\'}
    exec 4<>"/dev/tcp/$host/$port"
    while read -r expected path; do
        refused "$expected" "$path"
    done <<END
404 /favicon.ico
400 /callback?code=stolen
400 /callback?code=stolen&state=guessed
400 /callback?state=$state
END
    refused 404 "/callback?$answer&state=$state" --head # it only looks at the address
    [ ! -e /proc/net/if_inet6 ] || ! grep -q ' lo$' /proc/net/if_inet6 || host='[::1]'
    request "/callback?$answer&state=$state"
    expect body '^<p>You are (not )?signed in\. You may close this window\.'
    timeout "$patience" cat <&3 >"$scratch/log" || fail 'does not end with its request'
    status=0
    wait "$running" || status=$?
    running=
    exec 3<&- 4>&-
    case $status$answer in
    0code*) grep -q '^code: a b$' "$scratch/log" || fail 'does not say the code' ;;
    1error*) grep -q 'access_denied' "$scratch/log" || fail 'does not say the error' ;;
    *) fail "ends with status $status after $answer" ;;
    esac
done

# A certificate is renewed while the server runs.
if command -v openssl >/dev/null; then
    certify() {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
            -addext subjectAltName=IP:127.0.0.1 -keyout "$scratch/key.pem" -out "$scratch/cert.pem" 2>/dev/null
    }
    certify one
    start https "$scratch/cert.pem" "$scratch/key.pem"
    request_tls() {
        curl --silent --fail --noproxy '*' --max-time "$patience" --cacert "$scratch/cert.pem" \
            "https://$host:$port/" >"$scratch/body" || fail 'no good answer over TLS'
        grep -q '^Hello! You asked an address over TLSv1' "$scratch/body" || fail "$(cat "$scratch/body")"
    }
    request_tls
    certify two
    kill -HUP "$running"
    read -r -t "$patience" line <&3 || fail 'does not notice a hangup'
    [ "$line" = 'The certificate is renewed.' ] || fail "$line"
    request_tls
    stop INT
else
    echo 'SKIPPED: https, because there is no openssl'
fi
# How curl ends: 1 no HTTP, 8 a strange field, 18 cut off, 28 out of time, 52 nothing, 56 broken or reset.
start misbehaving reset=10 truncate=3 too-short silent slow-head=500 close early-close bad-chunk \
    no-last-chunk garbage bad-field endless-head interim=3 status=503 ok
for expected in 56 18 18 28 28 52 '5[26]' 56 18 1 8 '(27|56|100)' 0 22 0; do
    status=0
    curl --silent --fail --noproxy '*' --max-time 1 --output "$scratch/body" "http://$host:$port/" ||
        status=$?
    [[ $status =~ ^$expected$ ]] || fail "curl ends with $status where $expected should be"
done
[ "$(<"$scratch/body")" = hello ] || fail 'does not end with a correct answer'
kill -KILL "$running"
wait "$running" 2>/dev/null || true
running=
exec 3<&-

if [ -e "$scratch/cert.pem" ]; then
    start http_server --directory "$site" --tls-cert "$scratch/cert.pem" --tls-key "$scratch/key.pem"
    curl --silent --fail --noproxy '*' --max-time "$patience" --cacert "$scratch/cert.pem" \
        "https://$host:$port/digits.txt" >"$scratch/body" || fail 'no good answer over TLS'
    [ "$(<"$scratch/body")" = 0123456789 ] || fail 'sends another file over TLS'
    stop INT
fi

title=parse_capture
printf -- '-- %s\n' "$title"
printf 'GET /a HTTP/1.0\r\n\r\nGET /b' | "$examples/parse_capture" - >"$scratch/log" || fail 'fails'
grep -q '^  line: GET /a HTTP/1.0$' "$scratch/log" || fail 'finds no request'
grep -q '^1 requests; ends at byte 25, in the middle of a head$' "$scratch/log" || fail 'finds no end'

title=conformance
printf -- '-- %s\n' "$title"
"$examples/conformance" --start "$examples/http_echo 127.0.0.1:{port}" --group http10 \
    >"$scratch/log" || fail 'finds a fault'
grep -q '^all  *6  *0$' "$scratch/log" || fail 'does not count'
status=0
"$examples/conformance" --start 'false {port}' >"$scratch/log" 2>&1 || status=$?
[ "$status" -eq 1 ] || fail "ends with $status if there is no server"
