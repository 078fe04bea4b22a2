//! `probe`: what a worker on this machine answers to a probe. Images without a shell have nothing else to ask with.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{FAILED, FINE, args::Probe, failed};
use crate::config::Settings;

/// A worker that does not answer in this time is not well.
const PATIENCE: Duration = Duration::from_secs(3);
/// No answer is longer.
const LONGEST: u64 = 64 * 1024;

pub(super) async fn run(settings: &Settings, probe: Probe) -> ExitCode {
    let path = match probe {
        Probe::Livez => "/livez",
        Probe::Readyz => "/readyz",
        Probe::Startupz => "/startupz",
    };
    let Some(listen) = settings.http.listen else {
        return failed("http.listen is \"off\": the worker answers no probes");
    };
    let address = here(listen);
    let answer = match tokio::time::timeout(PATIENCE, get(address, path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return failed(format!("http://{address}{path}: {error}")),
        Err(_) => return failed(format!("http://{address}{path}: no answer within {PATIENCE:?}")),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let is_fine = head.split(' ').nth(1) == Some("200");
    println!("{}", body.trim_end());
    ExitCode::from(if is_fine { FINE } else { FAILED })
}

/// Who listens everywhere is asked at home.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // In this version of HTTP the end of the answer is the end of the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_at_home() {
        let asked = |listen: &str| here(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(asked("[::]:9464"), "[::1]:9464");
        assert_eq!(asked("10.0.0.7:80"), "10.0.0.7:80");
    }
}
