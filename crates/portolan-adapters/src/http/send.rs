//! A send port: one message, one request. Must never count a message as delivered without an answer that
//! says so, and never follow a redirect that would lose the body or give credentials to strangers.

use super::{
    answer::{self, Hidden},
    check::SendPlan,
    client,
    config::{Method, SendSettings},
    outbound::{self, Outgoing},
};
use async_trait::async_trait;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION},
};
use portolan_model::{Context, Value, code, system};
use portolan_sdk::{AdapterError, OutboundMessage, SendAdapter};
use reqwest::{Client, Response, Url};
use std::{str::FromStr, time::Duration};
use tokio::time::Instant;

/// Lets destinations recognise a message that is sent again: the service instance, the same at every
/// retry.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The message's id.
const MESSAGE_ID: HeaderName = HeaderName::from_static("portolan-message-id");

/// Time for any message...
const BASE_TIMEOUT: Duration = Duration::from_secs(60);
/// ...and more for each MiB of it, when no limit is configured.
const TIMEOUT_PER_MIB: Duration = Duration::from_secs(10);

/// Sends for one port.
pub struct HttpSender {
    plan: SendPlan,
    client: Client,
    hidden: Hidden,
    authorization: Option<HeaderValue>,
    headers: HeaderMap,
}

/// What one message changes in the settings.
struct Adjusted {
    headers: HeaderMap,
    content_type: HeaderValue,
    limit: Duration,
    redirects: u8,
}

impl HttpSender {
    /// A sender for a port.
    ///
    /// # Errors
    /// When a certificate cannot be used.
    pub fn new(plan: SendPlan) -> Result<Self, String> {
        let client = client::build(&plan)?;
        let hidden = Hidden::of(&plan.settings, &plan.url);
        let authorization = plan.settings.authentication.as_ref().and_then(|a| a.header()).map(|text| secret_value(&text)).transpose()?;
        let mut headers = HeaderMap::new();
        for (name, value) in &plan.settings.headers {
            headers.insert(HeaderName::from_str(name).map_err(|e| e.to_string())?, secret_value(value.expose())?);
        }
        Ok(Self { plan, client, hidden, authorization, headers })
    }

    fn adjust(&self, message: &OutboundMessage) -> Result<Adjusted, AdapterError> {
        let settings = &self.plan.settings;
        let context = &message.context;
        let wrong = |text: String| AdapterError::permanent(code::SEND_REFUSED, format!("{}: {text}", self.what(&self.plan.url)));
        let mut headers = self.headers.clone();
        let given = context.text(&system::http::USER_HTTP_HEADERS).unwrap_or_default();
        for (name, value) in &outbound::user_headers(given).map_err(wrong)? {
            headers.insert(name, value.clone());
        }
        // Properties beat settings only on a dynamic send (facts: BTS.IsDynamicSend); otherwise what a
        // receive adapter noted about its own request would change ours.
        let dynamic = matches!(context.get(&system::bts::IS_DYNAMIC_SEND), Some(Value::Boolean(true)));
        let number = |name: portolan_model::Name| dynamic.then(|| whole_number(context, &name)).flatten();
        let chosen = dynamic.then(|| context.text(&system::http::CONTENT_TYPE)).flatten().or(settings.content_type.as_deref());
        let content_type = match chosen.filter(|t| !t.is_empty()) {
            Some(chosen) => chosen.to_owned(),
            None => outbound::content_type(message.content_type.as_deref(), message.charset.as_deref()),
        };
        let content_type = HeaderValue::from_str(&content_type)
            .map_err(|_| wrong(format!("the content type {content_type:?} cannot be put into a header")))?;
        let seconds = number(system::http::REQUEST_TIMEOUT).unwrap_or(settings.timeout_seconds);
        let limit = match seconds {
            0 => timeout_of(message.body.length()),
            seconds => Duration::from_secs(seconds.into()),
        };
        let redirects = number(system::http::MAX_REDIRECTS).map_or(settings.max_redirects, |n| u8::try_from(n.min(10)).unwrap_or(10));
        Ok(Adjusted { headers, content_type, limit, redirects })
    }

    fn what(&self, url: &Url) -> String {
        answer::what(&self.plan.settings, url)
    }

