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
    future::Future,
    io::{self, Read, Seek},
    pin::Pin,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::task::JoinHandle;

/// Size of the pieces a body is read in.
const PIECE: usize = 256 << 10;

/// A message body that can be sent several times (redirects), the last time winning.
#[derive(Debug)]
pub enum Outgoing {
    /// In memory.
    Whole(Bytes),
    /// Read piece by piece.
    Streamed(Arc<Source>),
}

/// A body that several uploads may hold, of which only the newest may read: a connection that is stuck
/// may keep its upload long after we have turned away from it.
#[derive(Debug)]
pub struct Source {
    body: Mutex<Body>,
    newest: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Outgoing {
    /// Takes a message's body.
    #[must_use]
    pub fn new(body: Body) -> Self {
        match body.as_bytes() {
            Some(bytes) => Self::Whole(bytes.clone()),
            None => Self::Streamed(Arc::new(Source { body: Mutex::new(body), newest: AtomicU64::new(0), failure: Mutex::default() })),
        }
    }

    /// A request body from the start, of the message's length if that is known.
    #[must_use]
    pub fn open(&self, length: Option<u64>) -> reqwest::Body {
        match self {
            Self::Whole(bytes) => bytes.clone().into(),
            Self::Streamed(source) => {
                let number = source.newest.fetch_add(1, Ordering::AcqRel) + 1;
                reqwest::Body::wrap(Upload { source: source.clone(), number, started: false, reading: None, left: length })
            }
        }
    }

    /// What went wrong in reading the body, if anything did.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match self {
            Self::Whole(_) => None,
            Self::Streamed(source) => source.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Self::Streamed(source) = self {
            source.newest.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Source {
    /// Reads the next piece; empty at the end.
    fn read(&self, number: u64, from_start: bool) -> io::Result<Bytes> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        if self.newest.load(Ordering::Acquire) != number {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the request was given up"));
        }
        let result = (|| {
            if from_start {
                body.rewind()?;
            }
            let mut piece = vec![0; PIECE];
            let read = body.read(&mut piece)?;
            piece.truncate(read);
            Ok(Bytes::from(piece))
        })();
        result.inspect_err(|error: &io::Error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        })
    }
}

/// The streamed body of one request. No thread waits while the connection does.
struct Upload {
    source: Arc<Source>,
    number: u64,
    started: bool,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    left: Option<u64>,
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let reading = this.reading.get_or_insert_with(|| {
            let (source, number) = (this.source.clone(), this.number);
            let from_start = !std::mem::replace(&mut this.started, true);
            tokio::task::spawn_blocking(move || source.read(number, from_start))
        });
        let read = ready!(Pin::new(reading).poll(cx));
        this.reading = None;
        match read.map_err(io::Error::other).and_then(|piece| piece) {
            // An error makes the request break off, or a part would look like the whole.
            Err(error) => Poll::Ready(Some(Err(error))),
            Ok(piece) if piece.is_empty() => Poll::Ready(None),
            Ok(piece) => {
                this.left = this.left.map(|left| left.saturating_sub(piece.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
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

/// The `Content-Type` of a body part: its own type, or the manual's default, with its character set.
#[must_use]
pub fn content_type(own: Option<&str>, charset: Option<&str>) -> String {
    let own = own.filter(|t| !t.is_empty()).unwrap_or("text/xml");
    let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b));
    match charset.filter(|c| !c.is_empty() && is_token(c) && !own.to_ascii_lowercase().contains("charset=")) {
        Some(charset) => format!("{own}; charset={charset}"),
        None => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_names_the_character_set_once() {
        assert_eq!(content_type(None, None), "text/xml");
        assert_eq!(content_type(Some(""), Some("iso-8859-1")), "text/xml; charset=iso-8859-1");
        assert_eq!(content_type(Some("a/b; x=y"), Some("utf-8")), "a/b; x=y; charset=utf-8");
        assert_eq!(content_type(Some("a/b; Charset=utf-8"), Some("x")), "a/b; Charset=utf-8");
        assert_eq!(content_type(Some("a/b"), Some("x\r\ny: z")), "a/b");
    }

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
