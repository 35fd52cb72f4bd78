//! `portolan status`, `locations`, `ports`, `groups`, `events`, `reload`, `stop`: look at and operate a
//! running server.

use super::{
    client::{Connection, step},
    output::Output,
    table::{print, short},
};
use crate::api::model::{Changed, Event, EventFilter, Group, Location, NewState, Port, Status};
use clap::{Args, Subcommand};
use std::time::Duration;

/// Result of a command: its failure is printed by the caller.
pub type Done = Result<(), String>;

/// The server at a glance.
pub fn status(connection: &Connection, output: &mut Output) -> Done {
    let status: Status = connection.run(async |client| client.get("v1/status", &()).await)?;
    if connection.json {
        output.json(&to_json(&status)?);
        return Ok(());
    }
    output.line(&format!("application   {}", status.application));
    output.line(&format!("server        version {}, process {}, started {}", status.version, status.pid, status.started));
    output.line(&format!("MessageBox    {}", status.messagebox));
    output.line(&format!("locations     {} of {} running", status.locations_running, status.locations));
    output.line(&format!("send ports    {} of {} started", status.ports_started, status.ports));
    let rows = status
        .services
        .into_iter()
        .map(|s| vec![s.class.replace('_', " "), s.service, s.ready.to_string(), s.scheduled.to_string(), s.suspended.to_string()])
        .collect();
    output.line("");
    print(output, &["SERVICE", "NAME", "READY", "SCHEDULED", "SUSPENDED"], rows, "No messages are waiting or suspended.");
    Ok(())
}

