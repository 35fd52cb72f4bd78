//! Maps: one message type in, another out. XSLT and imported maps come with their own crate; here is
//! the slot they fill.

use crate::{component::PipelineMessage, error::ComponentError};

/// A map a port can name.
pub trait Map: Send + Sync {
    /// The `BTS.MessageType` it takes.
    fn source_type(&self) -> &str;
    /// The `BTS.MessageType` it makes.
    fn target_type(&self) -> &str;
    /// Transforms a message.
    ///
    /// # Errors
    /// [`ComponentError`] when the message cannot be transformed.
    fn transform(&self, message: PipelineMessage) -> Result<PipelineMessage, ComponentError>;
}
