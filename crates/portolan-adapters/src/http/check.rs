//! What makes sense in the settings: turns them into a plan, or into every mistake at once. Must never
//! open a socket, and never put a secret into a message.

use super::{
    client,
    config::{Authentication, Basic, Bearer, ReceiveSettings, SendSettings},
    tls::{self, TlsFiles},
};
use hyper::header::{HeaderName, HeaderValue};
use portolan_sdk::{Checked, Problem};
use reqwest::Url;
use serde::de::DeserializeOwned;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Headers that the adapter or the connection sets: a configured or message-given one would break the
/// request or let one message smuggle another.
pub const OWN_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A receive location that can run.
#[derive(Clone, Debug)]
pub struct ReceivePlan {
    /// Where the listener is.
    pub address: SocketAddr,
    /// Certificate and key, as absolute paths.
    pub tls: Option<TlsFiles>,
    /// The settings.
    pub settings: ReceiveSettings,
}

/// A send port that can run.
#[derive(Clone, Debug)]
pub struct SendPlan {
    /// Destination.
    pub url: Url,
    /// The settings; paths in them are absolute.
    pub settings: SendSettings,
}

/// Collects mistakes.
struct Report<'a> {
    base: &'a Path,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn add(&mut self, path: &[&str], message: impl Into<String>, help: impl Into<String>, warning: bool) {
        let path = path.iter().map(|&key| key.to_owned()).collect();
        self.problems.push(Problem { path, message: message.into(), help: Some(help.into()), warning });
    }

    fn mistake(&mut self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        self.add(path, message, help, false);
    }

    fn read<T: DeserializeOwned>(&mut self, settings: &serde_json::Value) -> Option<T> {
        // serde's own message may quote a value of the wrong type, and that value may be a secret.
        serde_path(settings).map_err(|message| self.mistake(&[], message, "Compare with the adapter's reference page.")).ok()
    }

    fn absolute(&self, file: &Path) -> PathBuf {
        self.base.join(file)
    }

    fn pem<T>(&mut self, path: &[&str], result: Result<T, String>) {
        if let Err(message) = result {
            self.mistake(path, message, "The file must exist, be readable by Portolan's account and be in PEM form.");
        }
    }

    fn authentication(&mut self, authentication: &Authentication) {
        if authentication.basic.is_none() && authentication.bearer.is_none() {
            self.mistake(&["authentication"], "no credentials are given", "Give `basic` or `bearer`, or leave `authentication` out.");
        }
        if let Some(Basic { user, password }) = &authentication.basic {
            if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
                self.mistake(
                    &["authentication", "basic", "user"],
                    "the user name is empty or has a colon",
                    "Basic authentication ends the user name at the first colon.",
                );
            }
            if password.expose().is_empty() || password.expose().chars().any(char::is_control) {
                self.mistake(
                    &["authentication", "basic", "password"],
                    "the password is empty or has a control character",
                    "A file with a secret may not end in a line break that is not part of it.",
                );
            }
        }
        if let Some(Bearer { token }) = &authentication.bearer {
            let token = token.expose();
            if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
                self.mistake(
                    &["authentication", "bearer", "token"],
                    "the token is empty or has characters that a header cannot carry",
                    "A token consists of visible ASCII characters without blanks.",
                );
            }
        }
    }
}

fn serde_path<T: DeserializeOwned>(settings: &serde_json::Value) -> Result<T, String> {
    T::deserialize(settings).map_err(|error| {
        let text = error.to_string();
        match text.split_once("invalid type:").or_else(|| text.split_once("invalid value:")) {
            Some((before, after)) => {
                let wanted = after.split_once("expected ").map_or("another type", |(_, wanted)| wanted);
                format!("{before}a value is of the wrong type, expected {wanted}")
            }
            None => text,
        }
    })
}

/// Checks the settings of a receive location. The plan is there when no problem is more than a warning.
pub fn receive(settings: &serde_json::Value, base: &Path) -> (Checked, Option<ReceivePlan>) {
    let mut report = Report { base, problems: Vec::new() };
    let Some(settings) = report.read::<ReceiveSettings>(settings) else {
        return (Checked { address: String::new(), problems: report.problems }, None);
    };
    let address = parse_listen(&settings.listen);
    if address.is_none() {
        report.mistake(
            &["listen"],
            format!("\"{}\" is not an IP address with a port", settings.listen),
            "Write for example `127.0.0.1:8081`, or `[::1]:8081` for IPv6.",
        );
    }
    check_path(&mut report, &settings.path);
    check_access(&mut report, &settings, address);
    let tls = check_server_tls(&mut report, &settings);
    check_limits(&mut report, &settings);
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let shown = address.map_or_else(|| settings.listen.clone(), |a| a.to_string());
    let checked = Checked { address: format!("{scheme}://{shown}{}", settings.path), problems: report.problems };
    let sound = checked.problems.iter().all(|p| p.warning);
    let plan = address.filter(|_| sound).map(|address| ReceivePlan { address, tls, settings });
    (checked, plan)
}

