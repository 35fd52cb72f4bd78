//! A destination that does what it is told, written on bare sockets so that it shares nothing with the
//! adapter: it answers, refuses, stalls, redirects, breaks off.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};

/// What to do with the next request; the last one is done for ever.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with a status, headers and a body.
    Answer(u16, &'static str, String),
    /// Never answers.
    Stall,
    /// Closes without an answer.
    Drop,
    /// Closes in the middle of the header of a 200.
    HalfHeader,
    /// Closes in the middle of the body of a 200.
    HalfBody,
    /// Answers after the header, without reading the body.
    Early(u16),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Request line and headers, as they came.
    pub head: String,
    /// Body, without its chunks.
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).filter_map(|l| l.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
}

/// See the module.
pub struct Destination {
    pub address: SocketAddr,
    script: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

impl Destination {
    /// Starts one.
    pub async fn start(script: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Mutex::new(script.into_iter().collect());
        let destination = Arc::new(Self { address: socket.local_addr().unwrap(), script, seen: Mutex::default() });
        let shared = destination.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                tokio::spawn(shared.clone().serve(stream));
            }
        });
        destination
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Serves a connection until one side has enough.
    pub async fn serve(self: Arc<Self>, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut buffer = Vec::new();
        while let Some(head) = read_head(&mut stream, &mut buffer).await {
            let reply = {
                let mut script = self.script.lock().unwrap();
                if script.len() > 1 { script.pop_front() } else { script.front().cloned() }.expect("a script")
            };
            if let Reply::Early(status) = reply {
                self.seen.lock().unwrap().push(Seen { head, body: Vec::new() });
                let _ = stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await;
                sleep(Duration::from_millis(100)).await;
                return;
            }
            let mut seen = Seen { head, body: Vec::new() };
            let Some(body) = read_body(&mut stream, &mut buffer, &seen).await else { return };
            seen.body = body;
            self.seen.lock().unwrap().push(seen);
            let text = match reply {
                Reply::Answer(status, headers, body) => {
                    let text = format!("HTTP/1.1 {status} Something\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                    continue;
                }
                Reply::Stall => {
                    sleep(Duration::from_secs(60)).await;
                    return;
                }
                Reply::HalfHeader => "HTTP/1.1 200 OK\r\nContent-Le",
                Reply::HalfBody => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot all",
                Reply::Drop | Reply::Early(_) => "",
            };
            let _ = stream.write_all(text.as_bytes()).await;
            return;
        }
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = vec![0; 64 << 10];
    let read = stream.read(&mut piece).await.ok().filter(|n| *n > 0)?;
    buffer.extend_from_slice(&piece[..read]);
    Some(())
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            return Some(String::from_utf8(head).unwrap());
        }
        more(stream, buffer).await?;
    }
}

async fn read_body(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>, seen: &Seen) -> Option<Vec<u8>> {
    if let Some(length) = seen.header("content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            more(stream, buffer).await?;
        }
        return Some(buffer.drain(..length).collect());
    }
    let mut body = Vec::new();
    loop {
        let Some(end) = buffer.windows(2).position(|w| w == b"\r\n") else {
            more(stream, buffer).await?;
            continue;
        };
        let length = usize::from_str_radix(std::str::from_utf8(&buffer[..end]).unwrap(), 16).unwrap();
        while buffer.len() < end + 2 + length + 2 {
            more(stream, buffer).await?;
        }
        let chunk: Vec<u8> = buffer.drain(..end + 2 + length + 2).collect();
        body.extend_from_slice(&chunk[end + 2..end + 2 + length]);
        if length == 0 {
            return Some(body);
        }
    }
}
