//! The repository as the tasks see it: its root, its files, and what they complain about.
//! Never writes anything.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// One complaint, with the place it is about.
pub struct Finding {
    place: String,
    message: String,
}

impl Finding {
    /// A complaint about a file, or about a line of it (`path:line`).
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Turns findings into the result of a task.
pub fn report(findings: &[Finding]) -> Result<(), String> {
    if findings.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Err(format!("{}\n{} finding(s)", lines.join("\n"), lines.len()))
}

/// A text file of the repository.
pub struct TextFile {
    /// Path from the root, with `/`.
    pub path: String,
    /// Content.
    pub text: String,
}

impl TextFile {
    /// Whether the path ends so.
    pub fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }
}

/// Every text file under version control, or about to be. A source archive without version control
/// is walked instead.
pub fn text_files() -> Result<Vec<TextFile>, String> {
    let root = root();
    let listed = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&root).output();
    let mut paths: Vec<String> = match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split('\0').filter(|p| !p.is_empty()).map(str::to_owned).collect()
        }
        _ => walk(&root, &root)?,
    };
    paths.sort();
    paths.dedup();
    let mut files = Vec::new();
    for path in paths {
        // A deleted file may still be listed, and what is not UTF-8 is not ours to judge.
        if let Ok(text) = fs::read_to_string(root.join(&path)) {
            files.push(TextFile { path, text });
        }
    }
    Ok(files)
}

fn walk(root: &Path, folder: &Path) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != ".portolan" {
                paths.extend(walk(root, &path)?);
            }
        } else if let Ok(inside) = path.strip_prefix(root) {
            paths.push(inside.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(paths)
}

/// Reads a file of the repository.
pub fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}"))
}

/// The numbered lines of a text.
pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}
