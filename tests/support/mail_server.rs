//! A mail server that keeps what it is sent, and misbehaves when told to.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// A server on a port of its own; gone when dropped.
#[derive(Debug)]
pub struct MailServer {
    pub address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    task: JoinHandle<()>,
}

/// One message that the server has taken over.
#[derive(Debug, Clone)]
pub struct Mail {
    /// On which connection it came, from 1.
    pub connection: usize,
    /// The recipient of the envelope.
    pub to: String,
    /// Headers and text, as they came over the line.
    pub text: String,
}

impl Mail {
    /// The value of a header that stands on one line.
    pub fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default()
    }
}

/// What the server does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Takes it over.
    Take,
    /// Says this to `RCPT`.
    ToRecipient(&'static str),
    /// Says this to the message itself, and has not taken it.
    ToMessage(&'static str),
    /// Takes it over, and says so after this long.
    Late(Duration),
    /// Takes it over, and never says so.
    Silence,
    /// Takes it over, and breaks off.
    TakeAndHangUp,
    /// Breaks off.
    HangUp,
}

/// Asked for each recipient, with how often somebody asked before.
type Script = dyn Fn(&str, usize) -> Answer + Send + Sync;
/// Told of each message that has been taken over, before the acknowledgement leaves: whoever is killed here has
/// sent a mail and does not know.
type Taken = dyn Fn(&[Mail]) + Send + Sync;

struct Behaviour {
    script: Box<Script>,
    taken: Box<Taken>,
    extensions: &'static [&'static str],
    asked: AtomicUsize,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    /// A server that takes everything.
    pub async fn start() -> MailServer {
        MailServer::that(|_, _| Answer::Take).await
    }

    /// A server that does as `script` says.
    pub async fn that(script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> MailServer {
        MailServer::with(script, |_| (), &[]).await
    }

    /// A server that also tells of what it takes over, and offers these extensions. A login is always refused.
    pub async fn with(
        script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
        taken: impl Fn(&[Mail]) + Send + Sync + 'static,
        extensions: &'static [&'static str],
    ) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let mails = Arc::<Mutex<Vec<Mail>>>::default();
        let behaviour = Arc::new(Behaviour {
            script: Box::new(script),
            taken: Box::new(taken),
            extensions,
            asked: AtomicUsize::new(0),
            mails: Arc::clone(&mails),
        });
        let task = tokio::spawn(async move {
            for connection in 1.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let behaviour = Arc::clone(&behaviour);
                // A client that goes away in the middle is not this server's trouble.
                tokio::spawn(async move { behaviour.converse(stream, connection).await.ok() });
            }
        });
        MailServer { address, mails, task }
    }

    /// What has been taken over so far, in this order.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("the mails").clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Behaviour {
    async fn converse(&self, stream: TcpStream, connection: usize) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut line, mut to, mut answer) = (String::new(), String::new(), Answer::Take);
        say(&mut stream, "220 ready").await?;
        while stream.read_line(&mut line).await? > 0 {
            let verb = line.split([' ', '\r']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    for extension in self.extensions {
                        say(&mut stream, &format!("250-{extension}")).await?;
                    }
                    say(&mut stream, "250 8BITMIME").await?;
                }
                "AUTH" => say(&mut stream, "535 5.7.8 not you, shop@example.com").await?,
                "MAIL" | "NOOP" | "RSET" => say(&mut stream, "250 fine").await?,
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    answer = (self.script)(&to, self.asked.fetch_add(1, Ordering::Relaxed));
                    let said = if let Answer::ToRecipient(text) = answer { text } else { "250 fine" };
                    say(&mut stream, said).await?;
                }
                "DATA" => {
                    say(&mut stream, "354 go ahead").await?;
                    let text = message(&mut stream).await?;
                    match answer {
                        Answer::HangUp => return Ok(()),
                        Answer::ToMessage(said) => say(&mut stream, said).await?,
                        _ => {
                            self.take(Mail { connection, to: to.clone(), text });
                            match answer {
                                Answer::Silence => {}
                                Answer::TakeAndHangUp => return Ok(()),
                                Answer::Late(delay) => {
                                    sleep(delay).await;
                                    say(&mut stream, "250 taken").await?;
                                }
                                _ => say(&mut stream, "250 taken").await?,
                            }
                        }
                    }
                }
                "QUIT" => return say(&mut stream, "221 bye").await,
                _ => say(&mut stream, "502 what?").await?,
            }
            line.clear();
        }
        Ok(())
    }

    fn take(&self, mail: Mail) {
        let mut mails = self.mails.lock().expect("the mails");
        mails.push(mail);
        (self.taken)(&mails);
    }
}

async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await
}

/// Up to the line with a single dot.
async fn message(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    while !text.ends_with("\r\n.\r\n") {
        if stream.read_line(&mut text).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(text)
}