fn parse_listen(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0)
}

fn check_path(report: &mut Report<'_>, path: &str) {
    let path_key = &["path"];
    if !path.starts_with('/') {
        report.mistake(path_key, format!("the path \"{path}\" does not start with a slash"), format!("Write `/{path}`."));
    } else if path.contains(['?', '#', '*']) {
        report.mistake(
            path_key,
            format!("the path \"{path}\" has a character that no path can have here"),
            "A location is one exact path, without query string, fragment or wildcard.",
        );
    } else if http_path(path).is_none() {
        report.mistake(
            path_key,
            format!("the path \"{path}\" has a character that a URL cannot carry"),
            "Write blanks and other characters in percent form, as clients send them: `/my%20orders`.",
        );
    } else if path.len() > 256 {
        report.mistake(
            path_key,
            "the path is longer than 256 characters",
            "The address of a receive location may have 256 characters at most.",
        );
    }
}

fn http_path(path: &str) -> Option<()> {
    path.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)).then_some(())
}

fn check_access(report: &mut Report<'_>, settings: &ReceiveSettings, address: Option<SocketAddr>) {
    if let Some(authentication) = &settings.authentication {
        report.authentication(authentication);
    }
    let Some(address) = address.filter(|a| !a.ip().to_canonical().is_loopback()) else { return };
    if settings.authentication.is_none() {
        report.mistake(
            &["listen"],
            format!("{address} can be reached from other machines, but the location has no `authentication`"),
            "Configure `authentication` on every location of this listener, or listen on 127.0.0.1.",
        );
    } else if settings.tls.is_none() {
        report.add(
            &["tls"],
            format!("credentials come to {address} without encryption"),
            "Configure `tls`, or make sure that a proxy in front of Portolan encrypts.",
            true,
        );
    }
}

fn check_server_tls(report: &mut Report<'_>, settings: &ReceiveSettings) -> Option<TlsFiles> {
    let tls = settings.tls.as_ref()?;
    let files = TlsFiles { certificate: report.absolute(&tls.certificate), key: report.absolute(&tls.key) };
    let before = report.problems.len();
    report.pem(&["tls", "certificate"], tls::certificates(&files.certificate));
    report.pem(&["tls", "key"], tls::private_key(&files.key));
    if report.problems.len() == before {
        report.pem(&["tls"], files.load());
    }
    Some(files)
}

fn check_limits(report: &mut Report<'_>, settings: &ReceiveSettings) {
    if settings.methods.is_empty() {
        report.mistake(&["methods"], "no method is allowed", "Leave `methods` out for POST.");
    }
    for content_type in &settings.content_types {
        if content_type.split('/').filter(|part| !part.is_empty()).count() != 2 || content_type.contains([';', ' ']) {
            report.mistake(
                &["content_types"],
                format!("\"{content_type}\" is not a content type"),
                "Write for example `application/xml` or `text/*`, without parameters.",
            );
        }
    }
    if settings.max_body_bytes == 0 {
        report.mistake(&["max_body_bytes"], "no body can be so small", "Give the size of the largest body in bytes.");
    }
    if !(1..=3600).contains(&settings.body_timeout_seconds) {
        report.mistake(&["body_timeout_seconds"], "the time is not between 1 and 3600 seconds", "30 is a good value.");
    }
    if !(1..=4096).contains(&settings.max_concurrent_requests) {
        report.mistake(&["max_concurrent_requests"], "the number is not between 1 and 4096", "256 is a good value.");
    }
    if !(200..300).contains(&settings.success_status) {
        report.mistake(&["success_status"], format!("{} does not mean success", settings.success_status), "Give a status from 200 to 299.");
    }
}

