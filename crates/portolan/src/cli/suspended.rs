//! `portolan suspended`: find, read, save, edit and resubmit, resume and terminate suspended messages.

use super::{
    client::{Client, Connection},
    output::Output,
    status::{Done, to_json},
    table::{print, short},
};
use crate::api::model::{Changed, Resubmitted, SuspendedDetail, SuspendedFilter, SuspendedPage};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fs,
    io::{IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// What to do with suspended messages.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List them, newest first.
    List {
        #[command(flatten)]
        which: Which,
        /// How many at most.
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one: why it is suspended, its properties, the beginning of its body.
    Show {
        /// Id of the suspended instance (or the beginning of it, if it is the only one).
        id: String,
    },
    /// Save the body of one to a file.
    Save {
        /// Id of the suspended instance.
        id: String,
        /// File to write; `-` is standard output. An existing file is not overwritten.
        file: PathBuf,
    },
    /// Take an edited copy in and remove the original, in one step. Without --file, opens $EDITOR.
    Edit {
        /// Id of the suspended instance.
        id: String,
        /// File with the repaired body; `-` is standard input.
        #[arg(short, long)]
        file: Option<PathBuf>,
    },
    /// Process again: all that match, or these ids. Doing it twice changes nothing more.
    Resume {
        #[command(flatten)]
        which: Which,
        /// All suspended messages, when no other condition is given.
        #[arg(long)]
        all: bool,
    },
    /// Remove for good: all that match, or these ids.
    Terminate {
        #[command(flatten)]
        which: Which,
        /// All suspended messages, when no other condition is given.
        #[arg(long)]
        all: bool,
    },
}

/// Conditions; every one given must hold.
#[derive(Args, Debug)]
pub struct Which {
    /// Ids of suspended instances.
    ids: Vec<String>,
    /// Name of the send port or receive port.
    #[arg(long, visible_alias = "port")]
    service: Option<String>,
    /// send_port, receive_port or routing_failure_report.
    #[arg(long)]
    class: Option<String>,
    /// Error code, for example PTL0102.
    #[arg(long)]
    code: Option<String>,
    /// Message type (namespace#root).
    #[arg(long)]
    message_type: Option<String>,
    /// Text inside the error description.
    #[arg(long)]
    text: Option<String>,
    /// Suspended at or after this moment, for example 2026-05-01T08:00:00Z.
    #[arg(long)]
    since: Option<String>,
    /// Suspended before this moment.
    #[arg(long)]
    until: Option<String>,
}

impl Which {
    fn filter(&self) -> SuspendedFilter {
        SuspendedFilter {
            ids: (!self.ids.is_empty()).then(|| self.ids.join(",")),
            service: self.service.clone(),
            class: self.class.clone(),
            code: self.code.clone(),
            message_type: self.message_type.clone(),
            text: self.text.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            ..SuspendedFilter::default()
        }
    }
}

/// Runs the command.
pub fn run(connection: &Connection, command: &Command, output: &mut Output) -> Done {
    match command {
        Command::List { which, limit } => list(connection, &which.filter(), *limit, output),
        Command::Show { id } => show(connection, id, output),
        Command::Save { id, file } => save(connection, id, file, output),
        Command::Edit { id, file } => edit(connection, id, file.as_deref(), output),
        Command::Resume { which, all } => act(connection, "resume", &which.filter(), *all, output),
        Command::Terminate { which, all } => act(connection, "terminate", &which.filter(), *all, output),
    }
}

fn list(connection: &Connection, filter: &SuspendedFilter, limit: usize, output: &mut Output) -> Done {
    let (items, total, after) = connection.run(async |client| {
        let (mut items, mut total, mut after) = (Vec::new(), 0, None);
        while items.len() < limit {
            let page_limit = Some((limit - items.len()).min(1000));
            let page: SuspendedPage = client.get("v1/suspended", &SuspendedFilter { after, limit: page_limit, ..filter.clone() }).await?;
            total = page.total;
            items.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok((items, total, after))
    })?;
    if connection.json {
        output.json(&to_json(&SuspendedPage { items, total, next: after })?);
        return Ok(());
    }
    let shown = items.len() as u64;
    let row = |i: crate::api::model::Suspended| {
        let resumable = if i.resumable { "yes" } else { "no" };
        let service = if i.service.is_empty() { i.class.replace('_', " ") } else { i.service };
        vec![i.id, i.created, service, i.code.unwrap_or_default(), resumable.to_owned(), short(&i.description.unwrap_or_default(), 90)]
    };
    let heads = ["ID", "SUSPENDED", "SERVICE", "CODE", "RESUMABLE", "WHY"];
    print(output, &heads, items.into_iter().map(row).collect(), "No suspended messages.");
    if total > shown {
        output.line(&format!("… and {} more; --limit shows more, --service, --code and --text narrow down", total - shown));
    }
    Ok(())
}

/// The full id of an instance named by the beginning of its id.
async fn resolve(client: &Client, id: &str) -> Result<String, String> {
    if id.len() >= 32 {
        return Ok(id.to_owned());
    }
    let page: SuspendedPage = client.get("v1/suspended", &SuspendedFilter { limit: Some(1000), ..SuspendedFilter::default() }).await?;
    let mut found = page.items.into_iter().filter(|i| i.id.starts_with(id)).map(|i| i.id);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(format!("more than one suspended message has an id that begins with {id}")),
        (None, _) => Err(format!("no suspended message has an id that begins with {id}; `portolan suspended list` shows them")),
    }
}

fn show(connection: &Connection, id: &str, output: &mut Output) -> Done {
    let detail: SuspendedDetail = connection.run(async |client| {
        let id = resolve(client, id).await?;
        client.get(&format!("v1/suspended/{id}"), &()).await
    })?;
    if connection.json {
        output.json(&to_json(&detail)?);
        return Ok(());
    }
    let i = &detail.instance;
    let field = |output: &mut Output, name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            output.line(&format!("{name:<12} {}", value.replace('\n', &format!("\n{:<13}", ""))));
        }
    };
    field(output, "instance", Some(&i.id));
    field(output, "message", Some(&i.message));
    field(output, "service", Some(&format!("{} {}", i.class.replace('_', " "), i.service)));
    field(
        output,
        "suspended",
        Some(&format!("{} ({}, kept as {})", i.created, if i.resumable { "resumable" } else { "not resumable" }, i.form.replace('_', " "))),
    );
    field(output, "code", i.code.as_ref().map(|c| format!("{c} (portolan explain {c})")).as_deref());
    field(output, "why", i.description.as_deref());
    field(output, "adapter", i.adapter.as_deref());
    field(output, "address", i.address.as_deref());
    field(output, "group", i.group.as_deref());
    field(output, "about", i.about.as_deref());
    output.line("");
    let rows = detail.context.iter().map(|p| vec![p.name.clone(), p.kind.clone(), short(&p.value, 100)]).collect();
    print(output, &["PROPERTY", "KIND", "VALUE"], rows, "No properties.");
    output.line("");
    for part in &detail.parts {
        let kind = part.content_type.as_deref().unwrap_or("unknown type");
        output.line(&format!("part {}{}: {} bytes, {kind}", part.name, if part.body { " (body)" } else { "" }, part.size));
    }
    if let Some(preview) = &detail.preview {
        output.line(preview.trim_end());
    }
    Ok(())
}

