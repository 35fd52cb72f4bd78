//! Handlers for suspended messages: find, read, save, edit and resubmit, resume, terminate.

use super::{
    Api,
    answer::Problem,
    model::{Changed, Resubmitted, Suspended, SuspendedDetail, SuspendedFilter, SuspendedPage, context, moment, parts},
};
use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::StreamExt;
use portolan_model::{InstanceId, PartContent, code, instance::ServiceClass};
use portolan_sdk::{BodySource, body::SPOOL_MEMORY};
use portolan_store::{Action, Position, Selection, StateFilter, ask};
use std::{io::Write, sync::Arc};
use tempfile::NamedTempFile;

/// Bytes of the body shown in a detail.
const PREVIEW: usize = 4096;

/// Suspended instances, newest first.
#[utoipa::path(get, path = "/v1/suspended", params(SuspendedFilter), responses((status = 200, body = SuspendedPage)))]
pub async fn list(State(api): State<Arc<Api>>, Query(filter): Query<SuspendedFilter>) -> Result<Json<SuspendedPage>, Problem> {
    let store = api.server.core.store.as_ref();
    let selection = selection(&filter)?;
    let limit = filter.limit.unwrap_or(50).clamp(1, 1000);
    let after = filter.after.as_deref().map(position).transpose()?;
    let found = ask::instances(store, selection.clone(), after, limit).await?;
    let total = ask::count(store, selection).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| format!("{}_{}", last.created.0, last.id));
    Ok(Json(SuspendedPage { items: found.iter().map(Suspended::from).collect(), total, next }))
}

/// One suspended instance with its message.
#[utoipa::path(get, path = "/v1/suspended/{id}", params(("id" = String, Path)), responses((status = 200, body = SuspendedDetail), (status = 404, body = Problem)))]
pub async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Json<SuspendedDetail>, Problem> {
    let (instance, message) = api.server.suspended(identify(&id)?).await?;
    let deployment = api.server.core.deployment();
    let sensitive = |name: &portolan_model::Name| deployment.blueprint.schemas.properties().any(|p| p.sensitive && p.name == *name);
    let preview = match message.body().map(|part| &part.content) {
        Some(PartContent::Inline(bytes)) => Some(bytes.slice(..bytes.len().min(PREVIEW))),
        Some(PartContent::Stored(body)) => Some(api.server.core.store.read_body(*body, 0, PREVIEW).await?),
        None => None,
    };
    Ok(Json(SuspendedDetail {
        instance: Suspended::from(&instance),
        context: context(&message, sensitive),
        parts: parts(&message),
        preview: preview.and_then(|bytes| text(&bytes)),
    }))
}

/// The body of a suspended message, as it is.
#[utoipa::path(get, path = "/v1/suspended/{id}/body", params(("id" = String, Path)), responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub async fn body(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (_, message) = api.server.suspended(identify(&id)?).await?;
    let headers = [("content-type", "application/octet-stream")];
    match message.body().map(|part| part.content.clone()) {
        None => Ok((headers, Bytes::new()).into_response()),
        Some(PartContent::Inline(bytes)) => Ok((headers, bytes).into_response()),
        Some(PartContent::Stored(body)) => {
            let store = api.server.core.store.clone();
            let stream = futures_util::stream::try_unfold(0_u64, move |at| {
                let store = store.clone();
                async move {
                    let bytes = store.read_body(body, at, 1 << 20).await.map_err(std::io::Error::other)?;
                    let next = at + bytes.len() as u64;
                    Ok::<_, std::io::Error>((!bytes.is_empty()).then_some((bytes, next)))
                }
            });
            Ok((headers, Body::from_stream(stream)).into_response())
        }
    }
}

/// Takes an edited body in the place of a suspended message; the original goes if and only if it is
/// taken.
#[utoipa::path(post, path = "/v1/suspended/{id}/resubmit", params(("id" = String, Path)), request_body(content_type = "application/octet-stream"), responses((status = 200, body = Resubmitted), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn resubmit(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Body) -> Result<Json<Resubmitted>, Problem> {
    let id = identify(&id)?;
    let source = receive(body).await?;
    let messages = api.server.edit(id, source).await?;
    Ok(Json(Resubmitted { messages: messages.iter().map(ToString::to_string).collect() }))
}

/// Resumes or terminates every suspended instance that matches; `action` is `resume` or `terminate`.
/// Repeating it changes nothing more.
#[utoipa::path(post, path = "/v1/suspended/actions/{action}", params(("action" = String, Path)), request_body = SuspendedFilter, responses((status = 200, body = Changed)))]
pub async fn act(
    State(api): State<Arc<Api>>,
    Path(action): Path<String>,
    Json(filter): Json<SuspendedFilter>,
) -> Result<Json<Changed>, Problem> {
    let action = match action.as_str() {
        "resume" => Action::Resume,
        "terminate" => Action::Terminate,
        other => return Err(wrong(format!("there is no action \"{other}\": use resume or terminate"))),
    };
    demand_condition(&filter)?;
    Ok(Json(Changed { changed: api.server.act(selection(&filter)?, action).await? }))
}

