//! `portolan run`: opens the store, starts the host and the management API, and stops them on a signal.

use crate::{
    api::{
        self, Api,
        token::{Token, Whereabouts},
    },
    config::{
        self, Loaded,
        reload::Difference,
        render::{self, Style},
    },
    registry,
};
use clap::{Args, ValueEnum};
use portolan_model::time::TimeZone;
use portolan_runtime::{Blueprint, Clock, Server, Start, StartError, SystemClock, World};
use portolan_sdk::Registry;
use portolan_store::MessageBox;
use portolan_store_sqlite::{Options, SqliteStore};
use std::{
    io::IsTerminal,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

/// Threads for work that blocks: pipelines over large bodies, files. Each keeps some memory of its own, so
/// not more than two cores can use; none of them waits for another.
const BLOCKING_THREADS: usize = 64;

/// Arguments of `portolan run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Application folder.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Use `bindings/<ENVIRONMENT>.yaml`.
    #[arg(short, long, env = "PORTOLAN_ENVIRONMENT")]
    pub environment: Option<String>,
    /// Folder of the MessageBox (default: server.data_folder of the application).
    #[arg(long, env = "PORTOLAN_DATA")]
    pub data: Option<PathBuf>,
    /// Address of the management API; port 0 picks a free one.
    #[arg(long, env = "PORTOLAN_MANAGEMENT")]
    pub management: Option<SocketAddr>,
    /// Form of the log on standard error.
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// What to log, for example `info` or `portolan_runtime=debug`.
    #[arg(long, env = "PORTOLAN_LOG", default_value = "info")]
    pub log_level: String,
    /// Seconds that a stop waits for work under way (default: server.stop_timeout of the application).
    #[arg(long)]
    pub stop_timeout: Option<u64>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Reads the application folder again on request.
#[derive(Clone)]
pub struct Reloader {
    folder: PathBuf,
    environment: Option<String>,
    registry: Arc<Registry>,
}

impl Reloader {
    /// Reads, checks and takes over the changed application.
    ///
    /// # Errors
    /// The mistakes, rendered; the running application stays as it is then.
    pub async fn reload(&self, server: &Server) -> Result<(), String> {
        let (reloader, registry) = (self.clone(), self.registry.clone());
        let loaded = tokio::task::spawn_blocking(move || config::load(&reloader.folder, reloader.environment.as_deref(), &registry))
            .await
            .map_err(|panic| panic.to_string())?;
        let blueprint = blueprint(&self.folder, loaded)?;
        let old = server.core.deployment();
        let difference = Difference::between(&old.blueprint.application, &blueprint.application);
        server.reload(blueprint).await.map_err(|error| error.to_string())?;
        tracing::info!("taken over: {difference}");
        Ok(())
    }
}

/// Runs until a signal, a stop request, or a failure to start.
pub fn run(args: &RunArgs) -> ExitCode {
    start_log(args);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_secs(5))
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the async runtime cannot start: {error}")),
    };
    let code = match runtime.block_on(serve(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(problem) => fail(&problem),
    };
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn serve(args: &RunArgs) -> Result<bool, String> {
    let registry = Arc::new(registry());
    let folder = std::path::absolute(&args.folder).map_err(|error| format!("{}: {error}", args.folder.display()))?;
    let loaded = config::load(&folder, args.environment.as_deref(), &registry);
    let settings = loaded.server.clone();
    let blueprint = blueprint(&folder, loaded)?;
    let data = args.data.clone().unwrap_or(settings.data_folder);
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().map_err(|error| error.to_string())?;
    let store: Arc<dyn MessageBox> = Arc::new(open_store(&data)?);
    let token = Token::of(&data).map_err(|error| format!("{}: the management token cannot be read or made: {error}", data.display()))?;
    let listener = listen(args.management, settings.management_address).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let start = Start { store: store.clone(), registry: registry.clone(), blueprint, world: World::default() };
    let server = match Server::start(start).await {
        Ok(server) => server,
        Err(error) => {
            let _ = store.close().await;
            return Err(explain_start(&error));
        }
    };
    Whereabouts { address, pid: std::process::id() }.write(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let stop = Arc::new(Notify::new());
    let reload = Reloader { folder: folder.clone(), environment: args.environment.clone(), registry };
    let api = Api {
        server: server.clone(),
        started: SystemClock.now(),
        metrics: metrics.clone(),
        reload: reload.clone(),
        stop: stop.clone(),
        token,
    };
    let api = tokio::spawn(api::serve(listener, Arc::new(api)));
    let upkeep = tokio::spawn(upkeep(metrics));
    tracing::info!(application = %folder.display(), data = %data.display(), management = %address, "running; stop with Ctrl-C");
    wait_for_stop(&server, &reload, &stop).await;
    let limit = args.stop_timeout.map_or(settings.stop_timeout, Duration::from_secs);
    tracing::info!("stopping: no new messages are taken in, those in transmission end within {} s", limit.as_secs());
    let in_time = server.stop(limit).await;
    api.abort();
    upkeep.abort();
    Whereabouts::remove(&data);
    Ok(in_time)
}

/// Where the management API listens. Nobody chose the default address: when it is taken, any other will
/// do, since commands find it through the data folder.
async fn listen(chosen: Option<SocketAddr>, configured: SocketAddr) -> Result<TcpListener, String> {
    match (api::bind(chosen.unwrap_or(configured)).await, chosen) {
        (Err(_), None) if configured.port() == config::MANAGEMENT_PORT => api::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await,
        (bound, _) => bound,
    }
}

fn open_store(data: &Path) -> Result<SqliteStore, String> {
    // Message bodies are nobody else's business.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|error| format!("the data folder {} cannot be made: {error}", data.display()))?;
    SqliteStore::open(Options::new(data)).map_err(|error| format!("the MessageBox in {} cannot be opened: {error}", data.display()))
}

/// Waits for SIGINT, SIGTERM or a stop request; SIGHUP reloads.
async fn wait_for_stop(server: &Server, reload: &Reloader, stop: &Notify) {
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        tracing::error!("signals cannot be received; stop with `portolan stop`");
        return stop.notified().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => return,
            _ = terminate.recv() => return,
            () = stop.notified() => return,
            _ = hangup.recv() => match reload.reload(server).await {
                Ok(()) => tracing::info!("the application was reloaded"),
                Err(mistakes) => tracing::error!("the application was not reloaded; the running one stays:\n{mistakes}"),
            },
        }
    }
}

/// Keeps the histograms of the metrics small between scrapes.
async fn upkeep(metrics: metrics_exporter_prometheus::PrometheusHandle) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}

fn blueprint(folder: &Path, loaded: Loaded) -> Result<Blueprint, String> {
    match loaded.application {
        Some(application) => Ok(Blueprint { application, schemas: loaded.schemas, base: folder.to_owned(), time_zone: TimeZone::system() }),
        None => Err(format!(
            "the application has mistakes:\n\n{}",
            render::human(&loaded.report, &format!("{}/", folder.display()), Style::Plain)
        )),
    }
}

fn explain_start(error: &StartError) -> String {
    match error {
        StartError::Application(_) => error.to_string(),
        StartError::Store(error) => format!("the MessageBox cannot be used: {error}"),
    }
}

#[allow(clippy::print_stderr)] // The command line speaks on standard error.
fn fail(problem: &str) -> ExitCode {
    eprintln!("portolan: {problem}");
    ExitCode::FAILURE
}

fn start_log(args: &RunArgs) {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log_level).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match args.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()).init(),
    }
}
