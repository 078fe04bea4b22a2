//! The programs that a page calls: the worker under test, Kafka's own tool, cargo; and what they find in their environment.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{WORKER, support::repository};

/// `worker`, with a person at the terminal who says yes to whatever is asked.
const PERSON: &str = r#"[[ " $* " != *" run "* ]] || exec "$WORKER" "$@"
# The end of what is typed would be waited for: so it has none.
typed=$(mktemp -u)
mkfifo "$typed"
exec 3<>"$typed"
rm "$typed"
echo y >&3
exec script --quiet --return --command "stty cols 300; $(printf '%q ' "$WORKER" "$@")" /dev/null <&3"#;
/// Kafka's own tool, from the jars of the tests.
const KAFKA_TOPICS: &str = r#"cd "$REPOSITORY"
. tests/services/common.sh
. tests/services/kafka.sh
kafka_java 128m org.apache.kafka.tools.TopicCommand "$@""#;
/// Cargo. In a clone of the repository it runs the worker that is built already; a project beside it takes the framework from
/// there, and shares whatever has the same features.
const CARGO: &str = r#"if [[ $* == "run -- demo" || $* == "run -- new "* ]]; then
    shift 2
    [[ $1 != new ]] || set -- "$@" --framework "$REPOSITORY"
    exec worker "$@"
fi
exec "$TESTED_CARGO" "$1" --offline --features "$FEATURES" "${@:2}""#;
/// What the tests are built with, so far as a project can ask for it.
const FEATURES: &str = "oncewise/crash-points,oncewise/fuzzing,oncewise/otlp,oncewise/protobuf,oncewise/testing,serde/alloc,serde/rc";

/// Writes them below a folder, and where `curl` finds the addresses of the pages; the folder of the programs.
pub(crate) fn lay_out(folder: &Path, http: u16, admin: u16) -> PathBuf {
    let pods = [("POD:9464", http), ("localhost:9464", http), ("127.0.0.1:9465", admin)];
    let pods = pods.map(|(address, port)| format!("connect-to = \"{address}:127.0.0.1:{port}\"\n"));
    fs::write(folder.join(".curlrc"), format!("fail-with-body\n{}", pods.concat())).unwrap();
    let programs = folder.join("programs");
    fs::create_dir(&programs).unwrap();
    for (name, script) in [("worker", PERSON), ("kafka-topics.sh", KAFKA_TOPICS), ("cargo", CARGO)] {
        let path = programs.join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    programs
}

/// What they need to know.
pub(crate) fn environment(folder: &Path) -> [(&'static str, OsString); 7] {
    // The folder in which cargo has built this.
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    [
        ("CURL_HOME", folder.into()),
        ("WORKER", WORKER.into()),
        ("REPOSITORY", repository().into()),
        ("TESTED_CARGO", env!("CARGO").into()),
        ("FEATURES", FEATURES.into()),
        ("CARGO_TARGET_DIR", target.into()),
        // As in our own Cargo.toml.
        ("CARGO_PROFILE_DEV_DEBUG", "line-tables-only".into()),
    ]
}

/// What cargo tells a test about its own package. Some crates are built anew where it has changed (`rerun-if-env-changed`),
/// and once more by the next cargo that is not within a test.
pub(crate) fn ours() -> impl Iterator<Item = String> {
    let is_ours = |name: &String| {
        name == "OUT_DIR" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start))
    };
    std::env::vars().map(|(name, _)| name).filter(is_ours)
}
