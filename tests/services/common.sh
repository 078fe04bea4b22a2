# shellcheck shell=bash
# What the files of this folder share. Sourced, never run.

# say TEXT...: one line for the person who watches.
say() { printf '%s\n' "$*" >&2; }

# die TEXT...: the reason, then the end.
die() {
    say "tests/run: $*"
    exit 1
}

# install_missing COMMAND=PACKAGE...: installs Debian's packages of the commands that are not there.
install_missing() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    [[ $(id -u) == 0 ]] || die "needs Debian's packages ${missing[*]}: install them, or run as root"
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null
    for pair in redis-server prometheus; do
        [[ " ${missing[*]} " != *" $pair "* ]] || stop_packaged "$pair"
    done
}

# stop_packaged SERVICE: Debian starts a server of its own when its package is installed; nobody asked for that one.
stop_packaged() {
    service "$1" stop >/dev/null 2>&1 || true
    update-rc.d "$1" disable >/dev/null 2>&1 || true
}

# free_ports COUNT: the first of COUNT neighbouring free ports, below the range that outgoing connections take theirs from.
free_ports() {
    local count=$1 first port
    while true; do
        first=$((20000 + RANDOM % 12000))
        for ((port = first; port < first + count; port++)); do
            ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || continue 2
        done
        echo "$first"
        return
    done
}

# await NAME PID LOG SECONDS PROBE...: waits until PROBE succeeds; the end of PID or of the time is an error.
await() {
    local name=$1 pid=$2 log=$3 deadline=$((SECONDS + $4))
    shift 4
    until "$@" >/dev/null 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 30 "$log" >&2
            die "$name does not answer; its last words are above"
        fi
        sleep 0.1
    done
}

# The OpenSSL that Kafka's client is built with.
install_openssl() {
    [[ -e /usr/include/openssl/ssl.h ]] || install_missing openssl.h=libssl-dev
    install_missing pkg-config=pkg-config
}
