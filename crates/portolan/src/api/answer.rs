//! Answers that are not the wanted one: problem documents (RFC 9457) with the error code, so that a
//! client can show `portolan explain CODE`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use portolan_model::{Code, code};
use portolan_runtime::Refusal;
use portolan_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A problem document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Error code with a page, for example `PTL0603`.
    pub code: String,
    /// The code's one line.
    pub title: String,
    /// What happened, in words.
    pub detail: String,
}

impl Problem {
    /// A problem of this code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { status: status(code).as_u16(), code: code.id.to_owned(), title: code.title.to_owned(), detail: detail.into() }
    }
}

fn status(code: Code) -> StatusCode {
    match code {
        code::NOT_FOUND => StatusCode::NOT_FOUND,
        code::NOT_ALLOWED => StatusCode::CONFLICT,
        code::NOT_AUTHORIZED => StatusCode::UNAUTHORIZED,
        code::CONFIG_SHAPE | code::CONFIG_VALUE => StatusCode::BAD_REQUEST,
        code::STORE_FULL | code::STORE_FAILED | code::STORE_LOCKED | code::SHUTTING_DOWN => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [("content-type", "application/problem+json")], Json(self)).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.description)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(error.code(), error.message)
    }
}
