//! The body and context of a request. Must never hold a large body in memory, wait for a slow client
//! without an end, or keep a client's credentials.

use super::{config::ReceiveSettings, problem::Refusal};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, HeaderName},
};
use portolan_model::{Context, SmolStr, Value, system};
use portolan_sdk::{BodySource, Stop, body::SPOOL_MEMORY};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::{NamedTempFile, TempPath};
use tokio::{
    io::{AsyncWriteExt, BufWriter},
    time::timeout,
};

/// Memory that bodies of one listener may fill together; what does not fit goes to temporary files.
const BUDGET: usize = 128 << 20;
/// Bytes written to a temporary file at once: each write costs a change of thread.
const WRITE: usize = 256 << 10;
/// A body may take this long at any speed...
const FREE: Duration = Duration::from_secs(60);
/// ...and must on the whole come at so many bytes per second.
const SLOWEST: u64 = 1024;

/// Parts of the names of headers that prove who the client is: these stay out of the message's context.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"];

/// Memory for bodies.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicUsize>);

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    fn hold(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// Takes `bytes` more, if they are free.
    fn grow(&mut self, bytes: usize) -> bool {
        let grown = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= BUDGET);
        let granted = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if granted {
            self.bytes += bytes;
        }
        granted
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body as it came, with the memory it holds.
#[derive(Debug)]
pub struct Collected {
    /// The bytes.
    pub source: BodySource,
    /// Keep until the request is answered.
    pub held: Held,
}

/// Where the bytes go.
enum Store {
    Memory(Vec<Bytes>),
    File(BufWriter<tokio::fs::File>, TempPath),
}

/// Reads a body to its end.
///
/// # Errors
/// The answer to the client: the body is too large, too slow or empty, or the location stops.
pub async fn collect(mut body: Incoming, settings: &ReceiveSettings, budget: &Budget, stop: &Stop) -> Result<Collected, Refusal> {
    let mut stop = stop.clone();
    let announced = body.size_hint().exact();
    let mut held = budget.hold();
    let mut store = match announced {
        Some(length) if length > SPOOL_MEMORY as u64 => open_file().await?,
        _ => Store::Memory(Vec::new()),
    };
    let (started, mut received) = (Instant::now(), 0_u64);
    loop {
        let allowance = FREE + Duration::from_secs(received / SLOWEST);
        let patience = Duration::from_secs(settings.body_timeout_seconds.into()).min(allowance.saturating_sub(started.elapsed()));
        let frame = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Err(Refusal::later("location-stopping", "The receive location is stopping; nothing was stored. Send the message again later.").closing()),
            frame = timeout(patience, body.frame()) => frame.map_err(|_| too_slow(received))?,
        };
        let Some(frame) = frame else { break };
        // The client is gone, or speaks no HTTP: the answer is for the log.
        let frame = frame
            .map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, "incomplete-body", format!("The body is not complete: {e}")).closing())?;
        let Ok(piece) = frame.into_data() else { continue };
        received += piece.len() as u64;
        if received > settings.max_body_bytes {
            return Err(too_large(settings.max_body_bytes));
        }
        store = put(store, piece, received, &mut held).await?;
    }
    if received == 0 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "empty-body", "The request has no body. A message needs at least one byte."));
    }
    Ok(Collected { source: finish(store).await?, held })
}

/// The answer to a body over the limit.
#[must_use]
pub fn too_large(limit: u64) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        format!("The body is larger than the {limit} bytes that this location takes."),
    )
    .closing()
}

fn too_slow(received: u64) -> Refusal {
    Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        "body-too-slow",
        format!("The body came too slowly: {received} bytes so far. Nothing was stored."),
    )
    .closing()
}

/// The temporary folder is full or gone: that passes, or an operator sees to it.
fn no_room(error: &io::Error) -> Refusal {
    tracing::warn!(folder = %std::env::temp_dir().display(), %error, "a request body cannot be written to the temporary folder");
    Refusal::later("no-temporary-storage", "The server has no room for the body at the moment; nothing was stored.").closing()
}

async fn put(store: Store, piece: Bytes, received: u64, held: &mut Held) -> Result<Store, Refusal> {
    match store {
        Store::Memory(mut pieces) => {
            let fits = received <= SPOOL_MEMORY as u64 && held.grow(piece.len());
            pieces.push(piece);
            if fits {
                return Ok(Store::Memory(pieces));
            }
            let Store::File(mut file, path) = open_file().await? else { return Ok(Store::Memory(pieces)) };
            for piece in pieces {
                file.write_all(&piece).await.map_err(|e| no_room(&e))?;
            }
            *held = held.budget.hold();
            Ok(Store::File(file, path))
        }
        Store::File(mut file, path) => {
            file.write_all(&piece).await.map_err(|e| no_room(&e))?;
            Ok(Store::File(file, path))
        }
    }
}

