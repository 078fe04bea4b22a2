//! What a worker's probes and metrics answer.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An address, or a port of this machine.
pub trait Place: Copy {
    fn address(self) -> SocketAddr;
}

impl Place for SocketAddr {
    fn address(self) -> SocketAddr {
        self
    }
}

impl Place for u16 {
    fn address(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self).into()
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A request of any kind, on a connection of its own; what went wrong where nobody answers.
pub async fn ask(
    place: impl Place,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, String> {
    let address = place.address();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Not everybody closes a connection after its last answer.
        while !is_whole(&answer) && stream.read_buf(&mut answer).await? > 0 {}
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = exchange.await.map_err(|error: std::io::Error| format!("{address}{path}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(format!("no HTTP: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(format!("no status: {head:?}"))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Whether an answer that says how long it is has come as a whole.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.is_some_and(|length: usize| answer.len() >= end + 4 + length)
}

/// The status and the body that `GET path` is answered with; what went wrong where nobody answers.
pub async fn get(place: impl Place, path: &str) -> Result<(u16, String), String> {
    let address = place.address();
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        // In this version of HTTP the end of the answer is the end of the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = exchange.await.map_err(|error: std::io::Error| format!("{address}{path}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(format!("no HTTP: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(format!("no status: {head:?}"))?, body.to_owned()))
}

/// The value of the one sample of a metric whose labels contain `labels`, such as `service="shop"`.
pub async fn metric(place: impl Place, name: &str, labels: &str) -> Result<f64, String> {
    let (_, text) = get(place, "/metrics").await?;
    let mut found = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
    });
    let line = found.next().ok_or(format!("no sample of {name} with {labels}"))?;
    assert!(found.next().is_none(), "{name} has several samples with {labels}");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).ok_or(format!("no number: {line:?}"))
}
