//! Settings of the HTTP adapter. The doc comments are the reference pages; this file must never do
//! anything with a setting but hold it (see `check.rs` for what makes sense).

use portolan_model::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use std::{collections::BTreeMap, path::PathBuf};

/// An HTTP receive location: one path of a listener that takes in messages by POST, PUT or PATCH
/// (manual pages "HTTP Receive Adapter", "How to Configure an HTTP Receive Location").
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveSettings {
    /// Address and port to listen on, for example `127.0.0.1:8081` or `[::1]:8081`. Locations with the
    /// same address share one listener. An address that other machines can reach requires
    /// `authentication` on every location of the listener.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// Path of the location, for example `/orders`. Compared exactly, without the query string.
    pub path: String,
    /// Methods that submit a message. Others are answered with 405.
    #[serde(default = "default_receive_methods")]
    pub methods: Vec<Method>,
    /// Content types that are taken in, for example `application/xml` or `text/*`. Others are answered
    /// with 415. Empty: any.
    #[serde(default)]
    pub content_types: Vec<String>,
    /// Largest body in bytes; a larger one is answered with 413. Bodies over 1 MiB wait in a temporary
    /// file, not in memory. Default 2 GiB.
    #[serde(default = "default_max_body")]
    #[schemars(range(min = 1))]
    pub max_body_bytes: u64,
    /// Longest pause, in seconds, between two pieces of a body before the request is answered with
    /// 408. A body must also keep an average of 1 KiB per second after its first minute.
    #[serde(default = "default_body_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub body_timeout_seconds: u32,
    /// Requests that may wait for the MessageBox at once; further ones wait their turn (the reference
    /// product's *RequestQueueSize*).
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 4096))]
    pub max_concurrent_requests: u32,
    /// Status of the answer to a message taken in, after it is stored durably.
    #[serde(default = "default_success")]
    #[schemars(range(min = 200, max = 299))]
    pub success_status: u16,
    /// What happens to a message whose pipeline, map or routing fails. `true`: it is suspended, where
    /// an operator can repair it, and the client gets the success status with a header
    /// `Portolan-Suspended-Instance`. `false`: nothing is kept and the client gets an error (422, or
    /// 500 when there is no subscriber). The reference product's default is `false`.
    #[serde(default = "default_true")]
    pub suspend_failed_requests: bool,
    /// HTTPS: certificate and key. All locations of a listener must name the same ones.
    #[serde(default)]
    pub tls: Option<ServerTls>,
    /// Who may submit. Without it everybody who can reach the listener may.
    #[serde(default)]
    pub authentication: Option<Authentication>,
}

/// An HTTP send port: delivers each message as one request (manual pages "HTTP Send Adapter",
/// "How to Configure an HTTP Send Port").
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendSettings {
    /// Destination, `http://` or `https://`. May have a query string, may not have a user name and
    /// password (see `authentication`).
    pub url: String,
    /// Method of the request.
    #[serde(default)]
    pub method: Method,
    /// Content type of the request. Default: the message's own, or `text/xml` when it has none.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Headers of every request. A value may be a secret.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret<String>>,
    /// Seconds from the start of the request to the end of the answer. 0: one minute and ten seconds
    /// more for each MiB of the body.
    #[serde(default)]
    pub timeout_seconds: u32,
    /// Seconds to establish a connection, with TLS.
    #[serde(default = "default_connect_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub connect_timeout_seconds: u32,
    /// Redirects followed for one message; 0 follows none. 301, 302, 307 and 308 are followed with the
    /// same method and body; 303 is never followed, because a GET would not deliver the message.
    #[serde(default = "default_redirects")]
    #[schemars(range(max = 10))]
    pub max_redirects: u8,
    /// Statuses that mean that the destination has the message: numbers, or classes such as `2xx`.
    #[serde(default = "default_success_statuses")]
    pub success_statuses: Vec<Status>,
    /// Statuses that are tried again by the send port's retry count and interval. Every other failure
    /// status is permanent: the backup transport is used, or the message is suspended.
    #[serde(default = "default_retry_statuses")]
    pub retry_statuses: Vec<Status>,
    /// Certificates for HTTPS. Default: the system's certificate authorities.
    #[serde(default)]
    pub tls: Option<ClientTls>,
    /// How the adapter proves who it is.
    #[serde(default)]
    pub authentication: Option<Authentication>,
    /// Proxy server. Proxy settings of the environment are not used.
    #[serde(default)]
    pub proxy: Option<ProxyServer>,
}

/// Methods that carry a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