fn save(connection: &Connection, id: &str, file: &Path, output: &mut Output) -> Done {
    let bytes = connection.run(async |client| {
        let id = resolve(client, id).await?;
        download(client, &id, file).await
    })?;
    if file != Path::new("-") {
        output.line(&format!("{bytes} bytes saved to {}", file.display()));
    }
    Ok(())
}

async fn download(client: &Client, id: &str, file: &Path) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut target: Box<dyn Write> = if file == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?)
    };
    let mut answer = client.download(&format!("v1/suspended/{id}/body")).await?;
    let bar = progress(answer.content_length(), "saving");
    let mut total = 0;
    while let Some(piece) = answer.chunk().await.map_err(|error| format!("the body broke off: {error}"))? {
        target.write_all(&piece).map_err(failed)?;
        total += piece.len() as u64;
        bar.set_position(total);
    }
    target.flush().map_err(failed)?;
    bar.finish_and_clear();
    Ok(total)
}

fn edit(connection: &Connection, id: &str, file: Option<&Path>, output: &mut Output) -> Done {
    let done: Option<Resubmitted> = connection.run(async |client| {
        let id = resolve(client, id).await?;
        let body = match file {
            Some(file) => Some(read(file)?),
            None => in_editor(client, &id).await?,
        };
        match body {
            Some(body) => client.post_bytes(&format!("v1/suspended/{id}/resubmit"), body).await.map(Some),
            None => Ok(None),
        }
    })?;
    match done {
        None => output.line("nothing was changed; the message stays suspended"),
        Some(done) if connection.json => output.json(&to_json(&done)?),
        Some(done) => output.line(&format!("resubmitted as message {}; the original is gone", done.messages.join(", "))),
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(|error| format!("standard input: {error}"))?;
        return Ok(bytes);
    }
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Lets the user edit the body; `None` when it was left as it was.
async fn in_editor(client: &Client, id: &str) -> Result<Option<Vec<u8>>, String> {
    let named = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).ok_or("set $EDITOR, or give the repaired body with --file")?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join(format!("{id}.xml"));
    download(client, id, &file).await?;
    let before = read(&file)?;
    let status = std::process::Command::new("sh")
        .args(["-c", "exec $0 \"$1\"", &editor])
        .arg(&file)
        .status()
        .map_err(|error| format!("the editor {editor} cannot be started: {error}"))?;
    let after = read(&file)?;
    if !status.success() {
        return Err(format!("the editor {editor} failed: {status}"));
    }
    Ok((after != before).then_some(after))
}

fn act(connection: &Connection, action: &str, filter: &SuspendedFilter, all: bool, output: &mut Output) -> Done {
    if *filter == SuspendedFilter::default() && !all {
        return Err(format!("say which messages to {action}: ids, conditions such as --service or --code, or --all"));
    }
    let filter = &SuspendedFilter { all: (*filter == SuspendedFilter::default()).then_some(true), ..filter.clone() };
    let bar = progress(None, if action == "resume" { "resuming" } else { "terminating" });
    let changed: Changed = connection.run(async |client| {
        let mut filter = filter.clone();
        if let Some(ids) = &filter.ids {
            let mut full = Vec::new();
            for id in ids.split(',') {
                full.push(resolve(client, id).await?);
            }
            filter.ids = Some(full.join(","));
        }
        client.post(&format!("v1/suspended/actions/{action}"), &filter).await
    })?;
    bar.finish_and_clear();
    if connection.json {
        output.json(&to_json(&changed)?);
        return Ok(());
    }
    let done = if action == "resume" { "resumed" } else { "terminated" };
    let hint = if changed.changed == 0 && action == "resume" { " (nothing resumable matches)" } else { "" };
    output.line(&format!("{} messages {done}{hint}", changed.changed));
    Ok(())
}

/// Progress on a terminal; nothing elsewhere.
fn progress(total: Option<u64>, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match total {
        Some(total) => {
            let style =
                ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}").unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style)
        }
        None => ProgressBar::new_spinner(),
    };
    bar.enable_steady_tick(Duration::from_millis(100));
    bar.with_message(what)
}
