# shellcheck shell=bash
# A broker and a Redis for measuring, and what measures. Sourced from the repository's root, never run.
. tests/services/common.sh
. tests/services/kafka.sh
. tests/services/redis.sh

WORK=$(mktemp -d -t oncewise-bench.XXXXXX)
KAFKA_PID='' REDIS_PID=''

# What the services hold is thrown away, so they need no polite goodbye.
finish() {
    local status=$? pid
    trap - EXIT
    for pid in $KAFKA_PID $REDIS_PID; do
        kill -KILL "$pid" || true
        wait "$pid" || true
    done 2>/dev/null
    rm -rf "$WORK"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start_services: fresh ones, named in BROKERS and REDIS_URL.
start_services() {
    local port
    install_missing java=default-jre-headless redis-server=redis-server redis-cli=redis-tools kcat=kcat
    kafka_fetch
    ONCEWISE_TEST_KAFKA_CLASSPATH="$(kafka_libs)/*"
    port=$(free_ports 4)
    redis_start "$WORK/redis" $((port + 3))
    kafka_start "$WORK/kafka" "$port"
    export BROKERS="127.0.0.1:$port" REDIS_URL="redis://127.0.0.1:$((port + 3))"
}
