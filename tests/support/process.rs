//! A worker in a process of its own, so that it can be killed.

use std::ffi::OsStr;
use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::NamedTempFile;

use super::wait::until;

/// A password that every pod of every test is given, and that none may ever show.
pub const CANARY: &str = "canary-of-every-pod-0815";

/// A running process. Killed when dropped; when the test is failing, what it wrote is printed then.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    name: String,
    output: NamedTempFile,
}

impl Worker {
    /// Starts `program`, usually `env!("CARGO_BIN_EXE_…")`, with `args` and, on top of this process' own, `env`.
    pub fn start(program: impl AsRef<OsStr>, args: &[&str], env: &[(&str, &str)]) -> Worker {
        let mut command = Command::new(program);
        command.args(args).envs(env.iter().copied());
        Worker::spawn(command)
    }

    /// Starts `command`; both its outputs go to one file.
    pub fn spawn(mut command: Command) -> Worker {
        let output = NamedTempFile::new().expect("a file for the output");
        // Two descriptors with positions of their own would write over each other; `O_APPEND` has only the end.
        let append = || {
            let file = fs::OpenOptions::new().append(true).open(output.path());
            Stdio::from(file.expect("the output's file"))
        };
        let name = command.get_program().display().to_string();
        command.stdin(Stdio::null()).stdout(append()).stderr(append());
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Worker { child, name, output }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, both outputs in the order of arrival.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.output.path()).expect("the output's file")).into_owned()
    }

    /// Ends it without a warning, as the kernel does when memory runs out, and reaps it.
    pub fn kill_9(&mut self) -> ExitStatus {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("the exit status")
    }

    /// Asks it to end (SIGTERM), as Kubernetes does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Freezes it (SIGSTOP): alive for the kernel, silent for everybody else.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        // On a busy machine its threads run on for a moment after the signal.
        let stands = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), stands).expect("a child that stands");
    }

    /// Lets a frozen one go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends any signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a process to signal");
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the exit status")
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        until(&what, deadline, async || self.ended().ok_or("it runs")).await
    }

    /// Waits until it has written `text`.
    pub async fn says(&mut self, text: &str, deadline: Duration) {
        let what = format!("{} to write {text:?}", self.name);
        until(
            &what,
            deadline,
            async || if self.output().contains(text) { Ok(()) } else { Err(self.output()) },
        )
        .await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let ended = self.ended();
        if ended.is_none() {
            self.kill_9();
        }
        if std::thread::panicking() {
            let how = ended.map_or("runs".to_owned(), |status| format!("ended with {status}"));
            eprintln!("── {} (process {}, {how}) wrote:\n{}──", self.name, self.pid(), self.output());
        } else {
            assert!(!self.output().contains(CANARY), "{} has shown a secret: {}", self.name, self.output());
        }
    }
}
