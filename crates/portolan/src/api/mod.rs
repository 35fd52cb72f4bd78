//! The management API: HTTP on loopback, with a token kept in the data folder. The command line is one
//! client of it; `GET /openapi.json` describes it for others.
//!
//! **Invariant:** this is the only place that turns the inside of a host into JSON; secrets and
//! adapter settings are never part of it.

pub mod answer;
pub mod model;
mod operate;
mod read;
mod suspended;
pub mod token;

use answer::Problem;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use metrics_exporter_prometheus::PrometheusHandle;
use portolan_model::{Timestamp, code};
use portolan_runtime::Server;
use std::{net::SocketAddr, sync::Arc};
use token::Token;
use tokio::{net::TcpListener, sync::Notify};
use utoipa::OpenApi;

/// What the handlers share.
pub struct Api {
    /// The host.
    pub server: Arc<Server>,
    /// When the process started.
    pub started: Timestamp,
    /// Prometheus metrics.
    pub metrics: PrometheusHandle,
    /// Asks the process to read the application again; the answer comes through `reloaded`.
    pub reload: crate::run::Reloader,
    /// Asks the process to stop.
    pub stop: Arc<Notify>,
    /// What requests must show.
    pub token: Token,
}

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portolan management API",
        description = "Operates one host instance. Every request but /metrics and /openapi.json carries `Authorization: Bearer TOKEN`; the token is in `management.token` in the data folder."
    ),
    paths(
        read::status,
        read::locations,
        read::ports,
        read::groups,
        read::events,
        operate::location,
        operate::port,
        operate::retry,
        operate::group,
        operate::reload,
        operate::stop,
        suspended::list,
        suspended::show,
        suspended::body,
        suspended::resubmit,
        suspended::act,
    )
)]
struct Description;

/// The OpenAPI description as JSON text.
#[must_use]
pub fn openapi() -> String {
    Description::openapi().to_pretty_json().unwrap_or_default()
}

/// Serves the API until the task is dropped.
pub async fn serve(listener: TcpListener, api: Arc<Api>) -> std::io::Result<()> {
    axum::serve(listener, router(api)).await
}

/// Binds the listener. Only loopback addresses are accepted: the API has one token and no TLS.
///
/// # Errors
/// What is wrong with the address, or that another process has it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    if !address.ip().is_loopback() {
        return Err(format!(
            "the management address {address} is not a loopback address: the management API never listens beyond this machine"
        ));
    }
    let hint = "choose another with --management or server.management_address (port 0 picks a free one)";
    TcpListener::bind(address).await.map_err(|error| format!("the management API cannot listen on {address}: {error}; {hint}"))
}

fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/status", get(read::status))
        .route("/v1/locations", get(read::locations))
        .route("/v1/locations/{name}/{action}", put(operate::location))
        .route("/v1/ports", get(read::ports))
        .route("/v1/ports/{name}/{action}", put(operate::port))
        .route("/v1/ports/{name}/retry", post(operate::retry))
        .route("/v1/groups", get(read::groups))
        .route("/v1/groups/{name}/{action}", put(operate::group))
        .route("/v1/events", get(read::events))
        .route("/v1/reload", post(operate::reload))
        .route("/v1/stop", post(operate::stop))
        .route("/v1/suspended", get(suspended::list))
        .route("/v1/suspended/actions/{action}", post(suspended::act))
        .route("/v1/suspended/{id}", get(suspended::show))
        .route("/v1/suspended/{id}/body", get(suspended::body))
        .route("/v1/suspended/{id}/resubmit", post(suspended::resubmit))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(api.clone(), authorize))
        .route("/metrics", get(|State(api): State<Arc<Api>>| async move { metrics(&api).await }))
        .route("/openapi.json", get(|| async { ([("content-type", "application/json")], openapi()) }))
        .fallback(|| async { Problem::new(code::NOT_FOUND, "there is no such resource; see /openapi.json") })
        .with_state(api)
}

async fn authorize(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get("authorization").and_then(|h| h.to_str().ok()).and_then(|h| h.strip_prefix("Bearer "));
    if shown.is_some_and(|shown| api.token.matches(shown)) {
        return next.run(request).await;
    }
    let mut refusal = Problem::new(
        code::NOT_AUTHORIZED,
        "the request carries no token, or a wrong one; the token is in management.token in the data folder",
    )
    .into_response();
    refusal.headers_mut().insert("www-authenticate", axum::http::HeaderValue::from_static("Bearer"));
    refusal
}

async fn metrics(api: &Api) -> Response {
    if let Ok(services) = portolan_store::ask::services(api.server.core.store.as_ref()).await {
        for count in services {
            let service = count.service.name.to_string();
            metrics::gauge!("portolan_instances", "service" => service.clone(), "state" => "ready").set(count.ready as f64);
            metrics::gauge!("portolan_instances", "service" => service.clone(), "state" => "scheduled").set(count.scheduled as f64);
            let suspended = count.suspended_resumable + count.suspended_not_resumable;
            metrics::gauge!("portolan_instances", "service" => service, "state" => "suspended").set(suspended as f64);
        }
    }
    for queue in api.server.core.queues() {
        metrics::gauge!("portolan_port_queue_depth", "port" => queue.name.to_string()).set(queue.len() as f64);
        metrics::gauge!("portolan_port_sending", "port" => queue.name.to_string()).set(f64::from(queue.active()));
    }
    ([("content-type", "text/plain; version=0.0.4")], api.metrics.render()).into_response()
}
