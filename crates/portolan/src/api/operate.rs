//! Handlers that change the state of artifacts, the application, or the host.

use super::{
    Api,
    answer::Problem,
    model::{Changed, NewState},
};
use axum::{
    Json,
    extract::{Path, State},
};
use portolan_model::code;
use portolan_runtime::{PortAction, server::state_text};
use std::sync::Arc;

/// Enables or disables a receive location; `action` is `enable` or `disable`.
#[utoipa::path(put, path = "/v1/locations/{name}/{action}", params(("name" = String, Path), ("action" = String, Path)), responses((status = 200, body = NewState), (status = 404, body = Problem)))]
pub async fn location(State(api): State<Arc<Api>>, Path((name, action)): Path<(String, String)>) -> Result<Json<NewState>, Problem> {
    let enabled = match action.as_str() {
        "enable" => true,
        "disable" => false,
        other => return Err(unknown(other, "enable or disable")),
    };
    api.server.enable_location(&name, enabled).await?;
    Ok(Json(NewState { state: if enabled { "enabled" } else { "disabled" }.to_owned() }))
}

/// Changes the state of a send port; `action` is `enlist`, `start`, `stop` or `unenlist`.
#[utoipa::path(put, path = "/v1/ports/{name}/{action}", params(("name" = String, Path), ("action" = String, Path)), responses((status = 200, body = NewState), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn port(State(api): State<Arc<Api>>, Path((name, action)): Path<(String, String)>) -> Result<Json<NewState>, Problem> {
    let state = api.server.port_action(&name, port_action(&action)?).await?;
    Ok(Json(NewState { state: state_text(state).to_owned() }))
}

/// Makes everything a send port has scheduled for later due at once, for example when its destination
/// works again before the next try.
#[utoipa::path(post, path = "/v1/ports/{name}/retry", params(("name" = String, Path)), responses((status = 200, body = Changed), (status = 404, body = Problem)))]
pub async fn retry(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Json<Changed>, Problem> {
    Ok(Json(Changed { changed: api.server.retry_now(&name).await? }))
}

/// Changes the state of a send port group; `action` is `enlist`, `start`, `stop` or `unenlist`.
#[utoipa::path(put, path = "/v1/groups/{name}/{action}", params(("name" = String, Path), ("action" = String, Path)), responses((status = 200, body = NewState), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn group(State(api): State<Arc<Api>>, Path((name, action)): Path<(String, String)>) -> Result<Json<NewState>, Problem> {
    let state = api.server.group_action(&name, port_action(&action)?).await?;
    Ok(Json(NewState { state: state_text(state).to_owned() }))
}

/// Reads the application folder again and takes its changes over. With a mistake in it, the running
/// application stays as it is.
#[utoipa::path(post, path = "/v1/reload", responses((status = 200, body = NewState), (status = 422, body = Problem)))]
pub async fn reload(State(api): State<Arc<Api>>) -> Result<Json<NewState>, Problem> {
    let problem = |text: String| Problem::new(code::CONFIG_VALUE, format!("not reloaded, the running application is unchanged: {text}"));
    api.reload.reload(&api.server).await.map_err(problem)?;
    Ok(Json(NewState { state: "reloaded".to_owned() }))
}

/// Asks the host to stop. It answers first.
#[utoipa::path(post, path = "/v1/stop", responses((status = 200, body = NewState)))]
pub async fn stop(State(api): State<Arc<Api>>) -> Json<NewState> {
    api.stop.notify_one();
    Json(NewState { state: "stopping".to_owned() })
}

fn port_action(action: &str) -> Result<PortAction, Problem> {
    Ok(match action {
        "enlist" => PortAction::Enlist,
        "start" => PortAction::Start,
        "stop" => PortAction::Stop,
        "unenlist" => PortAction::Unenlist,
        other => return Err(unknown(other, "enlist, start, stop or unenlist")),
    })
}

fn unknown(action: &str, allowed: &str) -> Problem {
    Problem::new(code::CONFIG_VALUE, format!("there is no action \"{action}\": use {allowed}"))
}
