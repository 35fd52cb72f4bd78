//! Configuration: an application folder read, checked and turned into a running application's
//! artifacts.

pub mod diagnostic;
pub mod format;
pub mod source;
pub mod suggest;
pub mod yaml;
