//! The disk of the MessageBox is full: acceptance stops cleanly, is reported, and recovers. Runs on a
//! small tmpfs, which needs the right to mount; where that is refused, the test says so and passes only
//! if it may (`PORTOLAN_TEST_MAY_SKIP=1`).

use crate::harness::{App, curl, free_port};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(folder).status();
        if done.is_ok_and(|status| status.success()) {
            return Some(Self(folder.to_owned()));
        }
        assert!(
            std::env::var_os("PORTOLAN_TEST_MAY_SKIP").is_some(),
            "a tmpfs cannot be mounted here: run as root, or set PORTOLAN_TEST_MAY_SKIP=1"
        );
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_acceptance_cleanly_and_recovers() {
    let place = tempfile::tempdir().unwrap();
    let disk = place.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&disk, 48) else { return };
    let http = free_port();
    let yaml = format!(
        r#"
application: full
receive_ports:
  - name: In
    locations:
      - {{ name: folder, pipeline: PassThruReceive, file: {{ folder: in, mask: "*", polling_interval_ms: 500 }} }}
      - {{ name: web, pipeline: PassThruReceive, http: {{ listen: "127.0.0.1:{http}", path: /in }} }}
send_ports:
  - {{ name: Out, state: stopped, filter: 'BTS.ReceivePortName == "In"', pipeline: PassThruTransmit, file: {{ folder: out, file_name: "%MessageID%" }} }}
"#
    );
    let app = App::new(&yaml).with_data(&disk.join("data")).mkdir(&["in", "out"]).start();
    let ballast = disk.join("ballast");
    // As much as the log: recovery moves the log into the file before it accepts anything.
    fs::write(&ballast, vec![0; 26 << 20]).unwrap();
    let url = format!("http://127.0.0.1:{http}/in");
    let body = vec![b'x'; 200_000];
    let mut accepted = 0;
    let refused = loop {
        match curl(&url, &body, &[]).0 {
            202 => accepted += 1,
            status => break status,
        }
        assert!(accepted < 1000, "the disk is never full");
    };
    assert_eq!(refused, 503, "a full disk is the server's fault and passes");
    app.drop_file("in/waits", &body);
    app.until("it is visible", || app.json(&["status"])["messagebox"].as_str().unwrap().starts_with("full").then_some(()));
    assert!(app.log().contains("PTL0401"), "{}", app.log());
    assert_eq!(app.files("in").len(), 1, "the source keeps what is not stored");
    // Somebody makes room: it goes on by itself.
    fs::remove_file(&ballast).unwrap();
    app.until("it takes messages again", || (app.json(&["status"])["messagebox"] == "working").then_some(()));
    app.until("the file is taken", || app.files("in").is_empty().then_some(()));
    app.until("reported", || app.ok(&["events", "-n", "50"]).contains("PTL0403").then_some(()));
    assert_eq!(app.suspended(None).len(), accepted + 1, "every accepted message and no other is there");
    app.ok(&["ports", "start", "Out"]);
    let files = app.until_files("out", accepted + 1);
    assert!(files.iter().all(|(_, bytes)| *bytes == body));
}
