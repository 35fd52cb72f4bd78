//! One request from its header to its answer. Must never answer success before the durable commit, and
//! never let a client that goes away cancel a commit.

use super::{
    config::{Method, ReceiveSettings},
    inbound::{self, Collected},
    listener::{Found, Route, Shared},
    problem::Refusal,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::{Body as _, Incoming},
    header::{ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, WWW_AUTHENTICATE},
};
use portolan_model::code;
use portolan_sdk::{AdapterError, BatchOperation, InboundMessage, OperationStatus, Proxy, Retry, submit_or_suspend};
use serde_json::json;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::timeout;
use uuid::Uuid;

/// Identifies the message in Portolan: `HTTP.SubmissionHandle` of its context.
const SUBMISSION_HANDLE: HeaderName = HeaderName::from_static("portolan-submission-handle");
/// The suspended instance that holds the message because its processing failed.
const SUSPENDED_INSTANCE: HeaderName = HeaderName::from_static("portolan-suspended-instance");

/// How much of a refused body is still read, and how long, so that the client comes to read the answer.
const DRAIN_BYTES: u64 = 4 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Answers a request.
pub async fn answer(shared: &Shared, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let result = match shared.find(path) {
        Found::Live(route) => match allowed(&route, &head.method, &head.headers, &body) {
            Ok(()) => receive(shared, &route, &head.headers, body).await.map_err(|refusal| (refusal, None)),
            Err(refusal) => Err((refusal, Some(body))),
        },
        Found::Gone => Err((disabled(), Some(body))),
        Found::Unknown => Err((Refusal::new(StatusCode::NOT_FOUND, "unknown-path", "No receive location has this path."), Some(body))),
    };
    result.unwrap_or_else(|(refusal, unread)| {
        tracing::info!(%peer, listener = %shared.address, path, status = refusal.status().as_u16(), detail = refusal.detail(), "a request was refused");
        // A client that waits for "100 Continue" sends no body after this answer.
        if let Some(body) = unread.filter(|_| head.version < Version::HTTP_2 && !head.headers.contains_key(EXPECT)) {
            tokio::spawn(timeout(DRAIN_TIME, drain(body)));
        }
        refusal.into_response()
    })
}

async fn drain(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > DRAIN_BYTES {
            break;
        }
    }
}

/// What the header alone decides.
fn allowed(route: &Route, method: &hyper::Method, headers: &HeaderMap, body: &Incoming) -> Result<(), Refusal> {
    let settings = &route.plan.settings;
    check_client(settings, headers)?;
    if !settings.methods.iter().any(|m| m.as_str() == method.as_str()) {
        let allow = settings.methods.iter().map(|m| Method::as_str(*m)).collect::<Vec<_>>().join(", ");
        let detail = format!("Messages come to this location by {allow}, not by {method}.");
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).header(ALLOW, &allow));
    }
    if let Some(coding) = headers.get(CONTENT_ENCODING).filter(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = format!("The body has the content coding {coding:?}; send it without one.");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-coding", detail).header(ACCEPT_ENCODING, "identity"));
    }
    check_content_type(&settings.content_types, headers)?;
    if body.size_hint().lower() > settings.max_body_bytes {
        return Err(inbound::too_large(settings.max_body_bytes));
    }
    Ok(())
}

/// Who may submit.
fn check_client(settings: &ReceiveSettings, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(authentication) = &settings.authentication else {
        // Only browsers send this header. Without credentials any web page could submit through the
        // browser of whoever looks at it, even to a listener on loopback.
        return match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            Some(b"cross-site") => {
                Err(Refusal::new(StatusCode::FORBIDDEN, "cross-site", "Web pages of other sites may not submit to this location."))
            }
            _ => Ok(()),
        };
    };
    let mut given = headers.get_all(AUTHORIZATION).iter();
    if authentication.accepts(given.next().map(HeaderValue::as_bytes)) && given.next().is_none() {
        return Ok(());
    }
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "not-authenticated", "This location takes messages only with valid credentials.");
    Err(authentication.challenges().into_iter().fold(refusal, |r, challenge| r.header(WWW_AUTHENTICATE, challenge)))
}

fn check_content_type(wanted: &[String], headers: &HeaderMap) -> Result<(), Refusal> {
    if wanted.is_empty() {
        return Ok(());
    }
    let given = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let fits = |wanted: &String| match wanted.strip_suffix("/*") {
        Some("*") => !essence.is_empty(),
        Some(class) => essence.split_once('/').is_some_and(|(c, _)| c.eq_ignore_ascii_case(class)),
        None => wanted.eq_ignore_ascii_case(essence),
    };
    if wanted.iter().any(fits) {
        return Ok(());
    }
    let detail = format!(
        "The content type \"{}\" is none of those this location takes: {}.",
        essence.chars().take(100).collect::<String>(),
        wanted.join(", ")
    );
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", detail))
}

