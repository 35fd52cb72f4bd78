//! What goes out with a request: its body as a stream, and its headers. Must never hold a large body in
//! memory, and never let a message set the headers of the connection.

use super::check::OWN_HEADERS;
use bytes::Bytes;
use hyper::{
    HeaderMap,
    body::{Frame, SizeHint},
    header::{HeaderName, HeaderValue},
};
use portolan_sdk::Body;
use std::{
    io::{self, Read, Seek},
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
};
use tokio::{
    sync::mpsc::{self, Receiver},
    task::JoinHandle,
};

/// Size of the pieces a body is read in.
const PIECE: usize = 64 << 10;
/// Pieces that may wait for the connection.
const AHEAD: usize = 4;

/// A message body that can be sent several times (redirects).
#[derive(Debug)]
pub enum Outgoing {
    /// In memory.
    Whole(Bytes),
    /// Read piece by piece.
    Streamed(Option<Body>),
}

/// Gives the body back, with what went wrong in reading it.
pub type Reading = JoinHandle<(Body, Option<io::Error>)>;

impl Outgoing {
    /// Takes a message's body.
    #[must_use]
    pub fn new(body: Body) -> Self {
        match body.as_bytes() {
            Some(bytes) => Self::Whole(bytes.clone()),
            None => Self::Streamed(Some(body)),
        }
    }

    /// A request body from the start. A streamed one must be given back with [`Outgoing::reclaim`] before
    /// it can be sent again.
    pub fn open(&mut self) -> (reqwest::Body, Option<Reading>) {
        match self {
            Self::Whole(bytes) => (bytes.clone().into(), None),
            Self::Streamed(body) => {
                let Some(body) = body.take() else { return (Bytes::new().into(), None) };
                let (sender, receiver) = mpsc::channel(AHEAD);
                let left = body.length();
                let reading = tokio::task::spawn_blocking(move || read(body, &sender));
                (reqwest::Body::wrap(Upload { receiver, left }), Some(reading))
            }
        }
    }

    /// Puts a streamed body back; says what went wrong in reading it, if anything did.
    pub async fn reclaim(&mut self, reading: Option<Reading>) -> Option<String> {
        let Self::Streamed(slot) = self else { return None };
        match reading?.await {
            Ok((body, error)) => {
                *slot = Some(body);
                error.map(|e| e.to_string())
            }
            Err(error) => Some(error.to_string()),
        }
    }
}

fn read(mut body: Body, sender: &mpsc::Sender<io::Result<Bytes>>) -> (Body, Option<io::Error>) {
    let result = (|| {
        body.rewind()?;
        loop {
            let mut piece = vec![0; PIECE];
            let read = body.read(&mut piece)?;
            piece.truncate(read);
            // Nobody listens when the destination answered early: that is no error of ours.
            if read == 0 || sender.blocking_send(Ok(piece.into())).is_err() {
                return Ok(());
            }
        }
    })();
    let error = result.err().inspect(|error: &io::Error| {
        // The request must break off, or a part would look like the whole.
        let _ = sender.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
    });
    (body, error)
}

/// The streamed body of one request.
struct Upload {
    receiver: Receiver<io::Result<Bytes>>,
    left: Option<u64>,
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = std::task::ready!(self.receiver.poll_recv(cx));
        if let (Some(Ok(bytes)), Some(left)) = (&piece, self.left) {
            self.left = Some(left.saturating_sub(bytes.len() as u64));
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Reads `HTTP.UserHttpHeaders`: `Name: value` lines (manual page "HTTP Adapter Property Schema and
/// Properties"). Entries without a name, and headers that belong to the connection, are left out.
///
/// # Errors
/// The entry that is no header.
pub fn user_headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in text.split('\n').map(|line| line.trim_end_matches('\r')) {
        let wrong =
            || format!("HTTP.UserHttpHeaders has the entry {:?}, which is no \"Name: value\"", line.chars().take(60).collect::<String>());
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = match name.trim().to_ascii_lowercase().as_str() {
            "" => continue,
            // The manual's spelling of the header that HTTP misspells.
            "referrer" => "referer".to_owned(),
            name => name.to_owned(),
        };
        if !OWN_HEADERS.contains(&name.as_str()) {
            let name = HeaderName::from_str(&name).map_err(|_| wrong())?;
            headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| wrong())?);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_headers_are_read_as_the_manual_says() {
        let headers =
            user_headers("X-A: 1\r\nReferrer: http://x/y:z\r\n: nobody\r\nEmpty:\r\nHost: evil\r\nContent-Length: 3\r\n").unwrap();
        assert_eq!(headers.len(), 3);
        assert_eq!(
            (&headers["x-a"], &headers["referer"], &headers["empty"]),
            (&HeaderValue::from_static("1"), &HeaderValue::from_static("http://x/y:z"), &HeaderValue::from_static(""))
        );
        assert!(user_headers("no header").unwrap_err().contains("no header"));
        assert!(user_headers("X Y: 1").is_err() && user_headers("A: b\u{1}").is_err());
        assert!(user_headers("").unwrap().is_empty());
    }
}
