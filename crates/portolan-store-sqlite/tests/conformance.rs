//! The conformance suite of the port on the embedded store.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code; seeds are printed")]

use async_trait::async_trait;
use portolan_store::{
    MessageBox,
    conformance::{self, Site},
};
use portolan_store_sqlite::{Options, SqliteStore};
use std::sync::Arc;
use tempfile::TempDir;

struct FolderSite(TempDir);

impl FolderSite {
    fn fresh() -> Arc<dyn Site> {
        Arc::new(Self(TempDir::new().unwrap()))
    }
}

#[async_trait]
impl Site for FolderSite {
    async fn open(&self) -> Arc<dyn MessageBox> {
        Arc::new(SqliteStore::open(Options::new(self.0.path())).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_passes_the_conformance_suite() {
    conformance::run(FolderSite::fresh).await;
}

/// Seeds of the model test; `PORTOLAN_SEED` runs another one, `PORTOLAN_STEPS` more steps.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_does_what_the_memory_store_does() {
    let first = number("PORTOLAN_SEED", 1);
    let steps = usize::try_from(number("PORTOLAN_STEPS", 400)).unwrap();
    for seed in first..first + number("PORTOLAN_SEEDS", 4) {
        println!("seed {seed}, {steps} steps");
        conformance::model::run(seed, steps, FolderSite::fresh()).await;
    }
}
