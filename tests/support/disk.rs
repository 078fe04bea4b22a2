//! Disks that are small, and full when a test says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A disk in memory of so many MiB, gone when dropped. Only root may make one.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Makes one.
    pub fn of(mebibytes: u32) -> SmallDisk {
        let disk = SmallDisk { folder: tempfile::tempdir().expect("a folder for a disk") };
        let size = format!("size={mebibytes}m");
        disk.run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]));
        disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves no room on it.
    pub fn fill(&self) {
        let room = [0; 4096];
        let mut file = fs::File::create(self.filling()).expect("a file on the disk");
        while std::io::Write::write_all(&mut file, &room).is_ok() {}
    }

    /// Takes away what has filled it.
    pub fn make_room(&self) {
        fs::remove_file(self.filling()).expect("what has filled the disk");
    }

    /// Gives it so many MiB in all.
    pub fn grow(&self, mebibytes: u32) {
        self.run(Command::new("mount").args(["-o", &format!("remount,size={mebibytes}m")]));
    }

    fn filling(&self) -> PathBuf {
        self.path().join("filling")
    }

    fn run(&self, command: &mut Command) {
        let done = command.arg(self.path()).status().expect("mount");
        assert!(done.success(), "mount is refused: this test has to be run by root");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has files open there keeps them until it ends.
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}
