//! Runs the real binary on real folders and sockets.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An application folder in a temporary place, and the server that runs it.
pub struct App {
    folder: TempDir,
    data: PathBuf,
    child: Option<Child>,
}

impl App {
    /// An application with this `application.yaml`; folders named in it are made with [`App::mkdir`].
    pub fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join(".portolan");
        let app = Self { folder, data, child: None };
        app.configure(yaml);
        app
    }

    /// Keeps the MessageBox elsewhere.
    pub fn with_data(mut self, data: &Path) -> Self {
        self.data = data.to_owned();
        self
    }

    pub fn configure(&self, yaml: &str) {
        fs::write(self.path("application.yaml"), yaml).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn mkdir(self, names: &[&str]) -> Self {
        for name in names {
            fs::create_dir_all(self.path(name)).unwrap();
        }
        self
    }

    /// Copies a fixture folder into the application, for example schemas.
    pub fn copy(self, from: &Path, to: &str) -> Self {
        fs::create_dir_all(self.path(to)).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), self.path(to).join(entry.file_name())).unwrap();
            }
        }
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(mut self) -> Self {
        self.launch();
        self
    }

    /// Starts the server and waits until it answers.
    pub fn launch(&mut self) {
        self.spawn();
        self.wait_until_up();
    }

    /// Starts the server without waiting.
    pub fn spawn(&mut self) {
        let _ = fs::remove_file(self.data.join("management.json"));
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("server.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_portolan"))
            .arg("run")
            .arg(self.folder.path())
            .args(["--management", "127.0.0.1:0", "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.data.join("management.json").exists() || !self.cli(&["status"]).status.success() {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "the server does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops the server as an operator would; returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the server does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// Runs a command of the command line against this server.
    pub fn cli(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portolan")).args(args).arg("--data").arg(&self.data).stdin(Stdio::null()).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.cli(args);
        assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// JSON of a command that must succeed.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let printed = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{args:?}: {error}: {printed}"))
    }

    /// Suspended instances, of a code if one is given.
    pub fn suspended(&self, code: Option<&str>) -> Vec<serde_json::Value> {
        let mut args = vec!["suspended", "list", "--limit", "5000"];
        args.extend(code.map(|code| ["--code", code]).into_iter().flatten());
        self.json(&args)["items"].as_array().unwrap().clone()
    }

    pub fn until_suspended(&self, code: Option<&str>, count: usize) -> Vec<serde_json::Value> {
        self.until(&format!("{count} suspended messages of {code:?}"), || Some(self.suspended(code)).filter(|found| found.len() >= count))
    }

    /// Puts a file where a receive location finds it, at once and whole.
    pub fn drop_file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let staged = self.path(&format!(".staged-{}", name.replace('/', "-")));
        fs::write(&staged, bytes).unwrap();
        fs::rename(staged, self.path(name)).unwrap();
    }

    /// Names and contents of the files in a folder, by name; temporary files of the adapter are left out.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        files(&self.path(folder))
    }

    pub fn until_files(&self, folder: &str, count: usize) -> Vec<(String, Vec<u8>)> {
        self.until(&format!("{folder} holds {count} files"), || Some(self.files(folder)).filter(|found| found.len() >= count))
    }

    pub fn until<T>(&self, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = check() {
                return found;
            }
            if Instant::now() > deadline {
                let output = self.cli(&["suspended", "list"]);
                panic!("waited too long until {what}\nsuspended:\n{}\nlog:\n{}", text(&output.stdout), self.log());
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| !name.starts_with('.'))
        .filter_map(|(name, path)| Some((name, fs::read(path).ok()?)))
        .collect();
    found.sort();
    found
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Posts with curl; status and body of the answer.
pub fn curl(url: &str, body: &[u8], extra: &[&str]) -> (u16, String) {
    let mut child = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "--write-out", "\n%{http_code}", "--data-binary", "@-"])
        .args(["--header", "content-type: application/xml"])
        .args(extra)
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is installed (cargo xtask setup installs it)");
    // curl closes its input early when the server refuses: no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(body);
    let output = child.wait_with_output().unwrap();
    let printed = text(&output.stdout);
    let (answer, status) = printed.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), answer.to_owned())
}

/// A small HTTP server that a send port delivers to.
pub struct Destination {
    pub port: u16,
    got: Arc<Mutex<Vec<Vec<u8>>>>,
    answer: Arc<AtomicU16>,
    open: Arc<AtomicBool>,
}

impl Destination {
    pub fn start() -> Self {
        Self::on(free_port())
    }

    pub fn on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let this = Self { port, got: Arc::default(), answer: Arc::new(AtomicU16::new(200)), open: Arc::new(AtomicBool::new(true)) };
        let (got, answer, open) = (this.got.clone(), this.answer.clone(), this.open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !open.load(Ordering::SeqCst) {
                    return;
                }
                let (got, answer) = (got.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &got, &answer));
            }
        });
        this
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/in", self.port)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.answer.store(status, Ordering::SeqCst);
    }

    /// Bodies that were answered with 200, in order.
    pub fn got(&self) -> Vec<Vec<u8>> {
        self.got.lock().unwrap().clone()
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.open.store(false, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(stream: TcpStream, got: &Mutex<Vec<Vec<u8>>>, answer: &AtomicU16) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut length, mut chunked, mut first) = (0_usize, false, true);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() && !first {
                break;
            }
            first = false;
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        let Some(body) = read_body(&mut reader, length, chunked) else { return };
        let status = answer.load(Ordering::SeqCst);
        if status == 200 {
            got.lock().unwrap().push(body);
        }
        if write!(stream, "HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn read_body(reader: &mut BufReader<TcpStream>, length: usize, chunked: bool) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    if !chunked {
        reader.read_exact(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
        let at = body.len();
        body.resize(at + size, 0);
        reader.read_exact(&mut body[at..]).ok()?;
        reader.read_line(&mut String::new()).ok()?;
        if size == 0 {
            return Some(body);
        }
    }
}
