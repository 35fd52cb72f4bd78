//! The crash campaign: kill -9 at random moments under load, restart, and at the end account for every
//! message. Every HTTP message answered with 202 and every file that has left its folder must be
//! delivered whole to every subscriber, or be visibly suspended. Short here; `cargo xtask crash` runs it long
//! (`PORTOLAN_CRASH_KILLS`, `PORTOLAN_CRASH_SEED`).

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

#[allow(dead_code)]
#[path = "../e2e/harness.rs"]
mod harness;

use harness::{App, Destination, free_port};
use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A small random generator, so that a seed repeats a run as far as the machine's timing allows.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A message that shows whether it is whole: its id first and last, and padding whose length it tells.
fn body(id: &str, padding: u64) -> Vec<u8> {
    let mut body = format!("{id} {padding} ").into_bytes();
    body.resize(body.len() + usize::try_from(padding).unwrap(), b'.');
    body.extend_from_slice(format!(" {id}").as_bytes());
    body
}

/// The id of a whole message; a message that is not whole fails the campaign.
fn id(bytes: &[u8], where_: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split(' ');
    let (id, padding) = (words.next().unwrap_or_default(), words.next().and_then(|w| w.parse::<u64>().ok()).unwrap_or(0));
    assert_eq!(bytes, body(id, padding), "a message in {where_} is not whole: {:.80}", text);
    id.to_owned()
}

fn padding(random: &mut Random) -> u64 {
    match random.next(20) {
        0 => random.next(900_000),
        1..4 => random.next(40_000),
        _ => random.next(900),
    }
}

fn yaml(http: u16, destination: &str) -> String {
    format!(
        r#"
application: crash
receive_ports:
  - name: In
    locations:
      - {{ name: folder, pipeline: PassThruReceive, file: {{ folder: in, mask: "*", polling_interval_ms: 500 }} }}
      - {{ name: web, pipeline: PassThruReceive, http: {{ listen: "127.0.0.1:{http}", path: /in }} }}
send_ports:
  - name: Files
    filter: BTS.ReceivePortName == "In"
    pipeline: PassThruTransmit
    retry: {{ count: 1000, interval: 1s }}
    file: {{ folder: out, file_name: "%MessageID%", copy_mode: overwrite }}
  - name: Web
    filter: BTS.ReceivePortName == "In"
    pipeline: PassThruTransmit
    retry: {{ count: 1000, interval: 1s }}
    http: {{ url: "{destination}" }}
"#
    )
}

/// Posts messages until told to stop; the ids of those that were answered with 202.
fn post(port: u16, name: &str, seed: u64, stop: &AtomicBool, acknowledged: &Mutex<BTreeSet<String>>) {
    let mut random = Random(seed);
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let id = format!("{name}-{number}");
        match send(port, &body(&id, padding(&mut random))) {
            Ok(true) => drop(acknowledged.lock().unwrap().insert(id)),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn send(port: u16, body: &[u8]) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    let head =
        format!("POST /in HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 202"))
}

/// Drops files until told to stop; their ids.
fn drop_files(folder: &Path, seed: u64, stop: &AtomicBool) -> BTreeSet<String> {
    let mut random = Random(seed);
    let mut dropped = BTreeSet::new();
    let staged: PathBuf = folder.join("staged");
    while !stop.load(Ordering::SeqCst) {
        let id = format!("file-{}", dropped.len());
        fs::write(&staged, body(&id, padding(&mut random))).unwrap();
        fs::rename(&staged, folder.join("in").join(&id)).unwrap();
        dropped.insert(id);
        thread::sleep(Duration::from_millis(random.next(12)));
    }
    dropped
}

#[test]
fn no_acknowledged_message_and_no_taken_file_is_lost_by_kills() {
    let kills = setting("PORTOLAN_CRASH_KILLS", 6);
    let seed = setting("PORTOLAN_CRASH_SEED", u64::from(std::process::id()));
    eprintln!("crash campaign: {kills} kills, seed {seed}");
    let mut random = Random(seed);
    let destination = Destination::start();
    let port = free_port();
    let mut app = App::new(&yaml(port, &destination.url())).mkdir(&["in", "out"]).start();
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let posters: Vec<_> = (0..4)
        .map(|n| {
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            thread::spawn(move || post(port, &format!("http{n}"), seed + n, &stop, &acknowledged))
        })
        .collect();
    let folder = app.path("");
    let dropper = thread::spawn({
        let stop = stop.clone();
        move || drop_files(&folder, seed, &stop)
    });
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(100 + random.next(1_500)));
        app.kill();
        // Sometimes again at once, in the middle of the recovery.
        if random.next(4) == 0 {
            app.spawn();
            thread::sleep(Duration::from_millis(random.next(150)));
            app.kill();
        }
        app.launch();
        eprintln!("kill {}: {} acknowledged", kill + 1, acknowledged.lock().unwrap().len());
    }
    thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::SeqCst);
    for poster in posters {
        poster.join().unwrap();
    }
    let mut expected = dropper.join().unwrap();
    let files = expected.len();
    expected.append(&mut acknowledged.lock().unwrap());
    eprintln!("{files} files and {} posts to account for", expected.len() - files);
    settle(&app);
    account(&app, &expected, &destination);
}

/// Waits until every file is taken and no message is waiting or under way.
fn settle(app: &App) {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let services = app.json(&["status"])["services"].clone();
        let busy = services.as_array().unwrap().iter().any(|s| s["ready"].as_u64().unwrap() + s["scheduled"].as_u64().unwrap() > 0);
        let sending = app.json(&["ports"]).as_array().unwrap().iter().any(|p| p["sending"] != 0);
        if !busy && !sending && app.files("in").is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "it does not come to rest: {services}\n{}", app.log());
        thread::sleep(Duration::from_millis(200));
    }
}

fn account(app: &App, expected: &BTreeSet<String>, destination: &Destination) {
    let suspended: BTreeSet<String> = app
        .suspended(None)
        .iter()
        .map(|instance| {
            let file = app.path("suspended-body");
            let _ = fs::remove_file(&file);
            app.ok(&["suspended", "save", instance["id"].as_str().unwrap(), file.to_str().unwrap()]);
            id(&fs::read(&file).unwrap(), "the suspended list")
        })
        .collect();
    let out: Vec<String> = app.files("out").iter().map(|(_, bytes)| id(bytes, "out")).collect();
    let web: Vec<String> = destination.got().iter().map(|bytes| id(bytes, "the HTTP destination")).collect();
    for (name, got) in [("out", &out), ("web", &web)] {
        let unique: BTreeSet<_> = got.iter().cloned().collect();
        let lost: Vec<_> = expected.iter().filter(|id| !unique.contains(*id) && !suspended.contains(*id)).collect();
        eprintln!("{name}: {} deliveries of {} messages, {} suspended, {} lost", got.len(), unique.len(), suspended.len(), lost.len());
        assert!(lost.is_empty(), "lost on the way to {name}: {lost:?}\n{}", app.log());
    }
    assert!(suspended.is_empty(), "nothing was wrong with these messages: {suspended:?}");
    // A file is published once however often the server was killed: the receive key sees to it.
    let mut files: Vec<_> = out.iter().filter(|id| id.starts_with("file-")).collect();
    let published = files.len();
    files.sort();
    files.dedup();
    assert_eq!(files.len(), published, "a source file was taken in twice");
}
