# shellcheck shell=bash
# A browser without a window, and what judges pages by the rules of accessibility. Needs common.sh. Sourced, never run.

AXE_VERSION=4.10.3
AXE_SUM=0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292

# browser_fetch: installs Chromium with its driver, and brings axe-core, unless they are there; its file in ONCEWISE_TEST_AXE.
browser_fetch() {
    local axe="$PWD/target/tools/axe-core-$AXE_VERSION.js" packed
    install_missing chromium=chromium chromedriver=chromium-driver curl=curl
    export ONCEWISE_TEST_AXE=$axe
    [[ ! -e $axe ]] || return 0
    say "fetching axe-core $AXE_VERSION"
    mkdir -p "${axe%/*}"
    packed=$(mktemp -t axe-core.XXXXXX)
    curl -fsS "https://registry.npmjs.org/axe-core/-/axe-core-$AXE_VERSION.tgz" -o "$packed"
    sha256sum --quiet --check <<<"$AXE_SUM  $packed" >&2 || die "axe-core $AXE_VERSION is not what it was"
    tar -xzOf "$packed" package/axe.min.js >"$axe.partial"
    mv "$axe.partial" "$axe"
    rm "$packed"
}