impl Method {
    /// The method's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// Files of an HTTPS listener, in PEM form. They are read again when they change.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// Certificate chain, the listener's own certificate first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Certificates of an HTTPS destination, in PEM form.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// Certificate authorities to trust instead of the system's. A destination's self-signed certificate
    /// may stand here if it is not marked as an authority (`basicConstraints=CA:FALSE`).
    pub ca: Option<PathBuf>,
    /// Client certificate chain.
    pub certificate: Option<PathBuf>,
    /// Private key of the client certificate.
    pub key: Option<PathBuf>,
}

/// Credentials. A receive location accepts any one of those given; a send port uses the only one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Authentication {
    /// User name and password.
    pub basic: Option<Basic>,
    /// A token.
    pub bearer: Option<Bearer>,
}

/// Basic authentication.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// User name, without a colon.
    pub user: String,
    /// Password.
    pub password: Secret<String>,
}

/// Bearer authentication.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// The token.
    pub token: Secret<String>,
}

/// A proxy server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyServer {
    /// Its URL, `http://` or `https://`, with its port.
    pub url: String,
    /// User name, if it wants one.
    #[serde(default)]
    pub user: Option<String>,
    /// Password.
    #[serde(default)]
    pub password: Option<Secret<String>>,
}

/// A status, or a class of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Exactly this one.
    One(u16),
    /// All of a hundred: 5 for `5xx`.
    Class(u16),
}

impl Status {
    /// Whether `status` is meant.
    #[must_use]
    pub fn matches(self, status: u16) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(class) => class == status / 100,
        }
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u16),
            Text(String),
        }
        let written = Written::deserialize(deserializer)?;
        let status = match &written {
            Written::Number(number) => Some(Self::One(*number)),
            Written::Text(text) => match text.as_bytes() {
                [digit @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => Some(Self::Class(u16::from(digit - b'0'))),
                _ => text.parse().ok().map(Self::One),
            },
        };
        status
            .filter(|s| !matches!(s, Self::One(n) if !(100..600).contains(n)))
            .ok_or_else(|| de::Error::custom("a status is a number from 100 to 599 or a class such as \"5xx\""))
    }
}

impl JsonSchema for Status {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpStatus".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 100, "maximum": 599 }, { "type": "string", "pattern": "^([1-5][xX]{2}|[1-5][0-9]{2})$" }]
        })
    }
}

impl serde::Serialize for Status {
    /// Only for the defaults shown in the JSON Schema.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(one) => serializer.serialize_u16(*one),
            Self::Class(class) => serializer.collect_str(&format_args!("{class}xx")),
        }
    }
}

impl serde::Serialize for Method {
    /// Only for the defaults shown in the JSON Schema.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn default_listen() -> String {
    "127.0.0.1:8081".to_owned()
}
fn default_receive_methods() -> Vec<Method> {
    vec![Method::Post]
}
fn default_max_body() -> u64 {
    2 << 30
}
fn default_body_timeout() -> u32 {
    30
}
fn default_concurrency() -> u32 {
    256
}
fn default_success() -> u16 {
    202
}
fn default_true() -> bool {
    true
}
fn default_connect_timeout() -> u32 {
    15
}
fn default_redirects() -> u8 {
    5
}
fn default_success_statuses() -> Vec<Status> {
    vec![Status::Class(2)]
}
fn default_retry_statuses() -> Vec<Status> {
    vec![Status::One(408), Status::One(425), Status::One(429), Status::Class(5)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_a_number_or_a_class() {
        let read = |value| serde_json::from_value::<Vec<Status>>(value);
        assert_eq!(read(json!([404, "503", "4xx"])).unwrap(), [Status::One(404), Status::One(503), Status::Class(4)]);
        for wrong in [json!([0]), json!([700]), json!(["6xx"]), json!(["many"]), json!([true])] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(Status::Class(5).matches(599) && !Status::Class(5).matches(499));
    }

    #[test]
    fn unknown_settings_are_refused_and_defaults_fill_the_rest() {
        assert!(serde_json::from_value::<ReceiveSettings>(json!({ "path": "/a", "pth": 1 })).is_err());
        let settings: ReceiveSettings = serde_json::from_value(json!({ "path": "/a" })).unwrap();
        assert_eq!((settings.listen.as_str(), settings.success_status), ("127.0.0.1:8081", 202));
        let settings: SendSettings = serde_json::from_value(json!({ "url": "http://x/" })).unwrap();
        assert!(settings.retry_statuses.iter().any(|s| s.matches(503)) && settings.max_redirects == 5);
    }
}
