//! Submitting a batch by the manual's failure rules (page "How to Handle Adapter Failures"): batches
//! are all or nothing, so when some messages are refused, the good ones are submitted again and the bad
//! ones are suspended, in one batch. Every adapter that has no client to answer uses this.
//!
//! **Invariant:** a message is either owned by the engine (published, suspended, duplicate) when this
//! returns `Ok`, or nothing at all was done with any of them.

use crate::{
    batch::{BatchOperation, InboundMessage, OperationStatus, Proxy},
    error::AdapterError,
};
use portolan_model::{Timestamp, code, instance::Failure};
use std::time::{SystemTime, UNIX_EPOCH};

/// Submits messages as one batch. Messages the engine refuses (a routing failure, for example) are
/// suspended as they came while the others are submitted again.
///
/// Returns the status of each message, in order, after the commit: all of them are the engine's now and
/// their sources may be deleted.
///
/// # Errors
/// Those of [`Proxy::execute`], and `PTL0402` when the engine refuses even to suspend a message. Nothing
/// was done then: the sources must stay.
pub async fn submit_or_suspend(proxy: &Proxy, messages: Vec<InboundMessage>) -> Result<Vec<OperationStatus>, AdapterError> {
    let mut operations: Vec<BatchOperation> = messages.into_iter().map(BatchOperation::Submit).collect();
    loop {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let outcome = proxy.execute(operations.clone()).await?;
        if outcome.statuses.len() != operations.len() {
            return Err(broken(format!("the engine answered {} of {} operations", outcome.statuses.len(), operations.len())));
        }
        if outcome.committed {
            return Ok(outcome.statuses);
        }
        // Each round suspends at least one more message, so that this ends.
        let mut progress = false;
        for (operation, status) in operations.iter_mut().zip(outcome.statuses) {
            let OperationStatus::Refused { code, message } = status else { continue };
            let BatchOperation::Submit(refused) = operation else {
                return Err(broken(format!("the engine refused to suspend a message: {code} {message}")));
            };
            let failure = Failure { code: code.id.into(), description: message, adapter: None, address: None, at: now() };
            *operation = BatchOperation::Suspend { message: refused.clone(), failure };
            progress = true;
        }
        if !progress {
            return Err(broken("the engine refused the batch without naming a message".to_owned()));
        }
    }
}

fn broken(what: String) -> AdapterError {
    AdapterError::temporary(code::STORE_FAILED, format!("{what}; nothing was taken in and it will be tried again"))
}

