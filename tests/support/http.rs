//! What a worker's probes and metrics answer.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The status and the body of `GET path` at a port of this machine; what went wrong where nobody answers.
pub async fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let said = exchange(port, path).await.map_err(|error| error.to_string())?;
    let (head, body) = said.split_once("\r\n\r\n").ok_or(format!("no answer: {said:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(format!("no status: {head:?}"))?, body.to_owned()))
}

/// The value of the one sample of a metric whose labels contain `labels`, such as `service="shop"`.
pub async fn metric(port: u16, name: &str, labels: &str) -> Result<f64, String> {
    let (_, text) = get(port, "/metrics").await?;
    let mut found = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
    });
    let line = found.next().ok_or(format!("no sample of {name} with {labels}"))?;
    assert!(found.next().is_none(), "{name} has several samples with {labels}");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).ok_or(format!("no number: {line:?}"))
}

async fn exchange(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    Ok(said)
}
