//! The FILE adapter.