async fn open_file() -> Result<Store, Refusal> {
    let opened = tokio::task::spawn_blocking(NamedTempFile::new).await.map_err(io::Error::other).and_then(|file| file);
    let (file, path) = opened.map_err(|e| no_room(&e))?.into_parts();
    Ok(Store::File(BufWriter::with_capacity(WRITE, tokio::fs::File::from_std(file)), path))
}

async fn finish(store: Store) -> Result<BodySource, Refusal> {
    Ok(match store {
        Store::Memory(mut pieces) if pieces.len() == 1 => BodySource::Bytes(pieces.remove(0)),
        Store::Memory(pieces) => {
            let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
            BodySource::Bytes(whole.freeze())
        }
        Store::File(mut file, path) => {
            file.flush().await.map_err(|e| no_room(&e))?;
            BodySource::Temporary(Arc::new(path))
        }
    })
}

/// The context of a message: the request's headers without credentials, and its handle.
#[must_use]
pub fn context(headers: &HeaderMap, handle: &str, keep_failed: bool) -> Context {
    let mut context = Context::new();
    let mut text = String::new();
    for (name, value) in headers {
        if !is_credential(name) {
            text.push_str(name.as_str());
            text.push_str(": ");
            text.push_str(&String::from_utf8_lossy(value.as_bytes()));
            text.push_str("\r\n");
        }
    }
    context.write(system::http::INBOUND_HTTP_HEADERS, Value::string(text));
    context.write(system::http::SUBMISSION_HANDLE, Value::string(handle));
    if let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) {
        context.write(system::http::CONTENT_TYPE, Value::string(content_type));
    }
    if !keep_failed {
        // "0": the engine does not suspend what fails; the client is told instead.
        context.write(system::bts::ACTION_ON_FAILURE, Value::Int32(0));
    }
    context
}

fn is_credential(name: &HeaderName) -> bool {
    CREDENTIALS.iter().any(|part| name.as_str().contains(part))
}

/// Content type without its charset, and the charset.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> (Option<SmolStr>, Option<SmolStr>) {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) else { return (None, None) };
    let mut charset = None;
    let mut kept = String::new();
    for (at, part) in split_parameters(value).enumerate() {
        let part = part.trim();
        match part.split_once('=') {
            Some((name, value)) if at > 0 && name.trim().eq_ignore_ascii_case("charset") => {
                charset = Some(SmolStr::new(value.trim().trim_matches('"'))).filter(|c| !c.is_empty());
            }
            _ if part.is_empty() => {}
            _ => {
                kept.push_str(if kept.is_empty() { "" } else { "; " });
                kept.push_str(part);
            }
        }
    }
    (Some(SmolStr::new(kept)).filter(|k| !k.is_empty()), charset)
}

/// Splits at semicolons outside quotes.
fn split_parameters(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value.split(move |c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn the_charset_is_taken_out_of_the_content_type() {
        let read = |value| content_type(&headers(&[("content-type", value)]));
        let both = |a: &str, b: &str| (Some(SmolStr::new(a)), Some(SmolStr::new(b)));
        assert_eq!(read("text/xml; charset=utf-8"), both("text/xml", "utf-8"));
        assert_eq!(read("text/xml;CharSet=\"ISO-8859-1\"; x=y"), both("text/xml; x=y", "ISO-8859-1"));
        assert_eq!(read("multipart/related; boundary=\"a;charset=b\""), (Some("multipart/related; boundary=\"a;charset=b\"".into()), None));
        assert_eq!(read("charset=x"), (Some("charset=x".into()), None));
        assert_eq!(read("text/xml; charset="), (Some("text/xml".into()), None));
        assert_eq!(content_type(&HeaderMap::new()), (None, None));
    }

    #[test]
    fn credentials_stay_out_of_the_context() {
        let context = context(
            &headers(&[("authorization", "Bearer s3cret"), ("cookie", "s3cret"), ("x-auth-token", "s3cret"), ("x-order", "17")]),
            "{H}",
            true,
        );
        let text = context.text(&system::http::INBOUND_HTTP_HEADERS).unwrap();
        assert_eq!(text, "x-order: 17\r\n");
        assert!(!format!("{context:?}").contains("s3cret"));
        assert!(context.get(&system::bts::ACTION_ON_FAILURE).is_none());
    }

    #[test]
    fn memory_is_given_back() {
        let budget = Budget::default();
        let mut held = budget.hold();
        assert!(held.grow(BUDGET) && !held.grow(1));
        drop(held);
        assert!(budget.hold().grow(BUDGET));
    }
}
