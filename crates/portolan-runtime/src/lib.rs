//! The shell: a host instance with its receive and deliver loops, the real clock, and the operations
//! of its operators. It carries out what `portolan-engine` decides.
//!
//! **Invariants:** no policy here (failure decisions, routing, schedules are the engine's); no concrete
//! store, adapter or component; nothing is acknowledged before its commit is answered; a failing
//! destination never blocks another port.

pub mod body;
pub mod clock;
pub mod core;
pub mod deliver;
pub mod deployment;
pub mod gate;
pub mod inbound;
pub mod interchange;
pub mod journal;
pub mod locations;
pub mod operate;
pub mod pipeline;
pub mod publish;
pub mod queue;
pub mod resubmit;
pub mod server;
pub mod worker;

pub use clock::{Clock, SystemClock, World};
pub use deployment::{Blueprint, Choices, Deployment};
pub use locations::LocationStatus;
pub use operate::{GroupView, LocationView, PortAction, PortView};
pub use resubmit::Refusal;
pub use server::{Server, Start, StartError};