/// An action on everything must be meant: a condition, or `all`. A page is no condition.
fn demand_condition(filter: &SuspendedFilter) -> Result<(), Problem> {
    if filter.limit.is_some() || filter.after.is_some() {
        return Err(wrong("`limit` and `after` belong to lists: an action takes every instance that matches"));
    }
    let bare = SuspendedFilter { all: filter.all, ..SuspendedFilter::default() };
    match (*filter == bare, filter.all.unwrap_or(false)) {
        (true, false) => Err(wrong("the action names no messages: give a condition, or `all` for every suspended message")),
        (false, true) => Err(wrong("`all` and a condition contradict each other: give one of them")),
        _ => Ok(()),
    }
}

/// A condition that was given must say something: an empty one usually comes from an unset variable.
fn refuse_empty(filter: &SuspendedFilter) -> Result<(), Problem> {
    let given = [
        ("ids", &filter.ids),
        ("service", &filter.service),
        ("class", &filter.class),
        ("code", &filter.code),
        ("message_type", &filter.message_type),
        ("text", &filter.text),
        ("since", &filter.since),
        ("until", &filter.until),
    ];
    let empty = given.iter().find(|(_, value)| value.as_ref().is_some_and(|v| v.trim_matches([',', ' ']).is_empty()));
    empty.map_or(Ok(()), |(name, _)| Err(wrong(format!("the condition `{name}` is empty: leave it out, or say what it should match"))))
}

fn selection(filter: &SuspendedFilter) -> Result<Selection, Problem> {
    refuse_empty(filter)?;
    let ids = filter.ids.as_deref().unwrap_or_default().split(',').filter(|id| !id.trim().is_empty());
    let class = match filter.class.as_deref() {
        None => None,
        Some("send_port") => Some(ServiceClass::SendPort),
        Some("receive_port") => Some(ServiceClass::ReceivePort),
        Some("routing_failure_report") => Some(ServiceClass::RoutingFailureReport),
        Some(other) => return Err(wrong(format!("there is no class \"{other}\": use send_port, receive_port or routing_failure_report"))),
    };
    Ok(Selection {
        ids: ids.map(identify).collect::<Result<_, _>>()?,
        state: Some(match filter.resumable {
            None => StateFilter::Suspended,
            Some(true) => StateFilter::SuspendedResumable,
            Some(false) => StateFilter::SuspendedNotResumable,
        }),
        class,
        service: filter.service.as_deref().map(Into::into),
        code: filter.code.as_deref().map(|c| c.to_ascii_uppercase().into()),
        message_type: filter.message_type.as_deref().map(Into::into),
        text: filter.text.clone(),
        since: filter.since.as_deref().map(moment).transpose().map_err(wrong)?,
        until: filter.until.as_deref().map(moment).transpose().map_err(wrong)?,
        ..Selection::default()
    })
}

fn position(text: &str) -> Result<Position, Problem> {
    let parsed = text
        .split_once('_')
        .and_then(|(at, id)| Some(Position { created: portolan_model::Timestamp(at.parse().ok()?), id: id.parse().ok()? }));
    parsed.ok_or_else(|| wrong(format!("\"{text}\" is not the `next` of a page")))
}

fn identify(id: &str) -> Result<InstanceId, Problem> {
    id.trim().parse().map_err(|_| wrong(format!("\"{id}\" is not an instance id; `portolan suspended list` shows them")))
}

fn wrong(text: impl Into<String>) -> Problem {
    Problem::new(code::CONFIG_VALUE, text)
}

fn text(bytes: &[u8]) -> Option<String> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        Some(String::from_utf16_lossy(&units))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.to_owned()),
        // A character cut in two at the end of the preview is no reason to hide it.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok().map(str::to_owned),
        Err(_) => None,
    }
}

/// Takes a request body over: in memory while it is small, then in a temporary file.
async fn receive(body: Body) -> Result<BodySource, Problem> {
    let kept = |error: std::io::Error| wrong(format!("the request body cannot be kept: {error}"));
    let mut stream = body.into_data_stream();
    let mut memory = Vec::new();
    let mut file: Option<NamedTempFile> = None;
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| wrong(format!("the request body broke off: {error}")))?;
        if file.is_none() && memory.len() + piece.len() > SPOOL_MEMORY {
            let mut spool = NamedTempFile::new().map_err(kept)?;
            spool.write_all(&memory).map_err(kept)?;
            memory = Vec::new();
            file = Some(spool);
        }
        match &mut file {
            Some(file) => file.write_all(&piece).map_err(kept)?,
            None => memory.extend_from_slice(&piece),
        }
    }
    Ok(match file {
        Some(file) => BodySource::Temporary(Arc::new(file.into_temp_path())),
        None => BodySource::Bytes(memory.into()),
    })
}
