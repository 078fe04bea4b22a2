//! A wire between a client and a server that a test may stall, cut, or let lose what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

#[derive(Default)]
struct Switches {
    accepted: AtomicU64,
    /// Connections up to this number carry nothing any more, and nobody is told.
    stalled: AtomicU64,
    losing: AtomicBool,
    /// Seconds by which a Redis behind it seems to be ahead of itself.
    ahead: AtomicI64,
}

/// A port that leads to a server.
pub struct Proxy {
    port: u16,
    switches: Arc<Switches>,
    cut: watch::Sender<u64>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A new one, to a port of this machine.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let switches = Arc::new(Switches::default());
        let (cut, cuts) = watch::channel(0);
        let shared = switches.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (there, back) = (shared.clone(), shared.clone());
                let mut cuts = cuts.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pump(from_client, to_server, move |_| there.stalled.load(Ordering::SeqCst) >= number) => {}
                        () = pump(from_server, to_client, move |said| {
                            shift_time(said, back.ahead.load(Ordering::SeqCst));
                            back.losing.load(Ordering::SeqCst) || back.stalled.load(Ordering::SeqCst) >= number
                        }) => {}
                        _ = cuts.wait_for(|cut| *cut >= number) => {}
                    }
                });
            }
        });
        Self { port, switches, cut, accepting: accepting.abort_handle() }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Connections that are open now carry nothing any more, and nobody is told.
    pub fn stall_open_connections(&self) {
        self.switches.stalled.store(self.switches.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Closes the connections that are open now.
    pub fn cut_open_connections(&self) {
        self.cut.send_replace(self.switches.accepted.load(Ordering::SeqCst));
    }

    /// Swallows what the server says.
    pub fn lose_replies(&self, losing: bool) {
        self.switches.losing.store(losing, Ordering::SeqCst);
    }

    /// What a Redis says to `TIME` is shifted by so many seconds.
    pub fn shift_time(&self, seconds: i64) {
        self.switches.ahead.store(seconds, Ordering::SeqCst);
    }

    /// Takes no new connections, and closes those that are open now.
    pub fn refuse(&self) {
        self.accepting.abort();
        self.cut_open_connections();
    }
}

/// Carries bytes until one side closes; swallows what it reads while it should.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: impl Fn(&mut [u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1_024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !swallow(&mut buffer[..read]) && to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// Seconds of ten digits and microseconds: nothing else is answered so.
fn shift_time(said: &mut [u8], seconds: i64) {
    if seconds == 0 {
        return;
    }
    let before = b"*2\r\n$10\r\n";
    let Some(at) = said.windows(before.len()).position(|part| part == before) else { return };
    let digits = &mut said[at + before.len()..][..10];
    let now: i64 = std::str::from_utf8(digits).unwrap().parse().unwrap();
    digits.copy_from_slice((now + seconds).to_string().as_bytes());
}
