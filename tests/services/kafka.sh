# shellcheck shell=bash
# A Kafka of our own: KRaft, one process, from the jars that Maven fetches once. Needs common.sh.

KAFKA_SOURCE=$(dirname "${BASH_SOURCE[0]}")

# kafka_libs: the folder of the jars, named after the version in pom.xml.
kafka_libs() {
    local version
    version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$KAFKA_SOURCE/pom.xml")
    echo "$PWD/target/kafka/$version/libs"
}

# kafka_fetch: brings the jars, unless they are there; half a download never counts as one.
kafka_fetch() {
    local libs
    libs=$(kafka_libs)
    [[ ! -d $libs ]] || return 0
    say "fetching Kafka's jars"
    install_missing mvn=maven
    rm -rf "$libs.partial"
    mvn -q -B -ntp -f "$KAFKA_SOURCE/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs.partial" >&2
    mv "$libs.partial" "$libs"
}

# kafka_java MEMORY CLASS ARGUMENTS...: becomes the Java process, so that its id is the one of the shell.
kafka_java() {
    local memory=$1
    shift
    exec java "-Xmx$memory" -XX:+UseSerialGC -cp "$ONCEWISE_TEST_KAFKA_CLASSPATH" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn "$@"
}

# kafka_format DIR PORT [PROPERTIES]: writes a fresh server of ports PORT (plain), +1 (password) and +2 (controller)
# into DIR; of a property that is given twice the last counts. Its user `worker` has the password `right-password` at
# listeners that ask for SCRAM-SHA-512.
kafka_format() {
    local dir=$1 port=$2 more=${3:-}
    mkdir -p "$dir"
    sed -e "s:@DATA@:$dir/data:" -e "s:@PLAIN_PORT@:$port:g" -e "s:@SASL_PORT@:$((port + 1)):g" \
        -e "s:@CONTROLLER_PORT@:$((port + 2)):g" "$KAFKA_SOURCE/server.properties.in" >"$dir/server.properties"
    printf '%s\n' "$more" >>"$dir/server.properties"
    (kafka_java 256m kafka.tools.StorageTool format --cluster-id MkU3OEVBNTcwNTJENDM2Qg \
        --add-scram 'SCRAM-SHA-512=[name=worker,password=right-password]' \
        --config "$dir/server.properties") >"$dir/log" 2>&1 || {
        cat "$dir/log" >&2
        die "Kafka's data folder could not be made"
    }
}

# kafka_start DIR PORT [TLS_PORT]: starts a fresh server, with the listeners of kafka_tls.sh where they get ports, and waits
# until it answers; its process id in KAFKA_PID.
kafka_start() {
    local dir=$1 port=$2
    kafka_format "$dir" "$port"
    [[ -z ${3-} ]] || kafka_tls "$dir" "$3"
    kafka_java 1g kafka.Kafka "$dir/server.properties" >>"$dir/log" 2>&1 &
    KAFKA_PID=$!
    await Kafka "$KAFKA_PID" "$dir/log" 60 kcat -b "127.0.0.1:$port" -L -m 2
}
