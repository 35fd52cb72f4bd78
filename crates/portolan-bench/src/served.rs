//! A `portolan run` of its own for a benchmark, on a copy of one of the crate's applications.

use crate::{
    Problem, Settings,
    measure::{cpu, memory_mb},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const SCHEMAS: [(&str, &str); 2] =
    [("Bench.xsd", include_str!("../apps/regions/schemas/Bench.xsd")), ("Order.xsd", include_str!("../apps/regions/schemas/Order.xsd"))];

/// A running server; ended when dropped.
pub struct Served {
    /// The application folder.
    pub folder: PathBuf,
    child: Child,
}

impl Served {
    /// Starts an application in an empty folder and waits until it watches `watched`.
    pub fn start(settings: &Settings, application: &str, watched: &[&str]) -> Result<Self, Problem> {
        if !settings.server.exists() {
            return Err(format!("there is no server at {}: build it, or name it with --server", settings.server.display()).into());
        }
        let folder = settings.folder.join("application");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("schemas"))?;
        fs::write(folder.join("application.yaml"), application)?;
        for (name, text) in SCHEMAS {
            fs::write(folder.join("schemas").join(name), text)?;
        }
        let log = fs::File::create(settings.folder.join("server.log"))?;
        let child = Command::new(&settings.server)
            .arg("run")
            .arg(&folder)
            .args(["--management", "127.0.0.1:0", "--log-level", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut served = Self { folder, child };
        let start = Instant::now();
        while !watched.iter().all(|name| served.folder.join(name).is_dir()) {
            if let Some(status) = served.child.try_wait()? {
                return Err(format!("the server ended with {status}; see server.log in the data folder").into());
            }
            if start.elapsed() > Duration::from_secs(30) {
                return Err("the server does not watch its folders after 30 s".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(500));
        Ok(served)
    }

    /// Processor time so far.
    pub fn cpu(&self) -> Duration {
        cpu(&self.child.id().to_string())
    }

    /// Greatest resident size so far in MB.
    pub fn peak_mb(&self) -> f64 {
        memory_mb(&self.child.id().to_string(), "VmHWM")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder beside the server's for files that are being made.
pub fn stage(settings: &Settings) -> Result<PathBuf, Problem> {
    let stage = settings.folder.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    fs::create_dir_all(&stage)?;
    Ok(stage)
}

/// How many entries a folder has; a folder that is not there yet has none.
pub fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}
