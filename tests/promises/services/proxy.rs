//! A wire with faults: each does what its name says.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::proxy::{Direction, Proxy};

/// For what should not come.
const SILENCE: Duration = Duration::from_millis(300);
/// For what should.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that says again what it is told, behind a proxy.
async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap().port()).await;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                // A client that is gone is none of its business.
                drop(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    });
    proxy
}

/// A connection through it.
struct Line(TcpStream);

impl Line {
    async fn to(proxy: &Proxy) -> Line {
        let mut line = Line(TcpStream::connect(proxy.address()).await.unwrap());
        line.is_open().await;
        line
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn hears(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        timeout(PATIENCE, self.0.read_exact(&mut heard)).await.expect("an answer in time").unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), text);
    }

    async fn is_open(&mut self) {
        self.say("hello").await;
        self.hears("hello").await;
    }

    async fn is_silent(&mut self) {
        let heard = timeout(SILENCE, self.0.read_u8()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// All that comes until its end, or how it broke.
    async fn rest(&mut self) -> std::io::Result<String> {
        let mut rest = String::new();
        timeout(PATIENCE, self.0.read_to_string(&mut rest)).await.expect("its end in time").map(|_| rest)
    }
}

#[tokio::test]
async fn what_is_delayed_is_late_in_both_directions_and_not_slow() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.delay(Duration::from_millis(200));
    let began = Instant::now();
    // All at once, one after the other.
    for word in ["one", "two", "three"] {
        line.say(word).await;
        tokio::task::yield_now().await;
    }
    line.hears("onetwothree").await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_millis(1100), "{took:?}");
}

#[tokio::test]
async fn a_narrow_wire_takes_its_time() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.limit(Some(20_000));
    let (began, text) = (Instant::now(), "x".repeat(10_000));
    line.say(&text).await;
    line.hears(&text).await;
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    proxy.limit(None);
    line.is_open().await;
}

#[tokio::test]
async fn slices_are_small_and_whole_together() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.slice(Some(3));
    let text = "0123456789";
    line.say(text).await;
    let mut buffer = [0; 100];
    let first = timeout(PATIENCE, line.0.read(&mut buffer)).await.unwrap().unwrap();
    assert!(first <= 6, "a slice or two, and not {first} bytes");
    line.hears(&text[first..]).await;
}

#[tokio::test]
async fn what_is_held_comes_when_it_is_let_go() {
    for direction in [Direction::There, Direction::Back] {
        let proxy = echo().await;
        let mut line = Line::to(&proxy).await;
        proxy.hold(direction, true);
        line.say("later").await;
        line.is_silent().await;
        proxy.hold(direction, false);
        line.hears("later").await;
    }
}

#[tokio::test]
async fn a_black_hole_takes_connections_and_gives_nothing_back_ever() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.black_hole(true);
    line.say("lost").await;
    let mut another = Line(TcpStream::connect(proxy.address()).await.unwrap());
    another.say("lost as well").await;
    another.is_silent().await;
    proxy.black_hole(false);
    line.is_silent().await;
    another.is_silent().await;
    Line::to(&proxy).await;
}

#[tokio::test]
async fn stalled_connections_carry_nothing_and_new_ones_do() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.stall_open_connections();
    line.say("lost").await;
    line.is_silent().await;
    Line::to(&proxy).await;
}

#[tokio::test]
async fn a_cut_is_an_end_and_a_reset_an_error() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.cut_open_connections();
    assert_eq!(line.rest().await.unwrap(), "");
    let mut line = Line::to(&proxy).await;
    proxy.reset_open_connections();
    assert_eq!(line.rest().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    Line::to(&proxy).await;
}

#[tokio::test]
async fn replies_are_lost_while_they_are_and_cut_after_so_many_bytes() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.lose_replies(true);
    line.say("lost").await;
    line.is_silent().await;
    proxy.lose_replies(false);
    line.is_open().await;

    // Its "hello" counts.
    proxy.cut_replies_after(Some(8));
    let mut line = Line::to(&proxy).await;
    line.say("cut").await;
    line.hears("cut").await;
    line.say("off").await;
    assert_eq!(line.rest().await.unwrap_or_default(), "");
    let mut line = Line::to(&proxy).await;
    line.say("cut off").await;
    assert!(["cut", ""].contains(&&*line.rest().await.unwrap_or_default()), "what arrives is its beginning");
    proxy.cut_replies_after(None);
    Line::to(&proxy).await;
}

#[tokio::test]
async fn whoever_refuses_has_no_connections() {
    let proxy = echo().await;
    let mut line = Line::to(&proxy).await;
    proxy.refuse();
    assert_eq!(line.rest().await.unwrap(), "");
    assert_eq!(proxy.accepted(), 1);
    let refused = async || match TcpStream::connect(proxy.address()).await {
        Ok(_) => Err("it is taken"),
        Err(_) => Ok(()),
    };
    crate::support::wait::until("a refusal", PATIENCE, refused).await;
}
