//! `cargo xtask demo`: builds Portolan, runs the example application and hands it real orders. The
//! server keeps running until Ctrl-C, so that its operator can find and repair the bad order.

use std::{
    error::Error,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const ADDRESS: &str = "127.0.0.1:8480";

/// Runs the demo; `once` stops it when everything has arrived (for the test of the README).
pub fn run(root: &Path, once: bool) -> Result<(), Box<dyn Error>> {
    say("Building Portolan (a few minutes the first time)");
    let built = Command::new(env!("CARGO")).args(["build", "--package", "portolan"]).current_dir(root).status()?;
    if !built.success() {
        return Err("the build failed".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
    let binary = target.join("debug/portolan");
    let example = root.join("examples/orders");
    say("Checking and starting the example application examples/orders");
    if !Command::new(&binary).arg("check").arg(&example).stdin(Stdio::null()).status()?.success() {
        return Err("the example application has mistakes".into());
    }
    let mut server =
        Command::new(&binary).arg("run").arg(&example).args(["--log-level", "info,messages=debug"]).stdin(Stdio::null()).spawn()?;
    let shown = show(&binary, &example, &mut server);
    if shown.is_err() || once {
        // Ctrl-C would reach the server by itself; here it must be told.
        let _ = portolan(&binary, &example, &["stop"]).status();
        server.wait()?;
        return shown;
    }
    let status = server.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
}

fn show(binary: &Path, example: &Path, server: &mut Child) -> Result<(), Box<dyn Error>> {
    until("the server answers", || {
        if let Some(status) = server.try_wait()? {
            return Err(format!("the server ended with {status}; its message is above").into());
        }
        let answer = portolan(binary, example, &["status"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok(answer.success() && TcpStream::connect(ADDRESS).is_ok())
    })?;
    let before = arrived(example);
    say("Handing in orders: three as files in examples/orders/in, two over HTTP");
    for name in ["order-us.xml", "po-large.xml", "po-1234-bad.xml"] {
        let staged = example.join("in").join(format!("{name}.tmp"));
        fs::write(&staged, fs::read(example.join("samples").join(name))?)?;
        fs::rename(&staged, example.join("in").join(name))?;
    }
    for name in ["order-pt.xml", "sales-order.xml"] {
        println!("   POST {name}: {}", post(&fs::read(example.join("samples").join(name))?)?);
    }
    // us → warehouse; large → warehouse, sales desk; pt → abroad; sales order → sales desk.
    until("the orders have arrived", || Ok(arrived(example) >= before + 5))?;
    until("the bad order is suspended", || {
        let list = portolan(binary, example, &["suspended", "list"]).output()?;
        Ok(String::from_utf8_lossy(&list.stdout).contains("PTL0105"))
    })?;
    say("Where they went (examples/orders/out)");
    for folder in ["abroad", "warehouse", "sales-desk"] {
        println!("   {folder}: {} files", files(&example.join("out").join(folder)));
    }
    say("One order is bad, and kept: its total is \"$19.99\", which is no number");
    portolan(binary, example, &["suspended", "list"]).status()?;
    say("The server keeps running; stop it with Ctrl-C. In a second terminal, repair the order as the README shows:");
    println!("   alias portolan={}; cd {}; portolan suspended list", binary.display(), example.display());
    Ok(())
}

fn portolan(binary: &Path, example: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(args).arg("--application").arg(example).stdin(Stdio::null());
    command
}

fn arrived(example: &Path) -> usize {
    ["abroad", "warehouse", "sales-desk"].iter().map(|folder| files(&example.join("out").join(folder))).sum()
}

fn files(folder: &Path) -> usize {
    let names = fs::read_dir(folder).map(|entries| entries.flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.')).count());
    names.unwrap_or(0)
}

/// A plain HTTP POST; the status line of the answer.
fn post(body: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(ADDRESS)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "POST /orders HTTP/1.1\r\nHost: {ADDRESS}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn until(what: &str, mut check: impl FnMut() -> Result<bool, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check()? {
        if Instant::now() > deadline {
            return Err(format!("waited a minute until {what}, in vain; see the log above").into());
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn say(text: &str) {
    println!("\n== {text}");
}
