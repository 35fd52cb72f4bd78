//! What a destination's answer means, and how a failure is told to operators. Must never put a secret
//! into an error, whatever the destination sends back.

use super::{check, config::SendSettings};
use portolan_model::code;
use portolan_sdk::AdapterError;
use reqwest::{Response, Url, header::RETRY_AFTER};
use std::{error::Error, time::Duration};
use tokio::time::timeout;

/// How much of a failure's answer operators see.
const SHOWN: usize = 500;
/// How much of an answer is read, and how long, so that the connection can be used again.
const READ: usize = 64 << 10;
const READ_TIME: Duration = Duration::from_secs(3);

/// Texts that must not show.
#[derive(Clone, Default)]
pub struct Hidden(Vec<String>);

impl Hidden {
    /// Every secret of the settings, in the forms in which it is sent.
    #[must_use]
    pub fn of(settings: &SendSettings, url: &Url) -> Self {
        let mut all: Vec<String> = settings.headers.values().map(|v| v.expose().clone()).collect();
        if let Some(authentication) = &settings.authentication {
            all.extend(authentication.header().and_then(|h| h.split_once(' ').map(|(_, value)| value.to_owned())));
            all.extend(authentication.basic.as_ref().map(|b| b.password.expose().clone()));
        }
        all.extend(settings.proxy.as_ref().and_then(|p| p.password.as_ref()).map(|p| p.expose().clone()));
        all.extend(url.query().map(str::to_owned));
        // Shorter ones are words rather than secrets, and hiding them would make the text unreadable.
        all.extend(url.query_pairs().map(|(_, value)| value.into_owned()).filter(|value| value.len() >= 8));
        all.retain(|secret| secret.len() >= 4);
        // A secret that begins with another one must go first.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(all)
    }

    /// The text with every secret replaced.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

/// Judges the final answer to a request.
///
/// # Errors
/// When its status is not one of success.
pub async fn judge(response: Response, what: &str, settings: &SendSettings, hidden: &Hidden) -> Result<(), AdapterError> {
    let status = response.status();
    if settings.success_statuses.iter().any(|s| s.matches(status.as_u16())) {
        // The answer came, so the destination has the message, even if the rest of the answer is lost.
        let _ = beginning(response, READ).await;
        return Ok(());
    }
    let temporary = settings.retry_statuses.iter().any(|s| s.matches(status.as_u16()));
    let wait = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).map(|v| clean(v, 40));
    let mut text = format!("{what} was answered with {status}");
    if let Some(wait) = wait {
        text.push_str(&format!(" (the destination asks to wait: {wait})"));
    }
    // Read beyond what is shown, so that a secret is not cut in two and missed.
    let answer = clean(&hidden.hide(&String::from_utf8_lossy(&beginning(response, SHOWN * 4).await)), SHOWN);
    text.push_str(&if answer.is_empty() { ". The answer has no text.".to_owned() } else { format!(". The answer begins: {answer}") });
    Err(if temporary { AdapterError::temporary(code::SEND_FAILED, text) } else { AdapterError::permanent(code::SEND_REFUSED, text) })
}

/// The first bytes of an answer, as far as they come in time.
async fn beginning(mut response: Response, most: usize) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = async {
        while let Ok(Some(piece)) = response.chunk().await {
            read.extend_from_slice(&piece[..piece.len().min(most - read.len())]);
            if read.len() >= most {
                break;
            }
        }
    };
    let _ = timeout(READ_TIME, reading).await;
    read
}

/// One line of visible text.
fn clean(text: &str, most: usize) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).collect();
    let mut line = spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.len() > most {
        line.truncate(line.floor_char_boundary(most));
        line.push('…');
    }
    line
}

/// A request that got no answer.
#[must_use]
pub fn unanswered(error: reqwest::Error, what: &str, limit: Duration, hidden: &Hidden) -> AdapterError {
    // The URL may have secrets in its query; `what` has the presentable one.
    let error = error.without_url();
    let causes = clean(&hidden.hide(&causes(&error)), SHOWN);
    if error.is_builder() {
        return AdapterError::permanent(code::SEND_REFUSED, format!("{what} cannot be made: {causes}"));
    }
    let happened = if error.is_connect() && error.is_timeout() {
        "could not connect in time".to_owned()
    } else if error.is_timeout() {
        format!("got no complete answer within {} s; the destination may have the message all the same", limit.as_secs())
    } else if error.is_connect() {
        "could not connect".to_owned()
    } else {
        "broke off without an answer; the destination may have the message all the same".to_owned()
    };
    AdapterError::temporary(code::SEND_FAILED, format!("{what} {happened}: {causes}"))
}

/// Why, from the outside in.
#[must_use]
pub fn causes(error: &reqwest::Error) -> String {
    let mut all = Vec::new();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(inner) = cause {
        all.push(inner.to_string());
        cause = inner.source();
    }
    all.dedup();
    if all.is_empty() { error.to_string() } else { all.join(": ") }
}

/// `POST https://host/path`, as operators may see it.
#[must_use]
pub fn what(settings: &SendSettings, url: &Url) -> String {
    format!("{} {}", settings.method.as_str(), check::shown(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_do_not_show_and_text_is_one_short_line() {
        let settings: SendSettings = serde_json::from_value(json!({
            "url": "http://h/p?code=q-secret", "headers": { "X-Key": "h-secret" }, "authentication": { "basic": { "user": "u", "password": "p-secret" } },
        }))
        .unwrap();
        let url = Url::parse(&settings.url).unwrap();
        let hidden = Hidden::of(&settings, &url);
        let sent = settings.authentication.as_ref().unwrap().header().unwrap();
        let text = hidden.hide(&format!("{sent} p-secret h-secret code=q-secret q-secret"));
        assert_eq!(text, "Basic *** *** *** *** ***");
        assert_eq!(what(&settings, &url), "POST http://h/p?…");
        assert_eq!(clean("a\r\n\tb \u{1b}[31mc", 100), "a b [31mc");
        assert_eq!(clean("ääää", 3), "ä…");
    }
}
