//! The files of a schema folder, in a stable order, without leaving it.

use super::{
    Problems,
    tree::{ROOT, Tree, XS},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Reads every `.xsd` file below `folder`.
pub fn read_all(folder: &Path, problems: &mut Problems) -> Vec<Tree> {
    let root = match folder.canonicalize() {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.file(folder, format!("the schema folder cannot be read: {error}"), None, false);
            return Vec::new();
        }
    };
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if let Err(error) = list(&folder, &root, &mut folders, &mut paths, problems) {
            problems.file(&folder, format!("the schema folder cannot be read: {error}"), None, false);
        }
    }
    paths.sort();
    paths.into_iter().filter_map(|path| read(path, folder, problems)).collect()
}

fn list(folder: &Path, root: &Path, folders: &mut Vec<PathBuf>, paths: &mut Vec<PathBuf>, problems: &mut Problems) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Folders reached over a link are not entered: a link to a parent would never end.
        if kind.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xsd")) {
            match path.canonicalize() {
                // A pipe would be waited for without end.
                Ok(real) if !real.is_file() => {
                    problems.file(&path, "it is not a file", Some("remove it, or give it another ending"), false)
                }
                Ok(real) if real.starts_with(root) => paths.push(path),
                Ok(_) => {
                    problems.file(&path, "the file is a link out of the schema folder", Some("copy the schema into the folder"), false)
                }
                Err(error) => problems.file(&path, format!("the schema cannot be read: {error}"), None, false),
            }
        }
    }
    Ok(())
}

fn read(path: PathBuf, folder: &Path, problems: &mut Problems) -> Option<Tree> {
    let shown = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.file(&path, format!("the schema cannot be read: {error}"), None, false);
            return None;
        }
    };
    match Tree::read(path.clone(), shown, bytes) {
        Ok(tree) if tree.is(ROOT, XS, "schema") => Some(tree),
        Ok(tree) => {
            problems.error(
                &tree,
                ROOT,
                "this is not an XML schema: the root element is not xs:schema",
                "remove the file from the schema folder",
            );
            None
        }
        Err(error) => {
            problems.file(&path, format!("the schema is not readable as XML: {}", error.message), None, false);
            if let Some(last) = problems.0.last_mut() {
                (last.line, last.column) = (error.line, error.column);
            }
            None
        }
    }
}
