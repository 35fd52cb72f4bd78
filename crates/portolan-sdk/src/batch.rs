//! Batches: what a receive adapter hands to the engine, and what it is told
//! (manual pages "Batching Messages for Receive Processing", "How to Handle Adapter Failures").

use crate::body::BodySource;
use async_trait::async_trait;
use portolan_model::{Code, Context, InstanceId, SmolStr, instance::Failure};
use std::sync::Arc;

/// A message as an adapter submits it. Cheap to clone: a message refused by the engine can be
/// suspended as it came.
#[derive(Clone, Debug)]
pub struct InboundMessage {
    /// Properties the adapter sets, in its own namespace. The engine adds the transport type, location,
    /// port and interchange properties itself.
    pub context: Context,
    /// The bytes.
    pub body: BodySource,
    /// MIME content type, if known.
    pub content_type: Option<SmolStr>,
    /// Character set, if known.
    pub charset: Option<SmolStr>,
    /// Identity of the source item, if it can be met again after a crash (a file not yet deleted). The
    /// engine takes an item of a given key only once, until the adapter forgets the key.
    pub receive_key: Option<String>,
}

impl InboundMessage {
    /// A message of these bytes.
    #[must_use]
    pub fn new(body: BodySource) -> Self {
        Self { context: Context::new(), body, content_type: None, charset: None, receive_key: None }
    }
}

/// One operation of a batch.
#[derive(Clone, Debug)]
pub enum BatchOperation {
    /// Run the receive pipeline and publish.
    Submit(InboundMessage),
    /// Put into the suspended list as it is (the reference product's *MoveToSuspendQ*).
    Suspend {
        /// The message, usually one whose submit was refused.
        message: InboundMessage,
        /// Why: becomes the description of the suspended instance.
        failure: Failure,
    },
    /// The source item of this key is gone for good (deleted, renamed).
    Forget(String),
}

/// What happened to one operation.
#[derive(Clone, Debug)]
pub enum OperationStatus {
    /// Done: so many documents were published.
    Done {
        /// Documents published from the interchange.
        documents: usize,
    },
    /// Success all the same: the engine has the message, suspended. The source may be deleted.
    Suspended {
        /// The suspended instance.
        instance: InstanceId,
        /// Why.
        failure: Failure,
    },
    /// Success all the same: this source item was taken in before.
    Duplicate,
    /// This operation made the batch fail.
    Refused {
        /// Why: [`portolan_model::code::NO_SUBSCRIPTION`] for a routing failure.
        code: Code,
        /// In words.
        message: String,
    },
    /// Nothing was wrong with it, but the batch failed.
    NotDone,
}

/// Answer to a batch, after its commit.
#[derive(Clone, Debug)]
pub struct BatchOutcome {
    /// Whether the engine owns all messages now. If not, nothing at all was done.
    pub committed: bool,
    /// Status of each operation, in order.
    pub statuses: Vec<OperationStatus>,
}

/// Something about the source that operators must know; not tied to a message.
#[derive(Clone, Debug)]
pub enum SourceNotice {
    /// The source cannot be reached or read. Repeated notices of the same code are logged once.
    Failing {
        /// Code with a page.
        code: Code,
        /// In words, with path or address.
        message: String,
    },
    /// The source works again.
    Recovered,
    /// Something about one item of the source (a file that cannot be removed); the source goes on and
    /// its state does not change. The adapter says it once for each item, so every notice is logged.
    Item {
        /// Code with a page.
        code: Code,
        /// In words, with path or address.
        message: String,
    },
}

/// The engine as a receive adapter sees it.
#[async_trait]
pub trait TransportProxy: Send + Sync {
    /// Carries out a batch whole or not at all and answers after the commit. Waits while the engine is
    /// busy: that is the back-pressure. Fails with code `PTL0501` when the host is shutting down and
    /// `PTL0401`/`PTL0402` when the MessageBox takes no writes; nothing was done then.
    async fn execute(&self, operations: Vec<BatchOperation>) -> Result<BatchOutcome, crate::AdapterError>;

    /// Tells operators about the source.
    fn notice(&self, notice: SourceNotice);

    /// Keys of source items taken in but not yet forgotten: after a crash, what to delete at last.
    async fn remembered(&self) -> Result<Vec<String>, crate::AdapterError>;
}

/// Handle to the engine for one receive location.
#[derive(Clone)]
pub struct Proxy(Arc<dyn TransportProxy>);

impl Proxy {
    /// Wraps an implementation.
    #[must_use]
    pub fn new(proxy: Arc<dyn TransportProxy>) -> Self {
        Self(proxy)
    }

    /// See [`TransportProxy::execute`].
    ///
    /// # Errors
    /// As there.
    pub async fn execute(&self, operations: Vec<BatchOperation>) -> Result<BatchOutcome, crate::AdapterError> {
        self.0.execute(operations).await
    }

    /// See [`TransportProxy::notice`].
    pub fn notice(&self, notice: SourceNotice) {
        self.0.notice(notice);
    }

    /// See [`TransportProxy::remembered`].
    ///
    /// # Errors
    /// As there.
    pub async fn remembered(&self) -> Result<Vec<String>, crate::AdapterError> {
        self.0.remembered().await
    }
}
