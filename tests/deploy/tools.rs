//! What others have written to look at such files: `tests/deploy/tools` brings it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::root;

/// Where the tools are; fetched once for each machine.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let fetched = Command::new(root().join("tests/deploy/tools")).output().unwrap();
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    PathBuf::from(String::from_utf8(fetched.stdout).unwrap().trim_end())
});

/// Runs a tool in the repository's folder; what it prints when it finds nothing wrong.
pub(crate) fn run(tool: &str, args: &[impl AsRef<OsStr>]) -> String {
    let done = Command::new(FOLDER.join(tool)).args(args).current_dir(root()).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{tool}: {said}{complained}");
    said.into_owned()
}

/// Whether this is a value of that type, which a package of `node_modules` declares: unknown keys are refused, too.
pub(crate) fn is_of_type(kind: &str, module: &str, value: &serde_json::Value) {
    let modules = FOLDER.join("node/node_modules");
    // Names are looked up from where the file is.
    let file = tempfile::Builder::new().suffix(".ts").tempfile_in(FOLDER.join("node")).unwrap();
    let source = format!("import {{ {kind} }} from \"{module}\";\nexport const value: {kind} = {value};\n");
    std::fs::write(file.path(), source).unwrap();
    let compiler = modules.join("typescript/bin/tsc");
    let flags = ["--noEmit", "--strict", "--skipLibCheck"];
    let checked = Command::new("node").arg(compiler).args(flags).arg(file.path()).output().unwrap();
    assert!(checked.status.success(), "{value:#}\n{}", String::from_utf8_lossy(&checked.stdout));
}
