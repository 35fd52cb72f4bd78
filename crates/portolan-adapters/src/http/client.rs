//! The HTTP client of a send port: its connections, certificates and proxy. Must never use a proxy or
//! trust a certificate that is not configured.

use super::{answer, check::SendPlan, tls};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Proxy, redirect};
use std::{fs, path::Path, time::Duration};

/// How long a connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(30);

/// How long sent bytes may stay without a sign of the destination before the connection is given up.
#[cfg(target_os = "linux")]
const STUCK: Duration = Duration::from_secs(120);

/// The client for a plan.
///
/// # Errors
/// Which certificate or proxy cannot be used, and why.
pub fn build(plan: &SendPlan) -> Result<Client, String> {
    tls::install_provider();
    let settings = &plan.settings;
    let files = settings.tls.clone().unwrap_or_default();
    let mut builder = bare(plan)?;
    if let (Some(certificate), Some(key)) = (&files.certificate, &files.key) {
        let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
        let identity = Identity::from_pem(&pem);
        builder = builder.identity(identity.map_err(|e| format!("the client certificate {} cannot be used: {e}", certificate.display()))?);
    }
    if let Some(ca) = &files.ca {
        let authorities = Certificate::from_pem_bundle(&read(ca)?).map_err(|e| format!("{} cannot be used: {e}", ca.display()))?;
        builder = builder.tls_certs_only(authorities);
    }
    let failed = match builder.build() {
        Ok(client) => return Ok(client),
        Err(error) => answer::causes(&error),
    };
    // A small container may have no authorities at all; plain HTTP needs none.
    if plan.url.scheme() == "http" && settings.tls.is_none() {
        return bare(plan)?.tls_certs_only([]).build().map_err(|e| format!("the HTTP client cannot be set up: {}", answer::causes(&e)));
    }
    let help = "install the system's certificate authorities (the package ca-certificates) or name your own in `tls.ca`";
    Err(format!("the HTTP client cannot be set up: {failed}; if there are none, {help}"))
}

/// Everything but certificates.
fn bare(plan: &SendPlan) -> Result<ClientBuilder, String> {
    let settings = &plan.settings;
    let mut builder = Client::builder()
        .user_agent(concat!("portolan/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(settings.connect_timeout_seconds.into()))
        .redirect(redirect::Policy::none())
        // Firewalls forget idle connections silently; a message sent into one would wait for its time limit.
        .pool_idle_timeout(IDLE)
        .no_proxy();
    #[cfg(target_os = "linux")]
    {
        // A destination that answers early and then reads nothing more would keep its connection for ever.
        builder = builder.tcp_user_timeout(STUCK);
    }
    if let Some(proxy) = &settings.proxy {
        let mut chosen = Proxy::all(&proxy.url).map_err(|e| format!("the proxy cannot be used: {}", e.without_url()))?;
        if let (Some(user), Some(password)) = (&proxy.user, &proxy.password) {
            chosen = chosen.basic_auth(user, password.expose());
        }
        builder = builder.proxy(chosen);
    }
    Ok(builder)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))
}
