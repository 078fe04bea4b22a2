//! The image: what goes in exists, what is built is the worker, and it runs as nobody.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{
    WORKER,
    dockerfile::{all, copies, last},
    root,
};

fn shell(folder: &Path, script: &str) {
    let done = Command::new("bash").args(["-euc", script]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_is_copied_exists_and_is_sent_to_the_builder() {
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let sent: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignore.lines().any(|line| line == "*"), "nothing else is sent, no secrets above all");
    assert!(sent.iter().all(|path| !path.starts_with("deploy") && root().join(path).exists()), "{sent:?}");
    let copies = copies();
    assert!(copies.len() >= 4, "{copies:?}");
    for source in copies.iter().flat_map(|(sources, _)| sources) {
        assert!(root().join(source).exists(), "{source} does not exist");
        let top = source.split('/').next().unwrap();
        assert!(sent.contains(&top) || sent.contains(&source.as_str()), "{source} is not sent");
    }
}

/// A profile beside it may hold the passwords of whoever builds, and anybody can unpack an image.
#[test]
fn of_the_configuration_only_the_defaults_are_sent_and_copied() {
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let sent: Vec<&str> = ignore.lines().filter(|line| line.starts_with("!config")).collect();
    assert_eq!(sent, ["!config/default.toml"]);
    let (builder, image): (Vec<_>, Vec<_>) =
        copies().into_iter().partition(|(_, target)| target != "config/");
    assert_eq!(image, [(vec!["config/default.toml".to_owned()], "config/".to_owned())]);
    assert!(builder.iter().flat_map(|(sources, _)| sources).all(|source| !source.starts_with("config")));
}

/// The layer of what others wrote: the manifests and stubs are enough for Cargo.
#[test]
fn the_manifests_alone_are_a_workspace_that_fits_its_lock_file() {
    let folder = tempfile::tempdir().unwrap();
    for (sources, target) in copies().into_iter().take(3) {
        let target = folder.path().join(target);
        fs::create_dir_all(&target).unwrap();
        for source in sources {
            let source = root().join(source);
            fs::copy(&source, target.join(source.file_name().unwrap())).unwrap();
        }
    }
    let stubs = all("RUN").remove(0);
    let (_, stubs) = stubs.split_once("mkdir").unwrap();
    let (stubs, build) = stubs.split_once("&& cargo build").unwrap();
    shell(folder.path(), &format!("mkdir {stubs}"));
    assert!(build.contains("--release --locked --package handlers --bin worker"), "{build}");
    let metadata = "cargo metadata --offline --locked --format-version 1";
    shell(folder.path(), &format!("{metadata} | grep --quiet '\"name\":\"worker\"'"));
}

#[test]
fn what_is_built_is_the_worker_that_starts() {
    let mut builds = all("RUN");
    builds.retain(|run| run.contains("cargo build"));
    let build = builds.last().unwrap();
    assert!(build.contains("cargo build --release --locked --package handlers --bin worker"), "{build}");
    let binary = "/build/target/release/worker /usr/local/bin/worker";
    assert!(all("COPY").iter().any(|copy| copy.ends_with(binary) && copy.starts_with("--from=build ")));
    assert!(Path::new(WORKER).file_name().unwrap() == "worker");
    assert_eq!((last("ENTRYPOINT"), last("CMD")), (r#"["worker"]"#.to_owned(), r#"["run"]"#.to_owned()));
    assert_eq!(last("STOPSIGNAL"), "SIGTERM");
    assert!(last("HEALTHCHECK").ends_with(r#"CMD ["worker", "probe", "livez"]"#), "{}", last("HEALTHCHECK"));
    let listen = last("ENV");
    let port = listen.strip_prefix("ONCEWISE__HTTP__LISTEN=0.0.0.0:").unwrap();
    assert_eq!(port, last("EXPOSE"));
}

#[test]
fn it_runs_as_a_user_by_number_who_is_not_root() {
    let user = last("USER");
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id >= 10_000), "{user}");
}

#[test]
fn bases_are_pinned_and_the_compiler_is_new_enough() {
    let bases = all("FROM");
    let [builder, base] = &bases[..] else { panic!("{bases:?}") };
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let needed = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    let needed = needed.trim_end_matches('"');
    assert!(
        builder.starts_with(&format!("rust:{needed}.")) && builder.ends_with("-bookworm AS build"),
        "{builder}"
    );
    assert_eq!(base.split_once(':').unwrap().1.split('-').next().unwrap().split('.').count(), 2, "{base}");
    assert!(base.starts_with("debian:12."), "the Debian that it was built on: {base}");
}

/// Debian's slim image holds these, but for OpenSSL; whoever adds another one has to install it there.
#[test]
fn the_worker_needs_no_library_that_the_image_lacks() {
    const THERE: [&str; 6] = ["linux-vdso", "libz.", "libgcc_s.", "libm.", "libc.", "ld-linux"];
    const OPENSSL: [&str; 2] = ["libssl.so.3", "libcrypto.so.3"];
    assert!(
        last("RUN").contains("apt-get install --yes --no-install-recommends libssl3 "),
        "{}",
        last("RUN")
    );
    let linked = Command::new("ldd").arg(WORKER).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    assert!(linked.contains("libc."), "{linked}");
    for line in linked.lines() {
        let name = line.trim().rsplit_once("/ld-linux").map_or(line.trim(), |_| "ld-linux");
        assert!(THERE.iter().chain(&OPENSSL).any(|there| name.starts_with(there)), "{line}");
    }
}
