//! Results: every run as a line of JSON, and a table of medians with the smallest and greatest value.

use crate::Problem;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// Where results go.
pub struct Report {
    path: PathBuf,
    file: File,
}

/// Values of one column over all rounds of one case.
type Columns = BTreeMap<String, Vec<f64>>;

/// Rounds of the cases of one benchmark, in the order in which the cases came.
#[derive(Default)]
pub struct Rounds(Vec<(String, Columns)>);

impl Report {
    /// Appends to `results.jsonl` of a folder.
    pub fn new(folder: &Path) -> Result<Self, Problem> {
        let path = folder.join("results.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Self { path, file })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one run.
    pub fn line(&mut self, benchmark: &str, case: &str, run: &Value) -> Result<(), Problem> {
        let line = serde_json::json!({ "benchmark": benchmark, "case": case, "run": run });
        writeln!(self.file, "{line}")?;
        Ok(())
    }
}

impl Rounds {
    /// Adds the numbers of a run.
    pub fn add(&mut self, case: &str, run: &Value) {
        let columns = match self.0.iter_mut().position(|(name, _)| name == case) {
            Some(at) => &mut self.0[at].1,
            None => {
                self.0.push((case.to_owned(), Columns::new()));
                &mut self.0.last_mut().expect("one was just pushed").1
            }
        };
        for (name, value) in run.as_object().into_iter().flatten() {
            if let Some(number) = value.as_f64() {
                columns.entry(name.clone()).or_default().push(number);
            }
        }
    }

    /// Prints the chosen columns as a table in Markdown: `median (min..max)`.
    pub fn print(&self, columns: &[&str]) {
        println!("| case | {} |", columns.join(" | "));
        println!("|---{}|", "|---".repeat(columns.len()));
        for (case, values) in &self.0 {
            let cells: Vec<String> = columns.iter().map(|c| values.get(*c).map_or_else(|| "–".to_owned(), |v| spread(v))).collect();
            println!("| {case} | {} |", cells.join(" | "));
        }
    }
}

/// `median (min..max)`.
pub fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => "–".to_owned(),
        [only] => short(only),
        [least, .., most] => format!("{} ({}..{})", short(sorted[sorted.len() / 2]), short(least), short(most)),
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_shows_the_median_between_the_extremes() {
        assert_eq!(spread(&[3.0, 100.0, 1.0]), "3.00 (1.00..100)");
        assert_eq!(spread(&[12.34]), "12.3");
    }
}
