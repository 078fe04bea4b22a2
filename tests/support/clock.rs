//! A time of day that a test may set, for processes that are started with it.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The time of day of some processes, right until it is set.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// A new one, with the help of the machine's C compiler.
    pub fn new() -> Clock {
        let clock = Clock { folder: tempfile::tempdir().expect("a folder for the clock") };
        let source = super::repository().join("tests/services/clock.c");
        let mut compiler = Command::new("cc");
        let made = compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.library()).arg(source).status();
        assert!(made.expect("a C compiler").success(), "clock.c does not compile");
        clock.set(0);
        clock
    }

    /// Sets it so many seconds ahead of what it is, or behind.
    pub fn set(&self, seconds: i64) {
        use std::io::Write;
        // Written in place: the processes have mapped it.
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(self.shift());
        file.as_mut().expect("the clock's file").write_all(&seconds.to_ne_bytes()).expect("the clock set");
    }

    /// What goes into a process' environment.
    pub fn environment(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        [("LD_PRELOAD".to_owned(), text(&self.library())), ("CLOCK_SHIFT".to_owned(), text(&self.shift()))]
    }

    fn library(&self) -> std::path::PathBuf {
        self.folder.path().join("clock.so")
    }

    fn shift(&self) -> std::path::PathBuf {
        self.folder.path().join("shift")
    }
}
