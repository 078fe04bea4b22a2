//! A wire between a client and a server that a test may slow down, stall, cut, or let lose what comes back.

mod faults;
mod lane;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use faults::Direction;
use faults::{End, Faults};
use lane::{Lane, carry};

/// A port that leads to a server. What is wrong with it counts for open connections and for new ones, unless it says
/// otherwise.
pub struct Proxy {
    port: u16,
    accepted: Arc<AtomicU64>,
    faults: watch::Sender<Faults>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A new one without faults, to a port of this machine where nobody need listen yet.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, (faults, seen)) = (Arc::new(AtomicU64::new(0)), watch::channel(Faults::default()));
        let counted = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let seen = seen.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    connect(client, server, number, seen).await;
                });
            }
        });
        Self { port, accepted, faults, accepting: accepting.abort_handle() }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whatever is sent arrives so much later, in either direction.
    pub fn delay(&self, latency: Duration) {
        self.faults.send_modify(|faults| faults.latency = latency);
    }

    /// So many bytes a second, in either direction and for each connection; `None` for as many as there are.
    pub fn limit(&self, bytes_per_second: Option<u32>) {
        self.faults.send_modify(|faults| faults.bytes_per_second = bytes_per_second);
    }

    /// Nothing larger than so many bytes arrives at once; `None` for pieces as they come.
    pub fn slice(&self, bytes: Option<usize>) {
        self.faults.send_modify(|faults| faults.slice = bytes);
    }

    /// What goes into this direction waits, and is carried when it is let go.
    pub fn hold(&self, direction: Direction, held: bool) {
        self.faults.send_modify(|faults| faults.held[direction as usize] = held);
    }

    /// Connections are taken and carry nothing, and nobody is told. Those that it swallowed something of stay so.
    pub fn black_hole(&self, open: bool) {
        self.faults.send_modify(|faults| faults.black_hole = open);
        if !open {
            self.stall_open_connections();
        }
    }

    /// Connections that are open now carry nothing any more, and nobody is told; new ones do.
    pub fn stall_open_connections(&self) {
        let until = self.accepted();
        self.faults.send_modify(|faults| faults.stalled = until);
    }

    /// Closes the connections that are open now.
    pub fn cut_open_connections(&self) {
        let until = self.accepted();
        self.faults.send_modify(|faults| faults.cut = until);
    }

    /// Resets the connections that are open now: both sides are told at once, and lose what was under way.
    pub fn reset_open_connections(&self) {
        let until = self.accepted();
        self.faults.send_modify(|faults| faults.reset = until);
    }

    /// Swallows what the server says.
    pub fn lose_replies(&self, losing: bool) {
        self.faults.send_modify(|faults| faults.losing = losing);
    }

    /// Of what the server says so many bytes still arrive on each connection; the next one closes it. `None` for all.
    pub fn cut_replies_after(&self, bytes: Option<usize>) {
        self.faults.send_modify(|faults| faults.replies = bytes);
    }

    /// What a Redis says to `TIME` is shifted by so many seconds.
    pub fn shift_time(&self, seconds: i64) {
        self.faults.send_modify(|faults| faults.ahead = seconds);
    }

    /// Takes no new connections, and closes those that are open now.
    pub fn refuse(&self) {
        self.accepting.abort();
        self.cut_open_connections();
    }

    /// How many connections it has taken so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn connect(mut client: TcpStream, mut server: TcpStream, number: u64, faults: watch::Receiver<Faults>) {
    // What is sliced should arrive so.
    for side in [&client, &server] {
        side.set_nodelay(true).unwrap();
    }
    let end = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let lane = |direction| Lane { direction, number, faults: faults.clone() };
        let mut told = faults.clone();
        tokio::select! {
            end = carry(lane(Direction::There), from_client, to_server) => end,
            end = carry(lane(Direction::Back), from_server, to_client) => end,
            end = async { told.wait_for(|faults| faults.ends(number).is_some()).await.ok()?.ends(number) } => {
                end.unwrap_or(End::Closed)
            }
        }
    };
    if end == End::Reset {
        for side in [&client, &server] {
            side.set_zero_linger().unwrap();
        }
    }
}
