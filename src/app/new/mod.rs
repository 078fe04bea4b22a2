//! `new`: a project to begin with, a service with one handler and its test.

mod name;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{FINE, failed, refuse};

/// The files of a project called `starter`; each is written with the name that was asked for.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("template/manifest.toml")),
    (".gitignore", include_str!("template/gitignore")),
    ("README.md", include_str!("template/README.md")),
    ("config/default.toml", include_str!("template/config/default.toml")),
    ("src/main.rs", include_str!("template/src/main.rs")),
    ("src/welcome.rs", include_str!("template/src/welcome.rs")),
    ("src/mailer.rs", include_str!("template/src/mailer.rs")),
];

/// What `new` is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The project's name, or the path of its folder, which ends in it
    #[arg(value_name = "NAME")]
    project: PathBuf,
    /// Where the framework is; without it, the repository around the current folder counts, or else the published version
    #[arg(long, value_name = "DIR")]
    framework: Option<PathBuf>,
}

pub(super) fn run(args: &New) -> ExitCode {
    let folder = &args.project;
    // A path such as `..` ends in no name at all.
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Err(problem) = name::check(name) {
        return refuse(problem);
    }
    let framework = match framework(args) {
        Ok(framework) => framework,
        Err(problem) => return refuse(problem),
    };
    match write(folder, name, framework.as_deref()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return refuse(format!(
                "new {name:?}: {} is there already; allowed is the name of a folder that is not",
                folder.display()
            ));
        }
        Err(error) => {
            return failed(format!(
                "new {name:?}: {} cannot be written ({error}); go to a folder that can, or name one: new PATH/{name}",
                folder.display()
            ));
        }
    }
    // Whoever has only the binary may have no registry that knows it.
    if framework.is_none() {
        println!(
            "It takes oncewise {} from the registry; --framework DIR takes it from a folder.\n",
            env!("CARGO_PKG_VERSION")
        );
    }
    println!(
        "{folder} holds a service with one handler and its test:\n\n    cd {folder}\n    cargo test\n    cargo run -- check",
        folder = folder.display()
    );
    ExitCode::from(FINE)
}

/// The folder of the framework, or none for the published version.
fn framework(args: &New) -> Result<Option<PathBuf>, String> {
    let Some(named) = &args.framework else {
        let here = env::current_dir().unwrap_or_default();
        return Ok(here.ancestors().find(|folder| is_framework(folder)).map(Path::to_owned));
    };
    match named.canonicalize() {
        Ok(folder) if is_framework(&folder) => Ok(Some(folder)),
        _ => Err(format!("--framework {named:?}: allowed is the folder of oncewise's own Cargo.toml")),
    }
}

fn is_framework(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| line == "name = \"oncewise\"")
}

/// All of it, or nothing.
fn write(folder: &Path, name: &str, framework: Option<&Path>) -> io::Result<()> {
    fs::create_dir(folder)?;
    let written = FILES.iter().try_for_each(|(path, text)| {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, named(text, name, framework))
    });
    if written.is_err() {
        // The first reason is the one to be told.
        drop(fs::remove_dir_all(folder));
    }
    written
}

/// A file of `starter` as one of a project of this name. Services have no hyphens.
fn named(text: &str, name: &str, framework: Option<&Path>) -> String {
    let source = match framework {
        // A text with quotes and escapes of Rust's is one of TOML's, too.
        Some(folder) => format!("path = {:?}", folder.display().to_string()),
        None => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
    };
    text.replace("Service::new(\"starter\")", &format!("Service::new({:?})", name.replace('-', "_")))
        .replace("starter", name)
        .replace("oncewise = \"0.1\"", &format!("oncewise = {{ {source} }}"))
        .replace("oncewise = { features", &format!("oncewise = {{ {source}, features"))
}
