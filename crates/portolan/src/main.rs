//! The `portolan` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    portolan::cli::main()
}