async fn receive(shared: &Shared, route: &Arc<Route>, headers: &HeaderMap, body: Incoming) -> Result<Response<Full<Bytes>>, Refusal> {
    let settings = &route.plan.settings;
    let Collected { source, held } = inbound::collect(body, settings, &shared.budget, &route.stop).await?;
    let handle = format!("{{{}}}", Uuid::now_v7().hyphenated()).to_uppercase();
    let (content_type, charset) = inbound::content_type(headers);
    let mut message = InboundMessage::new(source);
    message.context = inbound::context(headers, &handle, settings.suspend_failed_requests);
    (message.content_type, message.charset) = (content_type, charset);
    let permit = route.permits.clone().acquire_owned().await.map_err(|_| stopping())?;
    let (proxy, keep_failed) = (route.proxy.0.clone(), settings.suspend_failed_requests);
    // A task of its own: when the client goes away, only its answer is lost.
    let submitted = tokio::spawn(async move {
        let status = submit(&proxy, message, keep_failed).await;
        drop((permit, held));
        status
    });
    let status = submitted.await.map_err(|e| {
        tracing::error!(location = %route.location, error = %e, "submitting a message broke off");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed; it is not known whether the message was stored.")
    })?;
    Ok(accepted(settings.success_status, &handle, status?))
}

fn disabled() -> Refusal {
    Refusal::later("location-disabled", "The receive location of this path is not enabled at the moment; nothing was stored.")
}

fn stopping() -> Refusal {
    Refusal::later("location-stopping", "The receive location is stopping; nothing was stored. Send the message again later.")
        .code(code::SHUTTING_DOWN)
}

/// Hands the message to the engine; answers after the commit.
async fn submit(proxy: &Proxy, message: InboundMessage, keep_failed: bool) -> Result<OperationStatus, Refusal> {
    let mut statuses = if keep_failed {
        submit_or_suspend(proxy, vec![message]).await.map_err(|e| unavailable(&e))?
    } else {
        proxy.execute(vec![BatchOperation::Submit(message)]).await.map_err(|e| unavailable(&e))?.statuses
    };
    match statuses.pop() {
        Some(OperationStatus::Refused { code, message }) => Err(refused(code, message)),
        Some(OperationStatus::NotDone) | None => Err(Refusal::later("not-done", "The message was not stored. Send it again later.")),
        Some(status) => Ok(status),
    }
}

/// The engine takes nothing at the moment.
fn unavailable(error: &AdapterError) -> Refusal {
    // The engine tells operators by itself; its words may name files and hosts, which no client may know.
    tracing::debug!(code = %error.code, error = %error.message, "a message could not be stored");
    let detail = "The message was not stored.";
    match error.retry {
        // The location is being closed: its listener will know in a moment.
        _ if error.code == code::URL_DISALLOWED => disabled(),
        Retry::Temporary => Refusal::later("unavailable", format!("{detail} Send it again later.")).code(error.code),
        Retry::Permanent => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", detail).code(error.code),
    }
}

/// The message failed and is not kept. 500 for a missing subscriber, as in the manual: it is no fault of
/// the message, and may pass.
fn refused(code: portolan_model::Code, message: String) -> Refusal {
    let status = if code == code::NO_SUBSCRIPTION { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::UNPROCESSABLE_ENTITY };
    Refusal::new(status, "message-refused", message).code(code)
}

/// The answer to a message that the engine owns now.
fn accepted(status: u16, handle: &str, outcome: OperationStatus) -> Response<Full<Bytes>> {
    let mut document = json!({ "status": "accepted", "submission_handle": handle });
    let mut response = Response::new(Full::default());
    match outcome {
        OperationStatus::Done { documents } => document["documents"] = documents.into(),
        OperationStatus::Suspended { instance, failure } => {
            document["status"] = "suspended".into();
            document["suspended_instance"] = instance.to_string().into();
            document["code"] = failure.code.as_str().into();
            document["detail"] = failure.description.into();
            insert(response.headers_mut(), SUSPENDED_INSTANCE, &instance.to_string());
        }
        _ => document["status"] = "duplicate".into(),
    }
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::ACCEPTED);
    insert(response.headers_mut(), SUBMISSION_HANDLE, handle);
    // These two may not have a body.
    if !matches!(status, 204 | 205) {
        insert(response.headers_mut(), CONTENT_TYPE, "application/json");
        *response.body_mut() = Full::new(Bytes::from(format!("{document}\n")));
    }
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