/// What to do with receive locations.
#[derive(Subcommand, Debug)]
pub enum LocationCommand {
    /// List them (the default).
    List,
    /// Receive from these.
    Enable {
        /// Names of receive locations.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Stop receiving from these.
    Disable {
        /// Names of receive locations.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Receive locations.
pub fn locations(connection: &Connection, command: Option<&LocationCommand>, output: &mut Output) -> Done {
    match command {
        Some(LocationCommand::Enable { names }) => change(connection, output, "v1/locations", names, "enable"),
        Some(LocationCommand::Disable { names }) => change(connection, output, "v1/locations", names, "disable"),
        None | Some(LocationCommand::List) => {
            let found: Vec<Location> = connection.run(async |client| client.get("v1/locations", &()).await)?;
            if connection.json {
                output.json(&to_json(&found)?);
                return Ok(());
            }
            let row = |l: Location| {
                let status = l.reason.map_or(l.status.clone(), |reason| format!("{}: {}", l.status, short(&reason, 100)));
                vec![l.name, l.port, l.adapter, l.pipeline, l.address, status]
            };
            print(
                output,
                &["LOCATION", "PORT", "ADAPTER", "PIPELINE", "ADDRESS", "STATUS"],
                found.into_iter().map(row).collect(),
                "There are no receive locations.",
            );
            Ok(())
        }
    }
}

/// What to do with send ports or groups.
#[derive(Subcommand, Debug)]
pub enum PortCommand {
    /// List them (the default).
    List,
    /// Subscribe, but keep messages suspended.
    Enlist(Names),
    /// Deliver, and send what waited for the start.
    Start(Names),
    /// Keep matching messages suspended from now on.
    Stop(Names),
    /// Give the subscription up: matching messages are no longer captured.
    Unenlist(Names),
    /// Send what is scheduled for a later try at once (send ports only).
    Retry(Names),
}

/// Names of ports or groups.
#[derive(Args, Debug)]
pub struct Names {
    /// Names.
    #[arg(required = true)]
    names: Vec<String>,
}

impl PortCommand {
    fn action(&self) -> Option<(&'static str, &[String])> {
        match self {
            Self::List => None,
            Self::Enlist(names) => Some(("enlist", &names.names)),
            Self::Start(names) => Some(("start", &names.names)),
            Self::Stop(names) => Some(("stop", &names.names)),
            Self::Unenlist(names) => Some(("unenlist", &names.names)),
            Self::Retry(names) => Some(("retry", &names.names)),
        }
    }
}

/// Send ports.
pub fn ports(connection: &Connection, command: Option<&PortCommand>, output: &mut Output) -> Done {
    if let Some(PortCommand::Retry(names)) = command {
        return retry(connection, &names.names, output);
    }
    if let Some((action, names)) = command.and_then(PortCommand::action) {
        return change(connection, output, "v1/ports", names, action);
    }
    let found: Vec<Port> = connection.run(async |client| client.get("v1/ports", &()).await)?;
    if connection.json {
        output.json(&to_json(&found)?);
        return Ok(());
    }
    let row = |p: Port| {
        let counts = [p.ready, u64::from(p.sending), p.scheduled, p.suspended].map(|n| n.to_string());
        [vec![p.name, p.state, p.adapter, p.address], counts.to_vec(), vec![short(&p.filter, 80)]].concat()
    };
    let heads = ["SEND PORT", "STATE", "ADAPTER", "ADDRESS", "READY", "SENDING", "SCHEDULED", "SUSPENDED", "FILTER"];
    print(output, &heads, found.into_iter().map(row).collect(), "There are no send ports.");
    Ok(())
}

fn retry(connection: &Connection, names: &[String], output: &mut Output) -> Done {
    for name in names {
        let path = format!("v1/ports/{}/retry", step(name));
        let done: Changed = connection.run(async |client| client.post(&path, &()).await)?;
        output.line(&format!("{name}: {} messages are tried now", done.changed));
    }
    Ok(())
}

/// Send port groups.
pub fn groups(connection: &Connection, command: Option<&PortCommand>, output: &mut Output) -> Done {
    if let Some((action, names)) = command.and_then(PortCommand::action) {
        return change(connection, output, "v1/groups", names, action);
    }
    let found: Vec<Group> = connection.run(async |client| client.get("v1/groups", &()).await)?;
    if connection.json {
        output.json(&to_json(&found)?);
        return Ok(());
    }
    let row = |g: Group| vec![g.name, g.state, g.members.join(", "), short(&g.filter, 80)];
    print(output, &["GROUP", "STATE", "MEMBERS", "FILTER"], found.into_iter().map(row).collect(), "There are no send port groups.");
    Ok(())
}

fn change(connection: &Connection, output: &mut Output, kind: &str, names: &[String], action: &str) -> Done {
    for name in names {
        let path = format!("{kind}/{}/{action}", step(name));
        let new: NewState = connection.run(async |client| client.put(&path).await)?;
        output.line(&format!("{name}: {}", new.state));
    }
    Ok(())
}

/// Which events.
#[derive(Args, Debug)]
pub struct WhichEvents {
    /// How many of the newest events.
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// Go on with new events as they come.
    #[arg(short, long)]
    follow: bool,
}

/// The event log, oldest of the shown first.
pub fn events(connection: &Connection, which: &WhichEvents, output: &mut Output) -> Done {
    connection.run(async |client| {
        let mut filter = EventFilter { limit: Some(which.limit.min(1000)), ..EventFilter::default() };
        loop {
            let mut found: Vec<Event> = client.get("v1/events", &filter).await?;
            found.reverse();
            for event in &found {
                if connection.json {
                    output.line(&serde_json::to_string(event).map_err(|error| error.to_string())?);
                } else {
                    output.line(&line(event));
                }
            }
            output.finish();
            if !which.follow {
                if found.is_empty() && !connection.json {
                    output.line("There are no events.");
                }
                return Ok(());
            }
            let last = found.last().map(|event| event.sequence).or(filter.after);
            filter = EventFilter { after: Some(last.unwrap_or(0)), limit: Some(1000), before: None };
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
}

fn line(event: &Event) -> String {
    let source = if event.source.is_empty() { "host" } else { &event.source };
    let message = event.message.as_ref().map(|id| format!(" [message {id}]")).unwrap_or_default();
    format!("{} {:<11} {} {source}: {}{message}", event.at, event.severity, event.code, event.text.replace('\n', "\n    "))
}

/// Takes the changed application over.
pub fn reload(connection: &Connection, output: &mut Output) -> Done {
    let _: NewState = connection.run(async |client| client.post("v1/reload", &()).await)?;
    output.line("the application was reloaded");
    Ok(())
}

/// Stops the server.
pub fn stop(connection: &Connection, output: &mut Output) -> Done {
    let _: NewState = connection.run(async |client| client.post("v1/stop", &()).await)?;
    output.line("the server is stopping");
    Ok(())
}

/// The JSON of an answer.
///
/// # Errors
/// Never for the answers of the API.
pub fn to_json(value: &impl serde::Serialize) -> Result<serde_json::Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}
