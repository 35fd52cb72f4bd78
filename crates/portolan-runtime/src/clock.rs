//! The only places that read the clock and make identifiers. Everything else gets both as arguments.

use portolan_model::{BatchId, BodyId, InstanceId, InterchangeId, MessageId, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

/// Where moments come from; tests use their own.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_jiff(jiff::Timestamp::now())
    }
}

/// Clock and identifiers together, as the runtime passes them around.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
}

impl World {
    /// A world with this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
    /// A new message id. Ids grow with time, so that stores keep neighbours together.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        MessageId(Uuid::now_v7())
    }
    /// A new instance id; grows with time.
    #[must_use]
    pub fn instance_id(&self) -> InstanceId {
        InstanceId(Uuid::now_v7())
    }
    /// A new interchange id.
    #[must_use]
    pub fn interchange_id(&self) -> InterchangeId {
        InterchangeId(Uuid::now_v7())
    }
    /// A new body id.
    #[must_use]
    pub fn body_id(&self) -> BodyId {
        BodyId(Uuid::now_v7())
    }
    /// A new batch id.
    #[must_use]
    pub fn batch_id(&self) -> BatchId {
        BatchId(Uuid::now_v7())
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}