fn now() -> Timestamp {
    Timestamp::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchOutcome, BodySource, SourceNotice, TransportProxy};
    use async_trait::async_trait;
    use portolan_model::InstanceId;
    use std::sync::{Arc, Mutex};

    /// An engine that refuses to submit bodies starting with `no` and, if told so, to suspend.
    #[derive(Default)]
    struct Fake {
        one_at_a_time: bool,
        refuse_suspend: bool,
        silent: bool,
        down: bool,
        batches: Mutex<Vec<String>>,
    }

    fn text(message: &InboundMessage) -> String {
        let BodySource::Bytes(bytes) = &message.body else { panic!("not in memory") };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[async_trait]
    impl TransportProxy for Fake {
        async fn execute(&self, operations: Vec<BatchOperation>) -> Result<BatchOutcome, AdapterError> {
            if self.down {
                return Err(AdapterError::temporary(code::SHUTTING_DOWN, "going down"));
            }
            let mut committed = true;
            let mut log = String::new();
            let mut statuses: Vec<OperationStatus> = operations
                .iter()
                .map(|operation| {
                    let (letter, message, bad) = match operation {
                        BatchOperation::Submit(m) => ('S', m, text(m).starts_with("no") && (committed || !self.one_at_a_time)),
                        BatchOperation::Suspend { message, .. } => ('X', message, self.refuse_suspend),
                        BatchOperation::Forget(_) => panic!("not expected"),
                    };
                    log += &format!("{letter}:{} ", text(message));
                    match operation {
                        _ if bad => {
                            committed = false;
                            OperationStatus::Refused { code: code::NO_SUBSCRIPTION, message: format!("nobody wants {}", text(message)) }
                        }
                        BatchOperation::Suspend { failure, .. } => OperationStatus::Suspended {
                            instance: "00000000-0000-0000-0000-000000000007".parse::<InstanceId>().unwrap(),
                            failure: failure.clone(),
                        },
                        _ => OperationStatus::Done { documents: 1 },
                    }
                })
                .collect();
            if !committed {
                for status in &mut statuses {
                    if self.silent || !matches!(status, OperationStatus::Refused { .. }) {
                        *status = OperationStatus::NotDone;
                    }
                }
            }
            self.batches.lock().unwrap().push(log.trim().to_owned());
            Ok(BatchOutcome { committed, statuses })
        }
        fn notice(&self, _: SourceNotice) {}
        async fn remembered(&self) -> Result<Vec<String>, AdapterError> {
            Ok(Vec::new())
        }
    }

    async fn run(fake: Fake, bodies: &[&'static str]) -> (Result<Vec<OperationStatus>, AdapterError>, Vec<String>) {
        let fake = Arc::new(fake);
        let messages = bodies.iter().map(|b| InboundMessage::new(BodySource::Bytes(b.as_bytes().into()))).collect();
        let result = submit_or_suspend(&Proxy::new(fake.clone()), messages).await;
        let batches = fake.batches.lock().unwrap().clone();
        (result, batches)
    }

    #[tokio::test]
    async fn a_good_batch_is_submitted_once() {
        let (result, batches) = run(Fake::default(), &["a", "b"]).await;
        assert!(matches!(result.unwrap()[..], [OperationStatus::Done { .. }, OperationStatus::Done { .. }]));
        assert_eq!(batches, ["S:a S:b"]);
    }

    #[tokio::test]
    async fn refused_messages_are_suspended_with_the_reason_and_the_others_are_submitted() {
        let (result, batches) = run(Fake::default(), &["a", "no1", "b", "no2"]).await;
        let statuses = result.unwrap();
        assert_eq!(batches, ["S:a S:no1 S:b S:no2", "S:a X:no1 S:b X:no2"]);
        let OperationStatus::Suspended { failure, .. } = &statuses[3] else { panic!("{statuses:?}") };
        assert_eq!((failure.code.as_str(), failure.description.as_str()), ("PTL0102", "nobody wants no2"));
        assert!(failure.at > Timestamp::default());
        assert!(matches!(statuses[0], OperationStatus::Done { .. }) && matches!(statuses[2], OperationStatus::Done { .. }));
    }

    #[tokio::test]
    async fn an_engine_that_names_one_bad_message_at_a_time_is_asked_until_all_are_known() {
        let (result, batches) = run(Fake { one_at_a_time: true, ..Fake::default() }, &["no1", "no2", "a"]).await;
        assert!(matches!(result.unwrap()[2], OperationStatus::Done { .. }));
        assert_eq!(batches.last().unwrap(), "X:no1 X:no2 S:a");
        assert_eq!(batches.len(), 3);
    }

    #[tokio::test]
    async fn what_cannot_even_be_suspended_is_an_error_and_nothing_was_done() {
        let (result, _) = run(Fake { refuse_suspend: true, ..Fake::default() }, &["a", "no"]).await;
        assert!(result.unwrap_err().message.contains("refused to suspend"));
        let (result, batches) = run(Fake { silent: true, ..Fake::default() }, &["no"]).await;
        assert!(result.unwrap_err().message.contains("without naming"));
        assert_eq!(batches.len(), 1);
        let (result, _) = run(Fake { down: true, ..Fake::default() }, &["a"]).await;
        assert_eq!(result.unwrap_err().code.id, "PTL0501");
    }

    #[tokio::test]
    async fn no_messages_make_no_batch() {
        let (result, batches) = run(Fake::default(), &[]).await;
        assert!(result.unwrap().is_empty() && batches.is_empty());
    }
}
