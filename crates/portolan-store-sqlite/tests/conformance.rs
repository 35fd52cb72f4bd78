//! The conformance suite of the port on the embedded store.

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
    fn new() -> Arc<dyn Site> {
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
    conformance::run(FolderSite::new).await;
}
