//! Answers that refuse a request: RFC 9457 problem documents. Must never hold anything that the
//! client may not know: no file names, no credentials, no other client's data.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use portolan_model::Code;
use serde_json::json;

/// Seconds after which a client should try again when the server is only busy or away for a while.
const RETRY_AFTER_SECONDS: u16 = 5;

/// A request that is refused. Nothing was stored.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    /// Stable name of the kind of problem, the end of its `type`.
    kind: &'static str,
    detail: Box<str>,
    code: Option<Code>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with its status, the stable name of its kind, and words for people.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into().into_boxed_str(), code: None, headers: Vec::new() }
    }

    /// Nothing is wrong with the request, but it must come again later.
    pub fn later(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail).header(RETRY_AFTER, &RETRY_AFTER_SECONDS.to_string())
    }

    /// Adds the error code, which has a page.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds a header; a value that is none is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Closes the connection after the answer: what comes on it is not to be relied on.
    #[must_use]
    pub fn closing(self) -> Self {
        self.header(CONNECTION, "close")
    }

    /// The status, for logs.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The words, for logs.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer.
    #[must_use]
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut document = json!({
            "type": format!("urn:portolan:http:{}", self.kind),
            "title": self.code.map_or_else(|| self.status.canonical_reason().unwrap_or("Refused"), |code| code.title),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(code) = self.code {
            document["code"] = code.id.into();
        }
        let mut response = Response::new(Full::new(Bytes::from(format!("{document:#}\n"))));
        *response.status_mut() = self.status;
        self.headers.into_iter().for_each(|(name, value)| {
            response.headers_mut().append(name, value);
        });
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
