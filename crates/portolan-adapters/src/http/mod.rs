//! The HTTP adapter: takes in messages by request and delivers them by request, one way (manual pages
//! "HTTP Receive Adapter", "HTTP Send Adapter"). See `notes.md` for what was decided and why.
//!
//! **Invariant:** a client is told of success only after the durable commit, and a message counts as
//! delivered only after an answer that says so.

mod answer;
mod auth;
mod check;
mod client;
pub mod config;
mod connection;
mod inbound;
mod listener;
mod outbound;
mod problem;
mod receive;
mod request;
mod send;
mod stall;
#[cfg(test)]
mod tests;
mod tls;

use config::{ReceiveSettings, SendSettings};
use listener::Listeners;
use portolan_model::code;
use portolan_sdk::{Adapter, AdapterError, AdapterSpec, Checked, Direction, Problem, ReceiveAdapter, SendAdapter, Setup};
use receive::HttpReceiver;
use send::HttpSender;
use std::{path::Path, sync::Arc};

/// The adapter; its listeners are shared by all locations.
#[derive(Debug, Default)]
pub struct HttpAdapter {
    listeners: Arc<Listeners>,
}

impl Adapter for HttpAdapter {
    fn spec(&self) -> AdapterSpec {
        AdapterSpec {
            name: "http",
            transport_type: "HTTP",
            summary: "Receives messages by HTTP request and sends them by HTTP request, one way",
            receive: Some(schemars::schema_for!(ReceiveSettings).to_value()),
            send: Some(schemars::schema_for!(SendSettings).to_value()),
            guarantee: "at least once: a client or Portolan that misses an answer sends again",
        }
    }

    fn check(&self, direction: Direction, settings: &serde_json::Value, base: &Path) -> Checked {
        match direction {
            Direction::Receive => check::receive(settings, base).0,
            Direction::Send => check::send(settings, base).0,
        }
    }

    fn receiver(&self, settings: &serde_json::Value, setup: Setup) -> Result<Box<dyn ReceiveAdapter>, AdapterError> {
        let (checked, plan) = check::receive(settings, &setup.base);
        let plan = plan.ok_or_else(|| unusable(&checked.problems))?;
        Ok(Box::new(HttpReceiver { listeners: self.listeners.clone(), plan, location: setup.artifact }))
    }

    fn sender(&self, settings: &serde_json::Value, setup: Setup) -> Result<Arc<dyn SendAdapter>, AdapterError> {
        let (checked, plan) = check::send(settings, &setup.base);
        let plan = plan.ok_or_else(|| unusable(&checked.problems))?;
        let sender = HttpSender::new(plan).map_err(|message| AdapterError::permanent(code::CONFIG_VALUE, message))?;
        Ok(Arc::new(sender))
    }
}

fn unusable(problems: &[Problem]) -> AdapterError {
    let mistakes: Vec<String> = problems
        .iter()
        .filter(|p| !p.warning)
        .map(|p| if p.path.is_empty() { p.message.clone() } else { format!("{}: {}", p.path.join("."), p.message) })
        .collect();
    AdapterError::permanent(code::CONFIG_VALUE, mistakes.join("; "))
}
