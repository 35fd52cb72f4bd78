//! Reading XML: from bytes in any character set to a stream of tokens, with limits.
//!
//! **Must never** load a document whole, read a DTD, expand an entity, follow a reference, or recurse
//! on the depth of a document. Long text, comments and CDATA sections come in pieces, so that memory
//! does not depend on the message. Every token knows its bytes in the (transcoded) input, so that a
//! document can be handed on byte for byte.

pub mod chars;
pub mod charset;
pub mod error;
pub mod escape;
pub mod input;
pub mod limits;
pub mod names;
pub mod reader;
pub mod tag;

pub use charset::Charset;
pub use error::XmlError;
pub use input::Input;
pub use limits::Limits;
pub use reader::{Reader, Token};