/// Checks the settings of a send port. The plan is there when no problem is more than a warning.
pub fn send(settings: &serde_json::Value, base: &Path) -> (Checked, Option<SendPlan>) {
    let mut report = Report { base, problems: Vec::new() };
    let Some(mut settings) = report.read::<SendSettings>(settings) else {
        return (Checked { address: String::new(), problems: report.problems }, None);
    };
    let url = check_url(&mut report, "url", &settings.url);
    check_headers(&mut report, &settings);
    if let Some(authentication) = &settings.authentication {
        report.authentication(authentication);
        if authentication.basic.is_some() && authentication.bearer.is_some() {
            report.mistake(&["authentication"], "both `basic` and `bearer` are given", "A request can show one of them only.");
        }
        if url.as_ref().is_some_and(|u| u.scheme() == "http" && !is_loopback(u)) {
            report.add(
                &["url"],
                "credentials go to the destination without encryption",
                "Use an https:// address if the destination has one.",
                true,
            );
        }
    }
    check_client_tls(&mut report, &mut settings);
    check_numbers(&mut report, &settings);
    if let Some(proxy) = &settings.proxy {
        let proxy_url = check_url(&mut report, "proxy", &proxy.url);
        if proxy_url.is_some() && proxy.user.is_some() != proxy.password.is_some() {
            report.mistake(&["proxy"], "only one of `user` and `password` is given", "Give both, or none.");
        }
    }
    let address = url.as_ref().map_or_else(String::new, shown);
    let sound = report.problems.iter().all(|p| p.warning);
    let plan = url.filter(|_| sound).map(|url| SendPlan { url, settings });
    // Whether certificate and key belong together shows only here.
    if let Some(Err(message)) = plan.as_ref().filter(|p| p.settings.tls.is_some()).map(client::build) {
        report.mistake(
            &["tls"],
            message,
            "Compare the files: `openssl x509 -noout -pubkey` and `openssl pkey -pubout` must print the same key.",
        );
        return (Checked { address, problems: report.problems }, None);
    }
    (Checked { address, problems: report.problems }, plan)
}

fn check_url(report: &mut Report<'_>, key: &str, text: &str) -> Option<Url> {
    let example = "Write for example `https://partner.example/orders`.";
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            report.mistake(&[key], format!("the address is not a URL: {error}"), example);
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        report.mistake(&[key], format!("the scheme {}: is none of HTTP's", url.scheme()), example);
    } else if !url.username().is_empty() || url.password().is_some() {
        report.mistake(
            &[key],
            "the address has a user name or password in it",
            "Take them out and use `authentication`, where they stay secret.",
        );
    } else if url.fragment().is_some() {
        report.mistake(&[key], "the address has a fragment (`#`), which is never sent", "Take it out.");
    } else {
        return Some(url);
    }
    None
}

/// A URL as people may see it: without credentials, and without the values of its query.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail only for URLs without a host, which have no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let query = url.query().is_some();
    url.set_query(None);
    url.set_fragment(None);
    if query { format!("{url}?…") } else { url.to_string() }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

fn check_headers(report: &mut Report<'_>, settings: &SendSettings) {
    for (name, value) in &settings.headers {
        let at = &["headers", name.as_str()];
        if HeaderName::from_str(name).is_err() {
            report.mistake(at, format!("\"{name}\" cannot be the name of a header"), "A name consists of letters, digits and hyphens.");
        } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            report.mistake(
                at,
                format!("the header {name} is set by the adapter"),
                "Use `content_type` or `authentication` for these two; the others belong to the connection.",
            );
        } else if HeaderValue::from_str(value.expose()).is_err() {
            report.mistake(
                at,
                format!("the value of the header {name} has characters that a header cannot carry"),
                "Take out line breaks and other control characters.",
            );
        }
    }
    if settings.content_type.as_deref().is_some_and(|t| !t.contains('/') || HeaderValue::from_str(t).is_err()) {
        report.mistake(&["content_type"], "this is not a content type", "Write for example `application/xml; charset=utf-8`.");
    }
}

fn check_client_tls(report: &mut Report<'_>, settings: &mut SendSettings) {
    let Some(tls) = &mut settings.tls else { return };
    for file in [&mut tls.ca, &mut tls.certificate, &mut tls.key].into_iter().flatten() {
        *file = report.absolute(file);
    }
    if let Some(ca) = &tls.ca {
        report.pem(&["tls", "ca"], tls::certificates(ca));
    }
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            report.pem(&["tls", "certificate"], tls::certificates(certificate));
            report.pem(&["tls", "key"], tls::private_key(key));
        }
        (None, None) => {}
        _ => report.mistake(&["tls"], "only one of `certificate` and `key` is given", "A client certificate needs both."),
    }
}

fn check_numbers(report: &mut Report<'_>, settings: &SendSettings) {
    if settings.max_redirects > 10 {
        report.mistake(&["max_redirects"], "more than 10 redirects", "The manual allows 0 to 10.");
    }
    if !(1..=3600).contains(&settings.connect_timeout_seconds) {
        report.mistake(&["connect_timeout_seconds"], "the time is not between 1 and 3600 seconds", "15 is a good value.");
    }
    if settings.success_statuses.is_empty() {
        report.mistake(
            &["success_statuses"],
            "no status means success, so every message would be suspended",
            "Leave `success_statuses` out for `2xx`.",
        );
    }
}
