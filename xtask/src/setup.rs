//! What the tests need besides Rust and a C compiler. Installs it where it may (root on Debian or
//! Ubuntu) and says exactly what to install everywhere else; it never changes a system it may not.

use crate::step;
use std::{fs, process::Command};

/// A program that tests call.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need { program: "curl", package: "curl", why: "an independent HTTP client for the end-to-end tests" },
    Need { program: "xmllint", package: "libxml2-utils", why: "an independent XML parser to compare with" },
    Need { program: "openssl", package: "openssl", why: "certificates for the TLS tests" },
    Need { program: "strace", package: "strace", why: "proves that acknowledgements come after the sync" },
];

/// Installs what is missing, or says what to install.
pub fn run() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !step::exists(need.program)).collect();
    if missing.is_empty() {
        println!("everything the tests need is here");
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.program, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !(is_root() && is_debian()) {
        return Err(format!(
            "the tests need: {}\non Debian or Ubuntu: sudo apt-get install -y --no-install-recommends {}\nelsewhere: install packages that bring these programs, then run this again",
            missing.iter().map(|need| need.program).collect::<Vec<_>>().join(", "),
            packages.join(" ")
        ));
    }
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    let mut install = vec!["install", "-y", "-q", "--no-install-recommends"];
    install.extend(&packages);
    // Package lists may be absent or old; refresh them only when the first try fails.
    if step::program_with("apt-get", &install, &quiet).is_err() {
        step::program_with("apt-get", &["update", "-q"], &quiet)?;
        step::program_with("apt-get", &install, &quiet)?;
    }
    match missing.iter().find(|need| !step::exists(need.program)) {
        Some(need) => Err(format!("package {} was installed, but {} is still not found in PATH", need.package, need.program)),
        None => Ok(()),
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| {
        text.lines()
            .any(|line| (line.starts_with("ID=") || line.starts_with("ID_LIKE=")) && (line.contains("debian") || line.contains("ubuntu")))
    })
}
