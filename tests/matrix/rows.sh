# shellcheck shell=bash
# The rows of the matrix of faults. Sourced, never run.

ROWS=tests/matrix/rows.toml
PART=1 PARTS=1

# rows: `number|core|fault|expectation|reason|tests` of each row; a test of the architecture keeps the file this simple.
rows() {
    awk '
        function text(line) { sub(/^[a-z]+ = "/, "", line); sub(/"$/, "", line); return line }
        function row() { if (number) print number "|" core "|" fault "|" expect "|" reason "|" tests }
        /^\[\[row\]\]/ { row(); number = core = fault = expect = reason = tests = "" }
        /^number = / { number = $3 }
        /^core = true/ { core = "core" }
        /^fault = / { fault = text($0) }
        /^expect = / { expect = text($0) }
        /^reason = / { reason = text($0) }
        /^tests = |^    "/ {
            while (match($0, /"[a-z0-9_:]+"/)) {
                tests = tests (tests ? " " : "") substr($0, RSTART + 1, RLENGTH - 2)
                $0 = substr($0, RSTART + RLENGTH)
            }
        }
        END { row() }
    ' "$ROWS"
}

# select_rows core|all|NUMBER...: the lines of `rows` that are meant and belong to this shard.
select_rows() {
    rows | awk -F'|' -v wanted=" $* " -v part="$PART" -v parts="$PARTS" '
        wanted == " all " || (wanted == " core " && $2 == "core") || index(wanted, " " $1 " ") {
            if (seen++ % parts == part - 1) print
        }'
}

# judges: the tests that show the checker workers with mistakes, where they are meant.
judges() {
    [[ " $* " =~ ' core '|' all '|' judge ' ]] && ((PART == 1)) || return 0
    sed -n 's/^async fn \([a-z_]*_says_so\)(.*/matrix::mistakes::\1/p' tests/matrix/mistakes.rs
}

# tests_of TARGET: reads lines of `rows`; the tests of this target that they name, in the words of libtest.
tests_of() { cut -d'|' -f6 | tr ' ' '\n' | sed -n "s/^$1:://p" | sort -u; }
