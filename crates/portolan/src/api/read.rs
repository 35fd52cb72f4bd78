//! Handlers that only look.

use super::{
    Api,
    answer::Problem,
    model::{Event, EventFilter, Group, Location, Port, ServiceLine, Status, class},
};
use axum::{
    Json,
    extract::{Query, State},
};
use portolan_model::{artifact::PortState, instance::ServiceClass};
use portolan_store::{Health, ask};
use std::sync::Arc;

/// The host at a glance.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status)))]
pub async fn status(State(api): State<Arc<Api>>) -> Result<Json<Status>, Problem> {
    let locations = api.server.locations().await;
    let ports = api.server.ports();
    let messagebox = match api.server.core.store.changes().borrow().health.clone() {
        Health::Working => "working".to_owned(),
        Health::Full(why) => format!("full: {why}"),
        Health::Failed(why) => format!("failed: {why}"),
        Health::Closed => "closed".to_owned(),
    };
    Ok(Json(Status {
        application: api.server.core.deployment().blueprint.application.name.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: api.started.short(),
        messagebox,
        locations_running: locations.iter().filter(|l| l.status == portolan_runtime::LocationStatus::Running).count(),
        locations: locations.len(),
        ports_started: ports.iter().filter(|p| p.state == PortState::Started).count(),
        ports: ports.len(),
        services: services(&api).await?,
    }))
}

/// Instances by service.
pub async fn services(api: &Api) -> Result<Vec<ServiceLine>, Problem> {
    let counts = ask::services(api.server.core.store.as_ref()).await?;
    Ok(counts
        .into_iter()
        .map(|count| ServiceLine {
            class: class(count.service.class).to_owned(),
            service: count.service.name.to_string(),
            ready: count.ready,
            scheduled: count.scheduled,
            suspended: count.suspended_resumable + count.suspended_not_resumable,
        })
        .collect())
}

/// All receive locations.
#[utoipa::path(get, path = "/v1/locations", responses((status = 200, body = Vec<Location>)))]
pub async fn locations(State(api): State<Arc<Api>>) -> Json<Vec<Location>> {
    Json(api.server.locations().await.into_iter().map(Into::into).collect())
}

/// All send ports.
#[utoipa::path(get, path = "/v1/ports", responses((status = 200, body = Vec<Port>)))]
pub async fn ports(State(api): State<Arc<Api>>) -> Result<Json<Vec<Port>>, Problem> {
    let services = services(&api).await?;
    let send = class(ServiceClass::SendPort);
    let counts = |name: &str| services.iter().find(|s| s.class == send && s.service == name);
    let line = |view: portolan_runtime::PortView| {
        let counts = counts(&view.name);
        Port::new(view, counts)
    };
    Ok(Json(api.server.ports().into_iter().map(line).collect()))
}

/// All send port groups.
#[utoipa::path(get, path = "/v1/groups", responses((status = 200, body = Vec<Group>)))]
pub async fn groups(State(api): State<Arc<Api>>) -> Json<Vec<Group>> {
    Json(api.server.groups().into_iter().map(Into::into).collect())
}

/// The event log, newest first.
#[utoipa::path(get, path = "/v1/events", params(EventFilter), responses((status = 200, body = Vec<Event>)))]
pub async fn events(State(api): State<Arc<Api>>, Query(filter): Query<EventFilter>) -> Result<Json<Vec<Event>>, Problem> {
    let limit = filter.limit.unwrap_or(50).min(1000);
    let records = ask::events(api.server.core.store.as_ref(), filter.before, filter.after, limit).await?;
    Ok(Json(records.into_iter().map(Into::into).collect()))
}
