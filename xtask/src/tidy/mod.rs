//! House rules that the compiler does not check. Every rule says what to do instead; none changes a file.

mod exceptions;
mod pages;
mod rust;
mod text;

use crate::repo;

/// `cargo xtask tidy`.
pub fn run() -> Result<(), String> {
    let files = repo::text_files()?;
    let mut findings = rust::check(&files, &repo::read(exceptions::FILE)?);
    findings.extend(text::check(&files));
    findings.extend(pages::check(&files));
    repo::report(&findings)?;
    println!("{} files are tidy", files.len());
    Ok(())
}
