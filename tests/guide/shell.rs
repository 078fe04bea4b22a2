//! A shell that is told one command after the other, in a folder and with programs of its own.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::{
    programs,
    support::{free_ports, http, wait::until},
};

/// Nothing that a page shows takes longer, but for what it builds.
const PATIENCE: Duration = Duration::from_secs(60);
/// What begins a line that says how a command has ended.
const ENDED: &str = "\u{1e}ended ";

/// A bash. Whatever it has started ends with it.
pub(crate) struct Shell {
    bash: Child,
    input: ChildStdin,
    folder: TempDir,
    read: usize,
    /// Where the worker answers that it starts.
    http: u16,
    /// The process group that goes on, and the file that has its output.
    following: Option<(Pid, PathBuf)>,
    patience: Duration,
}

impl Shell {
    /// One with these settings of the worker.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Shell {
        Shell::within(tempfile::tempdir().unwrap(), settings)
    }

    /// One whose folder always has the same path, so that cargo builds there what it has built before.
    pub(crate) fn always_at(name: &str, settings: &[(&str, &str)]) -> Shell {
        let folders = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // A test that was killed has left it behind.
        let _nothing = fs::remove_dir_all(folders.join(name));
        let folder = tempfile::Builder::new().prefix(name).rand_bytes(0).tempdir_in(folders);
        Shell::within(folder.unwrap(), settings)
    }

    fn within(folder: TempDir, settings: &[(&str, &str)]) -> Shell {
        let [http, admin] = [free_ports(1), free_ports(1)];
        let programs = programs::lay_out(folder.path(), http, admin);
        fs::create_dir(folder.path().join("here")).unwrap();
        let output =
            fs::File::options().create(true).append(true).open(folder.path().join("output")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc"])
            .current_dir(folder.path().join("here"))
            .env("PATH", format!("{}:{path}", programs.display()))
            .envs(programs::environment(folder.path()))
            .env("ONCEWISE__HTTP__LISTEN", format!("127.0.0.1:{http}"))
            .env("ONCEWISE__ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .envs(settings.iter().map(|(key, value)| (format!("ONCEWISE__{key}"), value)))
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        for name in programs::ours() {
            bash.env_remove(name);
        }
        let mut bash = bash.spawn().unwrap();
        let input = bash.stdin.take().unwrap();
        Shell { bash, input, folder, read: 0, http, following: None, patience: PATIENCE }
    }

    /// With commands that may take so long.
    pub(crate) fn patient(mut self, patience: Duration) -> Shell {
        self.patience = patience;
        self
    }

    /// Where it begins.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("here")
    }

    /// Runs a command: its exit code, and what it wrote.
    pub(crate) async fn run(&mut self, command: &str) -> (i32, String) {
        self.tell(&format!("{{ {command}\n}} </dev/null\nprintf '\\n{ENDED}%d\\n' $?\n"));
        self.heard(command).await
    }

    /// Starts a worker, and waits until it is ready. Another one that works is stopped before.
    pub(crate) async fn start(&mut self, command: &str) {
        self.stop().await;
        let log = self.folder.path().join("log");
        // In a group of processes of its own, which Ctrl-C reaches as a whole.
        self.tell("set -m\n");
        self.tell(&format!("{{ {command}\n}} </dev/null >{} 2>&1 &\n", log.display()));
        self.tell(&format!("set +m\nprintf '\\n{ENDED}%d\\n' $!\n"));
        let (group, _) = self.heard(command).await;
        self.following = Some((Pid::from_raw(group).unwrap(), log));
        until(&format!("{command} to be ready"), self.patience, async || {
            match http::get(self.http, "/readyz").await {
                Ok((200, _)) => Ok(()),
                other => Err((other, self.log())),
            }
        })
        .await;
    }

    /// Ends what works, as by Ctrl-C.
    pub(crate) async fn stop(&mut self) {
        let Some((group, _)) = self.following else { return };
        kill_process_group(group, Signal::INT).unwrap();
        let (code, said) = self.run(&format!("wait {}", group.as_raw_nonzero())).await;
        assert_eq!(code, 0, "{said}{}", self.log());
        self.following = None;
    }

    /// What the worker that works has written.
    pub(crate) fn log(&self) -> String {
        self.following.as_ref().map(|(_, log)| text(log)).unwrap_or_default()
    }

    fn tell(&mut self, words: &str) {
        self.input.write_all(words.as_bytes()).unwrap();
    }

    /// Waits for the next command's end.
    async fn heard(&mut self, command: &str) -> (i32, String) {
        let output = self.folder.path().join("output");
        let began = self.read;
        let (said, code, end) = until(&format!("{command} to end"), self.patience, async || {
            let all = text(&output);
            let new = &all[began..];
            let ended = new.split_once(ENDED).and_then(|(said, rest)| Some((said, rest.split_once('\n')?.0)));
            let (said, code) = ended.ok_or_else(|| new.to_owned())?;
            let length = said.len() + ENDED.len() + code.len() + 1;
            Ok::<_, String>((said.to_owned(), code.parse().unwrap(), began + length))
        })
        .await;
        self.read = end;
        (code, said.replace('\r', ""))
    }
}

fn text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some((group, _)) = self.following.take() {
            let _gone = kill_process_group(group, Signal::KILL);
        }
        let _gone = self.bash.kill();
        let _gone = self.bash.wait();
    }
}
