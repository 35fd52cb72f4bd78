//! The seeded model test: random requests go to a store and to the memory store, and every answer and
//! then all there is to see is compared. The same seed makes the same requests; a failure names seed
//! and step. Never looks into a store but through the port.

mod generate;
mod invent;
mod observe;
mod random;
mod steps;

#[cfg(test)]
mod planted;

use super::harness::{MemorySite, Site};
use crate::port::MessageBox;
use generate::Generator;
use observe::{Seen, see};
use random::Random;
use std::{fmt, sync::Arc};
use steps::{Step, take};

/// Random questions asked after each step: they cost little.
const QUESTIONS: usize = 4;

/// Where a store and the memory store part ways.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the step, from 0.
    pub step: usize,
    /// What was asked for.
    pub request: String,
    /// How the answers, or what can be seen after them, differ.
    pub difference: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, request, difference } = self;
        write!(f, "seed {seed}, step {step}: {difference}\nafter {request}")
    }
}

/// Runs `steps` random requests made from `seed` against the store of a fresh site.
///
/// # Errors
/// The first [`Divergence`] from the memory store.
pub async fn compare(seed: u64, steps: usize, site: Arc<dyn Site>) -> Result<(), Divergence> {
    let mut generator = Generator::new(Random::new(seed));
    let model_site: Arc<dyn Site> = Arc::new(MemorySite::default());
    let mut model = model_site.open().await;
    let mut subject = site.open().await;
    for step in 0..steps {
        let request = generator.next(&*model).await;
        let diverges = |request, difference| Err(Divergence { seed, step, request: shortened(request, 4_000), difference });
        if matches!(request, Step::Reopen) {
            model = reopen(model, &*model_site).await;
            subject = reopen(subject, &*site).await;
        } else if let Some(difference) = answers_differ(&*model, &*subject, &request).await {
            return diverges(&request, difference);
        }
        let (expected, got) = (see(&*model, &generator.known).await, see(&*subject, &generator.known).await);
        if let Some(difference) = Seen::difference(&expected, &got) {
            return diverges(&request, difference);
        }
        for _ in 0..QUESTIONS {
            let question = generator.question(&*model).await;
            if let Some(difference) = answers_differ(&*model, &*subject, &question).await {
                return diverges(&question, difference);
            }
        }
    }
    subject.close().await.unwrap();
    Ok(())
}

/// Like [`compare`], for tests.
///
/// # Panics
/// On a divergence, with seed and step.
pub async fn run(seed: u64, steps: usize, site: Arc<dyn Site>) {
    if let Err(divergence) = compare(seed, steps, site).await {
        panic!("{divergence}");
    }
}

async fn answers_differ(model: &dyn MessageBox, subject: &dyn MessageBox, request: &Step) -> Option<String> {
    let (expected, got) = (take(model, request).await, take(subject, request).await);
    (expected != got).then(|| format!("the answer differs\nmemory: {}\nstore:  {}", shortened(&expected, 2_000), shortened(&got, 2_000)))
}

async fn reopen(store: Arc<dyn MessageBox>, site: &dyn Site) -> Arc<dyn MessageBox> {
    store.close().await.unwrap();
    drop(store);
    site.open().await
}

fn shortened(value: &impl fmt::Debug, most: usize) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_store_agrees_with_itself() {
        for seed in 0..12 {
            run(seed, 250, Arc::new(MemorySite::default())).await;
        }
    }

    #[tokio::test]
    async fn random_requests_reach_every_kind_of_answer() {
        let mut generator = Generator::new(Random::new(7));
        let site = MemorySite::default();
        let mut store = site.open().await;
        let mut answers = std::collections::BTreeSet::new();
        for at in 0..6_000 {
            let step = if at % 3 > 0 { generator.next(&*store).await } else { generator.question(&*store).await };
            if matches!(step, Step::Reopen) {
                store = reopen(store, &site).await;
                continue;
            }
            let kind = step.kind();
            let answer = match take(&*store, &step).await {
                Ok(answer) if answer.is_empty() => "nothing".to_owned(),
                Ok(_) => "something".to_owned(),
                Err(error) => format!("{error:?}"),
            };
            answers.insert(format!("{kind}: {answer}"));
        }
        for expected in [
            "commit: something",
            "commit: Conflict",
            "commit: Duplicate",
            "commit: Invalid",
            "claim: something",
            "claim: nothing",
            "put: something",
            "put: Invalid",
            "read: something",
            "read: NotFound",
            "ask: something",
            "ask: nothing",
            "events: something",
        ] {
            assert!(answers.contains(expected), "no \"{expected}\" among {answers:#?}");
        }
    }
}
