# shellcheck shell=bash
# Every service that tests need, started fresh and thrown away. Needs common.sh. Sourced, never run.

. tests/services/kafka.sh
. tests/services/kafka_tls.sh
. tests/services/redis.sh
. tests/services/postgres.sh
. tests/services/browser.sh

# All but `oidc`, which needs one more library of the system.
FEATURES=oncewise/crash-points,oncewise/fuzzing,oncewise/protobuf,oncewise/testing
WORK=$(mktemp -d -t oncewise-tests.XXXXXX)
KAFKA_PID='' REDIS_PID='' POSTGRES_PID=''

start_services() {
    local port
    install_missing java=default-jre-headless redis-server=redis-server redis-cli=redis-tools kcat=kcat openssl=openssl curl=curl script=bsdutils \
        prometheus=prometheus promtool=prometheus
    kafka_fetch
    ONCEWISE_TEST_KAFKA_CLASSPATH="$(kafka_libs)/*"
    export ONCEWISE_TEST_KAFKA_CLASSPATH
    postgres_install
    browser_fetch
    port=$(free_ports 9)
    redis_start "$WORK/redis" $((port + 3))
    postgres_start "$WORK/postgres" $((port + 4))
    kafka_start "$WORK/kafka" "$port" $((port + 5))
    export ONCEWISE_TEST_BROKERS="127.0.0.1:$port"
    export ONCEWISE_TEST_BROKERS_SASL="127.0.0.1:$((port + 1))"
    export ONCEWISE_TEST_KAFKA_TLS="$WORK/kafka/tls"
    export ONCEWISE_TEST_BROKERS_MTLS="localhost:$((port + 5))"
    export ONCEWISE_TEST_BROKERS_SCRAM="localhost:$((port + 6))"
    export ONCEWISE_TEST_BROKERS_TOKEN="localhost:$((port + 7))"
    export ONCEWISE_TEST_BROKERS_EXPIRED="localhost:$((port + 8))"
    export ONCEWISE_TEST_REDIS="redis://127.0.0.1:$((port + 3))/"
    export ONCEWISE_TEST_POSTGRES="postgres://postgres:$POSTGRES_PASSWORD@127.0.0.1:$((port + 4))/postgres"
    export ONCEWISE_TEST_POSTGRES_CERTIFICATE="$WORK/postgres/$POSTGRES_CERTIFICATE"
}

# What the services hold is thrown away, so they need no polite goodbye.
stop_services() {
    local pid
    for pid in $KAFKA_PID $REDIS_PID; do
        kill -KILL "$pid" || true
        wait "$pid" || true
    done
    # Except that a PostgreSQL which is killed leaves its shared memory behind.
    [[ -z $POSTGRES_PID ]] || { kill -QUIT "$POSTGRES_PID" && wait "$POSTGRES_PID"; } || true
}

# Measuring is not testing: see benches/run.
run_tests() { cargo test --workspace --exclude benches --features "$FEATURES" "$@" | tee -a "$WORK/tests.log"; }

# say_panics: why tests have failed, once more where a reader begins: what their workers wrote may fill pages.
say_panics() { grep -s -A 2 ' panicked at ' "$WORK/tests.log" | cut -c 1-2000 >&2 || true; }
