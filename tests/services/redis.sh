# shellcheck shell=bash
# A Redis of our own, without persistence. Needs common.sh.

# redis_start DIR PORT: starts it and waits until it answers; its process id in REDIS_PID.
redis_start() {
    local dir=$1 port=$2
    mkdir -p "$dir"
    redis-server --bind 127.0.0.1 --port "$port" --dir "$dir" --save '' --appendonly no >"$dir/log" 2>&1 &
    REDIS_PID=$!
    await Redis "$REDIS_PID" "$dir/log" 20 redis-cli -p "$port" ping
}
