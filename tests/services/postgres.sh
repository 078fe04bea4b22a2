# shellcheck shell=bash
# A PostgreSQL of our own, without care for what a crash leaves. Needs common.sh.

# The server is asked for it, so that a test that sends none, or shows it, is seen.
POSTGRES_PASSWORD='right-password'

# postgres_bin: where Debian keeps the commands of the server, which are not in the path.
postgres_bin() { find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1; }

# postgres_install: installs the server, unless it is there. Debian would start one of its own with it; nobody asked
# for that one.
postgres_install() {
    [[ ! -x $(postgres_bin)/postgres ]] || return 0
    if [[ $(id -u) == 0 && ! -e /etc/postgresql-common/createcluster.conf ]]; then
        mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    install_missing "$(postgres_bin)/postgres=postgresql"
}

# postgres_as COMMAND...: becomes the command, as somebody whom the server allows: it refuses root.
postgres_as() {
    if [[ $(id -u) == 0 ]]; then
        exec setpriv --reuid postgres --regid postgres --clear-groups -- "$@"
    fi
    exec "$@"
}

# postgres_start DIR PORT: starts a fresh server and waits until it answers; its process id in POSTGRES_PID.
postgres_start() {
    local dir=$1 port=$2 bin
    bin=$(postgres_bin)
    mkdir -p "$dir"
    # Its user has to reach what is its own, and nothing beside it.
    chmod 711 "$(dirname "$dir")"
    echo "$POSTGRES_PASSWORD" >"$dir/password"
    [[ $(id -u) != 0 ]] || chown -R postgres: "$dir"
    (postgres_as "$bin/initdb" --pgdata "$dir/data" --username postgres --auth scram-sha-256 --no-sync \
        --encoding UTF8 --locale C --pwfile "$dir/password") >"$dir/log" 2>&1 || {
        cat "$dir/log" >&2
        die "PostgreSQL's data folder could not be made"
    }
    postgres_as "$bin/postgres" -D "$dir/data" -k "$dir" -h 127.0.0.1 -p "$port" -c fsync=off \
        -c full_page_writes=off -c synchronous_commit=off -c max_connections=300 >>"$dir/log" 2>&1 &
    POSTGRES_PID=$!
    await PostgreSQL "$POSTGRES_PID" "$dir/log" 20 "$bin/pg_isready" -h 127.0.0.1 -p "$port"
}