    fn headers(&self, message: (&str, &str), adjusted: &Adjusted, trusted: bool) -> HeaderMap {
        let mut headers = if trusted { adjusted.headers.clone() } else { HeaderMap::new() };
        headers.insert(CONTENT_TYPE, adjusted.content_type.clone());
        let (id, instance) = message;
        for (name, text) in [(MESSAGE_ID, id), (IDEMPOTENCY_KEY, instance)] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.entry(name).or_insert(value);
            }
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| trusted) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers
    }
}

#[async_trait]
impl SendAdapter for HttpSender {
    async fn send(&self, message: OutboundMessage) -> Result<(), AdapterError> {
        let adjusted = self.adjust(&message)?;
        let (id, instance) = (message.message.to_string(), message.instance.to_string());
        let deadline = Instant::now() + adjusted.limit;
        let length = message.body.length();
        let body = Outgoing::new(message.body);
        let mut url = self.plan.url.clone();
        let mut redirects = 0;
        loop {
            let what = self.what(&url);
            let headers = self.headers((&id, &instance), &adjusted, same_site(&self.plan.url, &url));
            let left = deadline.saturating_duration_since(Instant::now());
            let request =
                self.client.request(self.plan.settings.method.into(), url.clone()).headers(headers).timeout(left).body(body.open(length));
            let response = request.send().await.map_err(|error| match body.failure() {
                Some(unreadable) => {
                    let text = format!("{what} was broken off because the message's own body cannot be read: {unreadable}");
                    AdapterError::temporary(code::SEND_FAILED, text)
                }
                None => answer::unanswered(error, &what, adjusted.limit, &self.hidden),
            })?;
            match next(&response, &url).map_err(|why| AdapterError::permanent(code::SEND_REFUSED, format!("{what} {why}")))? {
                Some(target) if !is_success(&self.plan.settings, &response) => {
                    redirects += 1;
                    if redirects > adjusted.redirects {
                        let text = format!(
                            "{what} was redirected to {}, which is one redirect more than the {} allowed",
                            super::check::shown(&target),
                            adjusted.redirects
                        );
                        return Err(AdapterError::permanent(code::SEND_REFUSED, text));
                    }
                    url = target;
                }
                _ => return answer::judge(response, &what, &self.plan.settings, &self.hidden).await,
            }
        }
    }
}

fn is_success(settings: &SendSettings, response: &Response) -> bool {
    settings.success_statuses.iter().any(|s| s.matches(response.status().as_u16()))
}

/// Where a redirect leads that keeps method and body.
fn next(response: &Response, from: &Url) -> Result<Option<Url>, String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
    let target = location.to_str().ok().and_then(|text| from.join(text).ok()).filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(mut target) = target else { return Err("was redirected to an address that is no HTTP URL".to_owned()) };
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err(format!("was redirected to {}, which has no encryption; that is not followed", super::check::shown(&target)));
    }
    // Credentials in a redirect are the destination's idea, not the operator's.
    let _ = (target.set_username(""), target.set_password(None));
    Ok(Some(target))
}

/// Whether a redirect stays with the host that the configuration names: only there go credentials and
/// configured headers. From http to https of the same host counts as staying.
fn same_site(configured: &Url, url: &Url) -> bool {
    let same_port = configured.port_or_known_default() == url.port_or_known_default() && configured.scheme() == url.scheme();
    let upgraded = configured.scheme() == "http" && url.scheme() == "https" && configured.port().is_none() && url.port().is_none();
    configured.host() == url.host() && (same_port || upgraded)
}

fn timeout_of(length: Option<u64>) -> Duration {
    // Unknown: as if it were 1 GiB.
    let mib = length.unwrap_or(1 << 30) >> 20;
    BASE_TIMEOUT + TIMEOUT_PER_MIB * u32::try_from(mib).unwrap_or(u32::MAX / 16).min(u32::MAX / 16)
}

fn whole_number(context: &Context, name: &portolan_model::Name) -> Option<u32> {
    context.get(name)?.as_decimal()?.try_into().ok()
}

fn secret_value(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "a header has characters that it cannot carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
        }
    }
}
